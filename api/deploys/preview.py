"""What a deploy would do: the same plan as a real one, of what is stored or is to be stored. Nothing is written."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from api.apps import service as apps
from api.apps.models import AppRow
from api.builds import service as builds
from api.builds.models import BuildRow
from api.components import service as components
from api.contract.components import ComponentConfig
from api.contract.inputs import InputSpec
from api.contract.previews import (
    AppDraft,
    BuildState,
    DeployPreview,
    DeployPreviewRequest,
    DraftProblem,
    PreviewAction,
    PreviewComponent,
    PreviewStep,
)
from api.contract.problems import InvalidError, ProblemError
from api.contract.replans import Replan
from api.contract.resources import Approval, DeployCreate
from api.db.transaction import Read
from api.deploys import service, targets
from api.deploys.planning import Piece, PlannedStep, plan_deploy, plan_teardown
from api.drafts import service as drafts
from api.installs import service as installs
from api.installs.models import InstallRow
from api.releases import service as releases
from api.releases.models import ReleaseRow
from api.secrets.vault import Vault

_AS_IT_IS = "it is as it is to be"


@dataclass
class _Found:
    """What is known of a deploy that may be made, and what speaks against it."""

    app: AppRow | None
    install: InstallRow | None
    release: ReleaseRow | None = None
    inputs: list[InputSpec] = field(default_factory=list)
    configs: dict[str, ComponentConfig] = field(default_factory=dict)
    builds: dict[str, BuildRow] = field(default_factory=dict)
    problems: list[DraftProblem] = field(default_factory=list)

    @contextmanager
    def noting(self, at: str) -> Iterator[None]:
        """A refusal of the real deploy becomes a problem; of one that names no field, at `at`."""
        try:
            yield
        except ProblemError as error:
            self.note(error, at)

    def note(self, error: ProblemError, at: str) -> None:
        """See `noting`."""
        if not error.errors:
            self.problems.append(DraftProblem(field=at, message=error.detail, remedy=error.remedy))
        for problem in error.errors:
            in_component = problem.field.startswith("components.") and problem.field.count(".") > 1
            of_install = problem.field.split(".")[0] in ("inputs", "sensitive_inputs")
            install = self.install.name if of_install and self.install else None
            said = drafts.of_component(problem) if in_component else DraftProblem(install=install, **problem.model_dump())
            if said not in self.problems:
                self.problems.append(said)

    def build_state(self, name: str) -> BuildState:
        """Whether a component's artifact is there."""
        build = self.builds.get(name)
        return "to_build" if build is None else "ready" if build.artifact else "building"


def preview(tx: Read, vault: Vault, body: DeployPreviewRequest) -> DeployPreview:
    """What the deploy would do. Raises InvalidError only where it can't be told what is meant."""
    found = _find(tx, body)
    install = found.install
    current = {row.name: targets.there(row) for row in installs.components_of(tx, install.id)} if install else {}
    approval: Approval = body.approval or (install.approval if install else "auto")
    if install:
        with found.noting("install_id"):
            service.check_idle(tx, install)
    if body.kind == "teardown":
        with found.noting("replan"):
            targets.check_replan(None, body.replan)
        if install:
            with found.noting("release_id"):
                targets.release_of(
                    tx, install, DeployCreate(install_id=install.id, release_id=body.release_id, kind="teardown")
                )
        planned = plan_teardown(current, approve=approval != "auto")
    else:
        _choose(tx, found, body)
        wanted = _wanted(tx, vault, found, body)
        anew = {one.component for one in body.replan}
        planned = plan_deploy(wanted, current, approve=approval != "auto", anew=anew) if wanted else []
    return DeployPreview(
        ok=not found.problems,
        install_id=install.id if install else None,
        app_id=found.app.id if found.app else None,
        kind=body.kind,
        release_id=found.release.id if found.release else None,
        release_number=found.release.number if found.release else None,
        approval=approval,
        components=_components(found, planned, current, {one.component: one for one in body.replan}),
        steps=[_step(step) for step in planned],
        problems=found.problems,
        notes=_notes(tx, found),
    )


def _find(tx: Read, body: DeployPreviewRequest) -> _Found:
    if body.draft and (body.release_id or body.release_number):
        raise InvalidError.at("draft", "a release is as it is, and takes no draft", "Leave one of the two out.")
    if body.install_id:
        install = installs.find(tx, body.install_id, field="install_id")
        return _Found(apps.find(tx, install.app_id), install)
    if body.app_id:
        return _Found(apps.find(tx, body.app_id, field="app_id"), None)
    if body.draft and body.draft.complete and body.kind == "deploy":
        return _Found(None, None)
    raise InvalidError.at("install_id", "a deploy needs an install", "Give its id or name; or `app_id` for one to be made.")


