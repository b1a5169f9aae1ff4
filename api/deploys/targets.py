"""What a deploy works with: the release that is wanted, and what is there."""

from api.apps import service as apps
from api.components.graph import check_config, check_secrets
from api.contract.base import Json
from api.contract.inputs import check_values
from api.contract.problems import ConflictError, InvalidError
from api.contract.resources import DeployCreate
from api.db.transaction import Read
from api.deploys.planning import Piece, fingerprint
from api.installs import service as installs
from api.installs.models import InstalledComponentRow, InstallRow
from api.releases import service as releases
from api.releases.models import ReleaseRow
from api.secrets import values as named_secrets
from api.secrets.vault import Vault


def release_of(tx: Read, install: InstallRow, body: DeployCreate) -> ReleaseRow | None:
    """The release that a new deploy brings; None for a teardown. Raises InvalidError or ConflictError."""
    if body.kind == "teardown":
        if body.release_id:
            raise InvalidError.at("release_id", "a teardown takes no release", "Leave it out.")
        return None
    if not body.release_id:
        raise InvalidError.at("release_id", "a deploy needs a release", "Give the id of a release of the install's app.")
    release = releases.find(tx, body.release_id, field="release_id")
    if release.app_id != install.app_id:
        raise InvalidError.at("release_id", f"release {release.id} is of another app than install {install.name!r}")
    if release.status != "ready":
        raise ConflictError(
            f"release {release.number} is {release.status}, not ready",
            remedy="Wait until it is ready." if release.status == "building" else "Mend what its failure says; release again.",
        )
    return release


def there(row: InstalledComponentRow) -> Piece:
    """A component as it is installed. One that has drifted is like one that isn't cleanly there: it is planned again."""
    mark = None if row.drift and not row.drift.empty else row.fingerprint
    return Piece(row.name, row.config, row.build_id, row.digest, row.repository, mark)


def wanted_pieces(tx: Read, vault: Vault, install: InstallRow, release: ReleaseRow) -> dict[str, Piece]:
    """What a release brings to an install, by component. Raises InvalidError if the install's inputs don't fit."""
    inputs = apps.find(tx, install.app_id).inputs
    plain, _, problems = check_values(inputs, install.inputs, installs.sensitive_inputs(vault, install))
    if problems:
        raise InvalidError(f"the inputs of install {install.name!r} don't fit its app", errors=problems)
    configs = releases.configs_of(tx, release.id)
    problems = [problem for name, config in configs.items() for problem in check_config(name, config, inputs)]
    if problems:  # the app has changed since: an input that this release uses is gone
        raise InvalidError(f"release {release.number} no longer fits its app: release anew", errors=problems)
    secrets = named_secrets.fingerprints_for(tx, install)
    problems = check_secrets(configs, set(secrets))
    if problems:
        raise InvalidError(f"release {release.number} can't be deployed to install {install.name!r}", errors=problems)
    values: dict[str, Json] = {**plain, **install.sensitive_fingerprints}
    wanted = {}
    for link, build in releases.builds_of(tx, release.id):
        if build.artifact is None:
            raise LookupError(f"build {build.id} of a ready release has no artifact")
        config, digest = configs[link.component], build.artifact.digest
        mark = fingerprint(config, digest, inputs=values, install_id=install.id, secrets=secrets)
        wanted[link.component] = Piece(link.component, config, build.id, digest, build.artifact.repository, mark)
    return wanted
