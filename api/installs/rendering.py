"""Fill in references as the agent would, with what the IMS knows: inputs, the install, and outputs that were reported."""

from collections.abc import Mapping
from dataclasses import dataclass

from api.apps import service as apps
from api.components import service as components
from api.components.graph import suggestion
from api.contract.base import Json
from api.contract.components import ComponentConfig, template_texts
from api.contract.inputs import check_values
from api.contract.problems import NotFoundError
from api.contract.reference_functions import WrongValueError, spelled
from api.contract.reference_grammar import Expression, InvalidReferenceError, Reference, parse
from api.contract.references import MissingValueError, Value, evaluate
from api.contract.renders import InstallRender, RenderedComponent, RenderedText
from api.db.transaction import Read
from api.installs import service as installs
from api.installs.models import InstalledComponentRow, InstallRow
from api.releases import service as releases
from api.secrets import values as named_secrets

SENSITIVE = "(sensitive)"


class _HiddenError(Exception):
    """A value that there is, or will be, but not here."""

    def __init__(self, shown: str) -> None:
        super().__init__(shown)
        self.shown = shown


@dataclass(frozen=True)
class Known:
    """What the IMS knows of an install. `hidden` names the inputs and secrets that have a value, which isn't looked at."""

    install: InstallRow
    inputs: Mapping[str, Json]
    hidden: frozenset[tuple[str, str]]
    installed: Mapping[str, InstalledComponentRow]

    def value(self, component: str, reference: Reference) -> Value:
        """The value of a reference of that component. Raises _HiddenError, or InvalidReferenceError if it has none."""
        match reference.path:
            case ("inputs" | "secrets" as of, name) if (of, name) in self.hidden:
                raise _HiddenError(SENSITIVE)
            case ("inputs", name) if name in self.inputs:
                return Value(self.inputs[name])
            case ("inputs", name):
                raise MissingValueError(f"the install has no value for input {name!r}")
            case ("secrets", name):
                raise InvalidReferenceError(f"there is no secret {name!r}", f"Set it with `exclave secrets set {name}`.")
            case ("install", "labels", name) if name in self.install.labels:
                return Value(self.install.labels[name])
            case ("install", "id" | "name" | "platform" | "region" as field) if getattr(self.install, field) is not None:
                return Value(getattr(self.install, field))
            case ("install", *_):
                raise MissingValueError(f"the install has no {reference.install}")
            case ("self", "outputs", name):
                return self._output(component, name)
            case (_, other, _, name):
                return self._output(other, name)
        raise LookupError(f"{reference} is of no known form")

    def _output(self, component: str, name: str) -> Value:
        row = self.installed.get(component)
        if row and name in row.outputs:
            return Value(row.outputs[name])
        raise _HiddenError(SENSITIVE if row and name in row.sensitive_outputs else f"(known after {component} is deployed)")


def render(tx: Read, install: str, *, release: str | None, component: str | None) -> InstallRender:
    """The references of a release's configs, or of the app's newest ones. Raises NotFoundError."""
    row = installs.find(tx, install)
    of = releases.find(tx, release) if release else None
    if of and of.app_id != row.app_id:
        raise NotFoundError(f"release {of.id} is of another app than install {row.name!r}")
    configs = releases.parts_of(tx, of.id)[0] if of else _newest(tx, row.app_id)
    if component is not None and component not in configs:
        raise NotFoundError(f"there is no component {component!r}", remedy=suggestion(component, sorted(configs)))
    known = _known(tx, row)
    return InstallRender(
        install_id=row.id,
        install=row.name,
        release_number=of.number if of else None,
        components=[
            RenderedComponent(name=name, kind=config.kind, texts=_texts(name, config, known))
            for name, config in sorted(configs.items())
            if component in (None, name)
        ],
    )


def _newest(tx: Read, app_id: str) -> dict[str, ComponentConfig]:
    return {name: row.config for name, row in components.of_app(tx, app_id).items()}


def _known(tx: Read, install: InstallRow) -> Known:
    specs = apps.of_install(tx, install).inputs
    plain, _, _ = check_values(specs, install.inputs, {})
    secrets = named_secrets.fingerprints_for(tx, install)
    hidden = {*(("inputs", name) for name in install.sensitive_fingerprints), *(("secrets", name) for name in secrets)}
    installed = {row.name: row for row in installs.components_of(tx, install.id)}
    return Known(install, install.inputs | plain, frozenset(hidden), installed)


def _texts(component: str, config: ComponentConfig, known: Known) -> list[RenderedText]:
    return [rendered(field, text, component, known) for field, text in sorted(template_texts(config).items()) if "{{" in text]


def rendered(field: str, text: str, component: str, known: Known) -> RenderedText:
    """One text, each of its expressions by itself: what one hides doesn't hide the others."""
    hidden: list[str] = []
    values: list[Json] = []
    try:
        parts = parse(text)
        for part in parts:
            values.append(part if isinstance(part, str) else _shown(part, component, known, hidden))
        alone = [value for part, value in zip(parts, values, strict=True) if isinstance(part, Expression) or part.strip()]
        value = alone[0] if len(alone) == 1 else "".join(spelled(value) for value in values)
    except (InvalidReferenceError, WrongValueError) as error:
        return RenderedText(field=field, text=text, complete=False, problem=str(error), remedy=error.remedy)
    incomplete = any(shown != SENSITIVE for shown in hidden)
    return RenderedText(field=field, text=text, value=value, sensitive=SENSITIVE in hidden, complete=not incomplete)


def _shown(part: Expression, component: str, known: Known, hidden: list[str]) -> Json:
    try:
        return evaluate(part, lambda reference: known.value(component, reference)).value
    except _HiddenError as here:
        hidden.append(here.shown)
        return here.shown
