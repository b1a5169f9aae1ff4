"""The inputs and secrets that a deploy is made with: sealed when it is made, opened for the jobs of its own agent."""

from api.apps import service as apps
from api.components.graph import secret_names
from api.contract.base import Json
from api.contract.components import ComponentConfig
from api.contract.inputs import check_values
from api.db.transaction import Read
from api.deploys.models import DeployRow
from api.installs import service as installs
from api.installs.models import InstallRow
from api.secrets import values as named_secrets
from api.secrets.vault import Vault


def now(tx: Read, vault: Vault, install: InstallRow) -> dict[str, Json]:
    """All inputs of an install now. One that the app no longer declares stays: what is to be destroyed may still use it."""
    sensitive = installs.sensitive_inputs(vault, install)
    checked, checked_sensitive, _ = check_values(apps.of_install(tx, install).inputs, install.inputs, sensitive)
    return {
        "inputs": install.inputs | checked,
        "sensitive_inputs": sensitive | checked_sensitive,
        "secrets": named_secrets.values_for(tx, vault, install),
    }


def given(vault: Vault, deploy: DeployRow, config: ComponentConfig) -> tuple[dict[str, Json], dict[str, Json], dict[str, Json]]:
    """What a deploy was made with: inputs, plain and sensitive, and the named secrets that one of its components refers to.

    Only for a job on its way to the install's own agent.
    """
    opened = vault.open_sealed(deploy.sealed_inputs, owner=deploy.id)
    known = opened.get("secrets")
    secrets = {name: known[name] for name in sorted(secret_names(config)) if name in known} if known else {}
    return opened["inputs"], opened["sensitive_inputs"], secrets
