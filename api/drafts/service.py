"""The check of a draft: by the same rules as the writes and the release that would follow, all at once."""

from dataclasses import dataclass, field
from typing import Any

from pydantic import TypeAdapter, ValidationError

from api.apps.models import AppRow
from api.builds import service as builds
from api.components import service as components
from api.components.graph import check_release, check_secrets
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

    `unread` names the components whose configs couldn't be read: they aren't in `configs`.
    """

    app: AppRow | None
    inputs: list[InputSpec]
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
    stored = components.of_app(tx, app.id) if app and not draft.complete else {}
    configs = {name: row.config for name, row in stored.items() if name not in draft.components} | given
    inputs = draft.inputs if draft.inputs is not None else app.inputs if app else []
    unread = [name for name, config in draft.components.items() if config is not None and name not in given]
    return Whole(app, inputs, dict(sorted(configs.items())), unread, problems)


def problems_of(tx: Read, whole: Whole, secrets: list[str]) -> list[DraftProblem]:
    """What is wrong with an app as a whole. `secrets` are known besides those stored."""
    of_app = whole.app.id if whole.app else ""
    found = [DraftProblem(**problem.model_dump()) for problem in check_specs(whole.inputs)]
    wrong: list[FieldProblem | Failure] = [*check_release(whole.configs, whole.inputs, whole.unread)]
    wrong += check_secrets(whole.configs, named_secrets.names_for_app(tx, of_app) | set(secrets))
    wrong += check_modules(whole.configs, builds.declaring(tx, of_app, whole.configs))
    return found + [of_component(each) for each in wrong]


def check_install(specs: list[InputSpec], name: str, draft: DraftInstall) -> list[DraftProblem]:
    """What is wrong with an install's settings, given the inputs of its app."""
    found = installs.problems_of(specs, draft.inputs, draft.sensitive_inputs or {}, draft.labels)
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
