"""What a deploy works with: the release that is wanted, and what is there."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from api.apps import service as apps
from api.builds.models import BuildRow
from api.components.graph import check_given, check_release, check_secrets
from api.contract.base import Json
from api.contract.components import ComponentConfig
from api.contract.inputs import InputSpec, check_values
from api.contract.previews import DraftInstall
from api.contract.problems import ConflictError, InvalidError
from api.contract.replans import Replan
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
    release = find_release(tx, install.app_id, body.release_id)
    check_ready(release)
    return release


def check_replan(configs: Mapping[str, ComponentConfig] | None, replan: Sequence[Replan]) -> None:
    """Whether what is to be released (None: a teardown) has what is to be planned anew. Raises InvalidError."""
    if not replan:
        return
    if configs is None:
        raise InvalidError.at("replan", "a teardown plans everything anyway", "Leave it out.")
    for at, one in enumerate(replan):
        config = configs.get(one.component)
        if config is None:
            known = ", ".join(sorted(configs))
            raise InvalidError.at(f"replan.{at}.component", f"the release has no component {one.component!r}; it has: {known}")
        if any(other.component == one.component for other in replan[:at]):
            raise InvalidError.at(f"replan.{at}.component", f"{one.component!r} is named twice", "Name it once.")
        for field in ("targets", "replace"):
            if getattr(one, field) and config.kind != "terraform_module":
                message = f"{one.component} is a {config.kind}, and only a Terraform module has resources to name"
                raise InvalidError.at(f"replan.{at}.{field}", message, f"Leave `{field}` out: the whole is planned.")


def find_release(tx: Read, app_id: str, release_id: str) -> ReleaseRow:
    """A release of an app. Raises InvalidError on `release_id`."""
    release = releases.find(tx, release_id, field="release_id")
    if release.app_id != app_id:
        raise InvalidError.at("release_id", f"release {release.id} is of another app than the install")
    return release


def check_ready(release: ReleaseRow) -> None:
    """Raises ConflictError unless the release is built."""
    if release.status != "ready":
        raise ConflictError(
            f"release {release.number} is {release.status}, not ready",
            remedy="Wait until it is ready." if release.status == "building" else "Mend what its failure says; release again.",
        )


def there(row: InstalledComponentRow) -> Piece:
    """A component as it is installed. One that has drifted is like one that isn't cleanly there: it is planned again."""
    mark = None if row.drift and not row.drift.empty else row.fingerprint
    return Piece(row.name, row.config, row.build_id, row.digest, row.repository, mark)


@dataclass(frozen=True)
class Given:
    """What an install gives to its components. `sensitive` is None while it isn't known.

    `fingerprints` are those of the sensitive inputs, `secrets` those of the named secrets that it may use.
    """

    install_id: str
    install: str
    plain: dict[str, Json]
    sensitive: dict[str, Json] | None
    fingerprints: dict[str, str]
    secrets: dict[str, str]
    place: dict[str, str | None]


def given_by(
    tx: Read, vault: Vault, install: InstallRow | None, draft: DraftInstall | None = None, secrets: Sequence[str] = ()
) -> Given:
    """What an install gives, with a draft of its settings in place of those stored; `secrets` will be there, too."""
    known = dict.fromkeys(secrets, "") | (named_secrets.fingerprints_for(tx, install) if install else {})
    sensitive = draft.sensitive_inputs if draft else None
    if sensitive is None and install:
        sensitive = installs.sensitive_inputs(vault, install)
    plain = draft.inputs if draft else install.inputs if install else {}
    marks = {name: vault.fingerprint(value) for name, value in (sensitive or {}).items()}
    said = draft or install
    place = {"platform": said.platform if said else None, "region": said.region if said else None}
    place |= {f"labels.{name}": value for name, value in (said.labels if said else {}).items()}
    return Given(install.id if install else "", install.name if install else "", plain, sensitive, marks, known, place)


def misfits(specs: list[InputSpec], given: Given, configs: dict[str, ComponentConfig], what: str) -> Iterator[InvalidError]:
    """Why what was made of these configs can't be deployed there, the gravest reason first."""
    problems = check_values(specs, given.plain, given.sensitive or {})[2]
    if given.sensitive is None:
        problems = [problem for problem in problems if not problem.field.startswith("sensitive_inputs")]
    if problems:
        yield InvalidError(f"the inputs of install {given.install!r} don't fit its app", errors=problems)
    problems = check_release(configs, specs)
    if problems:  # the app has changed since: an input that this release uses is gone
        yield InvalidError(f"{what} no longer fits its app: release anew", errors=problems)
    problems = check_secrets(configs, set(given.secrets))
    problems += check_given(configs, _left_out(specs, given), given.place)
    if problems:
        yield InvalidError(f"{what} can't be deployed to install {given.install!r}", errors=problems)


def _left_out(specs: list[InputSpec], given: Given) -> set[str]:
    """The optional inputs to which the install gives no value, as far as that is known."""
    plain, sensitive, _ = check_values(specs, given.plain, given.sensitive or {})
    optional = {spec.name for spec in specs if not spec.required and not (spec.sensitive and given.sensitive is None)}
    return optional - {*plain, *sensitive}


def piece(name: str, config: ComponentConfig, build: BuildRow | None, given: Given, specs: list[InputSpec]) -> Piece:
    """A component as it is to be deployed. One that isn't built yet equals nothing that is there."""
    if build is None or build.artifact is None:
        return Piece(name, config, build.id if build else "", "", "", None)
    plain, _, _ = check_values(specs, given.plain, given.sensitive or {})
    values: dict[str, Json] = {**plain, **given.fingerprints}
    mark = fingerprint(
        config,
        build.artifact.digest,
        inputs=values,
        install_id=given.install_id,
        secrets=given.secrets,
        place=given.place,
    )
    return Piece(name, config, build.id, build.artifact.digest, build.artifact.repository, mark)


def wanted_pieces(tx: Read, vault: Vault, install: InstallRow, release: ReleaseRow) -> dict[str, Piece]:
    """What a release brings to an install, by component. Raises InvalidError if the install's inputs don't fit."""
    specs = apps.of_install(tx, install).inputs
    given = given_by(tx, vault, install)
    configs, made = _parts(tx, release)
    for refusal in misfits(specs, given, configs, f"release {release.number}"):
        raise refusal
    return {name: piece(name, config, made[name], given, specs) for name, config in configs.items()}


def _parts(tx: Read, release: ReleaseRow) -> tuple[dict[str, ComponentConfig], dict[str, BuildRow]]:
    """What a release consists of, by component: it never changes, and many installs may be about to get it."""
    if ("parts", release.id) not in tx.memo:
        tx.memo["parts", release.id] = releases.parts_of(tx, release.id)
    parts: tuple[dict[str, ComponentConfig], dict[str, BuildRow]] = tx.memo["parts", release.id]
    return parts