def _choose(tx: Read, found: _Found, body: DeployPreviewRequest) -> None:
    """What is to be deployed: a release, or the app as it is or is to be."""
    found.inputs = found.app.inputs if found.app else []
    if found.app and (body.release_id or body.release_number):
        with found.noting("release_id"):
            release = (
                targets.find_release(tx, found.app.id, body.release_id)
                if body.release_id
                else releases.numbered(tx, found.app.id, body.release_number or 0)
            )
            found.release = release
            found.configs = releases.configs_of(tx, release.id)
            found.builds = {link.component: build for link, build in releases.builds_of(tx, release.id)}
            targets.check_ready(release)
        return
    draft = body.draft or AppDraft()
    whole = drafts.merged(tx, found.app, draft)
    found.inputs, found.configs = whole.inputs, whole.configs
    found.problems += whole.problems + drafts.problems_of(tx, whole, draft.secrets)
    stored = components.of_app(tx, found.app.id) if found.app else {}
    same = {
        name: row
        for name, row in stored.items()
        if name in whole.configs and row.checksum == components.checksum(whole.configs[name])
    }
    made = builds.usable(tx, list(same.values()))
    found.builds = {name: made[row.id] for name, row in same.items() if row.id in made}
    if not whole.configs and not whole.unread:
        which = f"app {found.app.name!r}" if found.app else "the app"
        found.problems.append(DraftProblem(field="release_id", message=f"{which} has no components", remedy="Add one."))


def _wanted(tx: Read, vault: Vault, found: _Found, body: DeployPreviewRequest) -> dict[str, Piece]:
    """The components as they would be deployed; none while one of them is wrong, for then there is no graph of them."""
    secrets = body.draft.secrets if body.draft else []
    given = targets.given_by(tx, vault, found.install, body.install, secrets)
    what = f"release {found.release.number}" if found.release else "the app"
    configs = {} if any(problem.component for problem in found.problems) else found.configs
    for refusal in targets.misfits(found.inputs, given, configs, what):
        found.note(refusal, "install_id")
    with found.noting("replan"):
        targets.check_replan(found.configs, body.replan)
    if any(problem.component for problem in found.problems):
        return {}
    return {
        name: targets.piece(name, config, found.builds.get(name), given, found.inputs) for name, config in found.configs.items()
    }


def _components(
    found: _Found, planned: list[PlannedStep], current: dict[str, Piece], replan: dict[str, Replan]
) -> list[PreviewComponent]:
    waves: dict[str, int] = {}
    shown: list[PreviewComponent] = []
    for step in planned:
        before = [waves[name] for name, _ in step.needs if name != step.piece.name]
        waves[step.piece.name] = max([waves.get(step.piece.name, 1), *(wave + 1 for wave in before)])
    plans = {step.piece.name: step for step in planned if step.key[1] in ("plan", "plan_destroy")}
    asking = {step.piece.name for step in planned if step.key[1] == "approve"}
    for name in sorted({*plans, *current, *(found.configs if planned else ())}):
        plan = plans.get(name)
        action, why = _action(plan, current, found, replan.get(name)) if plan else ("none", _AS_IT_IS)
        shown.append(
            PreviewComponent(
                name=name,
                action=action,
                why=why,
                wave=waves.get(name),
                build=found.build_state(name) if name in found.configs else None,
                asks_approval=name in asking,
            )
        )
    return sorted(shown, key=lambda one: (one.wave is None, one.wave or 0))


def _action(
    step: PlannedStep, current: dict[str, Piece], found: _Found, replan: Replan | None
) -> tuple[PreviewAction, str]:  # fmt: skip
    """What a plan step means for its component, and why there is one."""
    action, why = _difference(step, current, found)
    if replan is None:
        return action, why
    if action == "none":
        action, why = "update" if replan.replace else "check", "its plan is asked for"
    asked = [f"only {', '.join(replan.targets)}"] if replan.targets else []
    asked += [f"{', '.join(replan.replace)} anew"] if replan.replace else []
    return action, ": ".join([why, *([", ".join(asked)] if asked else [])])


def _difference(step: PlannedStep, current: dict[str, Piece], found: _Found) -> tuple[PreviewAction, str]:
    """What differs for a component; nothing, if its plan was asked for."""
    piece = step.piece
    if step.key[1] == "plan_destroy":
        return "destroy", "it is no longer part of the app" if found.configs else "everything is torn down"
    used = sorted({name for name, kind in step.needs if kind == "apply" and name != piece.name})
    if step.conditional:
        return "check", f"only if outputs of {', '.join(used)} change"
    there = current.get(piece.name)
    if there is None:
        return "create", "it isn't deployed yet"
    if there.fingerprint is None:
        return "update", "it has drifted, or its last deploy did not end well"
    if not there.fingerprint:
        return "update", "its last deploy brought it only in part"
    if there.fingerprint == piece.fingerprint:
        unsure = [name for name in used if name in current and current[name].fingerprint is None]
        return ("update", f"{', '.join(unsure)}, which it needs, isn't cleanly deployed") if unsure else ("none", _AS_IT_IS)
    if there.digest != piece.digest:
        return "update", "what it is built from has changed" if piece.digest else "it is built anew"
    if there.config.model_dump(exclude={"source"}) != piece.config.model_dump(exclude={"source"}):
        return "update", "its config has changed"
    return "update", "inputs or secrets that it uses have changed"


def _step(step: PlannedStep) -> PreviewStep:
    component, kind = step.key
    return PreviewStep(
        component=component, kind=kind, needs=[" ".join(need) for need in step.needs], conditional=step.conditional
    )


def _notes(tx: Read, found: _Found) -> list[str]:
    notes = []
    if found.install is None:
        notes.append("the install doesn't exist yet" if found.app else "the app and the install don't exist yet")
    elif installs.agent_of(tx, found.install.id) is None:
        name = found.install.name
        notes.append(
            f"install {name!r} has no agent: a deploy waits until one enrols (`exclave agents enroll --install {name}`)"
        )
    if unbuilt := sorted(name for name in found.configs if found.build_state(name) != "ready"):
        notes.append(f"to be built first: {', '.join(unbuilt)}")
    return notes
