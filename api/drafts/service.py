"""The check of a draft: by the same rules as the writes and the release that would follow, all at once."""

from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from api.apps.models import AppRow
from api.builds import service as builds
from api.components import service as components
from api.components.graph import check_release, check_secrets, readable_references
from api.components.modules import check_modules
from api.contract.base import Failure, Json, Name
from api.contract.components import ComponentConfig
from api.contract.inputs import InputSpec, check_specs
from api.contract.previews import AppDraft, DraftCheck, DraftInstall, DraftProblem
from api.contract.problems import FieldProblem
from api.db.transaction import Read
from api.errors import field_problem
from api.installs import service as installs
from api.secrets import values as named_secrets

_CONFIG: TypeAdapter[ComponentConfig] = TypeAdapter(ComponentConfig)
_NAME: TypeAdapter[str] = TypeAdapter(Name)


@dataclass(frozen=True)
class Whole:
    """An app with a draft in place of what is stored. `problems` are those of reading the draft.

    `unread` names the components whose configs couldn't be read: they aren't in `configs`. `partial`: others may come.
    """

    app: AppRow | None
    inputs: list[InputSpec]
    inputs_known: bool
    partial: bool
    configs: dict[str, ComponentConfig]
    unread: list[str] = field(default_factory=list)
    problems: list[DraftProblem] = field(default_factory=list)


def check(tx: Read, app: AppRow | None, draft: AppDraft) -> DraftCheck:
    """What is wrong with a draft of an app, or of an app that doesn't exist yet."""
    whole = merged(tx, app, draft)
    problems = whole.problems + problems_of(tx, whole, draft.secrets)
    for name, install in draft.installs.items():
        problems += check_install(whole.inputs, name, install)
    return DraftCheck(ok=not problems, problems=problems)


def merged(tx: Read, app: AppRow | None, draft: AppDraft) -> Whole:
    """The app as it would be."""
    given, problems = _read(draft.components)
    stored = components.of_app(tx, app.id) if app and not (draft.complete or draft.partial) else {}
    configs = {name: row.config for name, row in stored.items() if name not in draft.components} | given
    inputs = draft.inputs if draft.inputs is not None else app.inputs if app else []
    wrong = check_specs(inputs)
    problems += [DraftProblem(**problem.model_dump()) for problem in wrong]
    odd = {problem.field.split(".")[1] for problem in wrong}
    # A default that can't be one is told once; installs are looked at as if there were none.
    inputs = [spec.model_copy(update={"default": None, "required": False}) if spec.name in odd else spec for spec in inputs]
    unread = [name for name, config in draft.components.items() if config is not None and name not in given]
    inputs_known = app is not None or draft.inputs is not None or not draft.partial
    return Whole(app, inputs, inputs_known, draft.partial, dict(sorted(configs.items())), unread, problems)


def problems_of(tx: Read, whole: Whole, secrets: list[str]) -> list[DraftProblem]:
    """What is wrong with an app as a whole. `secrets` are known besides those stored."""
    of_app = whole.app.id if whole.app else ""
    others = _referred_to(whole.configs) if whole.partial else set()
    inputs = whole.inputs if whole.inputs_known else None
    wrong: list[FieldProblem | Failure] = [*check_release(whole.configs, inputs, {*whole.unread, *others})]
    if not whole.partial:
        wrong += check_secrets(whole.configs, named_secrets.names_for_app(tx, of_app) | set(secrets))
    wrong += check_modules(whole.configs, builds.declaring(tx, of_app, whole.configs))
    return [of_component(each) for each in wrong]


def _referred_to(configs: dict[str, ComponentConfig]) -> set[str]:
    """The names of components in any reference."""
    found = [refs for config in configs.values() for refs in readable_references(config).values()]
    return {ref.component for refs in found for ref in refs if ref.component}


def check_install(specs: list[InputSpec], name: str, draft: DraftInstall) -> list[DraftProblem]:
    """What is wrong with an install's settings, given the inputs of its app."""
    found = installs.problems_of(specs, draft, draft.sensitive_inputs or {})
    if draft.sensitive_inputs is None:
        found = [problem for problem in found if not problem.field.startswith("sensitive_inputs")]
    return [DraftProblem(install=name, **problem.model_dump()) for problem in found]


def of_component(problem: FieldProblem | Failure) -> DraftProblem:
    """A problem of a release, whose field begins with `components.<name>.`, as the component's own write would say it."""
    _, name, at = (problem.field or "").split(".", 2)
    return DraftProblem(component=name, field=f"config.{at}", message=problem.message, remedy=problem.remedy)


def _read(given: dict[str, Json]) -> tuple[dict[str, ComponentConfig], list[DraftProblem]]:
    configs: dict[str, ComponentConfig] = {}
    problems: list[DraftProblem] = []
    for name, config in given.items():
        if config is None:
            continue
        wrong = _wrong(_NAME, name, "name")
        wrong += _wrong(_CONFIG, config, "config")
        problems += [DraftProblem(component=name, **problem.model_dump()) for problem in wrong]
        if not wrong:
            configs[name] = _CONFIG.validate_python(config)
    return configs, problems


def _wrong(of: TypeAdapter[Any], value: Json, at: str) -> list[FieldProblem]:
    try:
        of.validate_python(value)
    except ValidationError as error:
        return [field_problem({**each, "loc": ("body", at, *each["loc"])}) for each in error.errors()]
    return []
