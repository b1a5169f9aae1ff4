"""The inputs, secrets and place that a deploy is made with: sealed when it is made, opened for the jobs of its own agent."""

from typing import NamedTuple

from api.apps import service as apps
from api.components.graph import secret_names
from api.contract.base import Json, Platform
from api.contract.components import ComponentConfig
from api.contract.inputs import check_values
from api.db.transaction import Read
from api.deploys.models import DeployRow
from api.installs import service as installs
from api.installs.models import InstallRow
from api.secrets import values as named_secrets
from api.secrets.vault import Vault


class Given(NamedTuple):
    """What a job gets of it: inputs, plain and sensitive, the named secrets that its component refers to, and the place."""

    inputs: dict[str, Json]
    sensitive: dict[str, Json]
    secrets: dict[str, Json]
    platform: Platform | None
    region: str | None
    labels: dict[str, str]


def now(tx: Read, vault: Vault, install: InstallRow) -> dict[str, Json]:
    """All inputs of an install now, and where it is.

    One that the app no longer declares stays: what is to be destroyed may still use it.
    """
    sensitive = installs.sensitive_inputs(vault, install)
    checked, checked_sensitive, _ = check_values(apps.of_install(tx, install).inputs, install.inputs, sensitive)
    return {
        "inputs": install.inputs | checked,
        "sensitive_inputs": sensitive | checked_sensitive,
        "secrets": named_secrets.values_for(tx, vault, install),
        "place": _place(install),
    }


def _place(install: InstallRow) -> dict[str, Json]:
    return {"platform": install.platform, "region": install.region, "labels": install.labels}


def given(vault: Vault, deploy: DeployRow, install: InstallRow, config: ComponentConfig) -> Given:
    """What a deploy was made with: what has changed since is for the next one.

    Only for a job on its way to the install's own agent.
    """
    opened = vault.open_sealed(deploy.sealed_inputs, owner=deploy.id)
    known = opened.get("secrets")
    secrets = {name: known[name] for name in sorted(secret_names(config)) if name in known} if known else {}
    place = opened.get("place") or _place(install)  # a deploy of an earlier version didn't keep it
    return Given(opened["inputs"], opened["sensitive_inputs"], secrets, **place)
