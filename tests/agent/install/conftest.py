import os
from pathlib import Path

import httpx
import pytest
from customer import Customer
from registry_server import RegistryServer

from agent.engine.find import EngineNotFoundError, find_engine
from agent.install.approvals import Approvals
from agent.install.registries import CustomerRegistry, RegistryWriter
from agent.install.site import Site
from agent.install.workspace import Components
from agent.oci.vendor_key import VendorKey
from agent.state.place import Place, open_states


@pytest.fixture
def account(tmp_path: Path, vendor: RegistryServer, customer: RegistryServer, http: httpx.AsyncClient) -> Customer:
    """A customer's account with nothing in it yet."""
    try:
        find_engine(None, os.environ)
    except EngineNotFoundError as error:
        pytest.skip(str(error))
    key = VendorKey.load_or_create(tmp_path / "vendor.key")
    site = Site(
        install_id="ins_1",
        app_name="shop",
        components=Components(tmp_path / "home"),
        registry=CustomerRegistry(RegistryWriter(url=customer.url, username="writer", password="secret"), http),
        vendor_keys=(key.public_pem,),
        engine=None,
        env=os.environ,
        http=http,
        approvals=Approvals(tmp_path / "home"),
        states=open_states(Place(), tmp_path / "home", "ins_1", "agt_1"),
    )
    return Customer(vendor, customer, site, key, tmp_path / "vendor-side")
