"""What a signature says besides the digest: for which component of which app it was made, and with which config.

The build agent puts it into the signed payload (`optional` in cosign's simple signing), and the install agent runs a job only
with a config that was signed like this (`config-signed`). So the IMS chooses among what was built, and can't make up the rest.
"""

from agent.oci.digest import digest_of
from agent.oci.manifest import canonical_json
from api.contract.base import Digest
from api.contract.components import ComponentConfig

APP = "dev.exclave.app"
COMPONENT = "dev.exclave.component"
CONFIG = "dev.exclave.config"


def config_digest(config: ComponentConfig) -> Digest:
    """The digest of a config. Fields that are as they are by default don't count: a newer version may know more of them.

    So a field's default may never change: what was signed for the old one would then run with the new one. A folder with a
    content digest counts by that, wherever it lies: the IMS takes two checkouts for one config, too.
    """
    document = {"kind": config.kind, **config.model_dump(mode="json", exclude_defaults=True)}
    folder = (document.get("source") or {}).get("path") or {}
    if folder.get("digest"):
        del folder["path"]
    return digest_of(canonical_json(document))


def claims_of(app: str, component: str, config: ComponentConfig) -> dict[str, str]:
    """The claims under which a build is signed."""
    return claims_said(app, component, config_digest(config))


def claims_said(app: str, component: str, config: Digest) -> dict[str, str]:
    """The same, of a config of which only the digest is known."""
    return {APP: app, COMPONENT: component, CONFIG: config}
