"""Fills the settings, in rising precedence: defaults, a TOML file, the environment (`EXCLAVE_…`), command-line flags.

Nothing is taken over in silence: an unknown key is a problem, and every value can say where it came from. A library such as
pydantic-settings reads these sources too, but can't say which of them a value is from, nor refuse an unknown variable.
"""

import dataclasses
import difflib
import json
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args, get_origin

from pydantic import ByteSize, SecretStr, TypeAdapter, ValidationError

from api.settings import Settings

DEFAULT_DATA = Path("~/.exclave")
FILE_NAME = "exclave.toml"
PREFIX = "EXCLAVE_"
DEFAULT = "default"

_OTHERS = {"CONFIG", "URL", "TOKEN", "TOKEN_FILE"}
"""Variables that the commands read, and the server doesn't."""
_OTHERS_BEGIN = ("AGENT_", "PROVIDER_", "TEST_")
_KUBERNETES = re.compile(r"(.+_)?(SERVICE_(HOST|PORT)(_.+)?|PORT(_\d+_(TCP|UDP)(_\w+)?)?)")
"""What Kubernetes sets in every pod beside a service named `exclave`."""
_PASSWORD = re.compile(r"(?<=://)([^/@\s:]*):[^/@\s]*(?=@)|((?<=[?&])password=)[^&\s]*")
_MASK = "********"

_adapter: TypeAdapter[Settings] = TypeAdapter(Settings)


@dataclass(frozen=True)
class Key:
    """One setting: its dotted name, its type and default as people read them, and what it is for."""

    name: str
    annotation: Any
    default: Any
    description: str

    @property
    def variable(self) -> str:
        """The environment variable that sets it."""
        return PREFIX + self.name.upper().replace(".", "__")

    @property
    def is_tables(self) -> bool:
        """Whether it is a list of tables: of JSON objects, in the environment."""
        return get_origin(self.annotation) is tuple and dataclasses.is_dataclass(get_args(self.annotation)[0])

    @property
    def is_secret(self) -> bool:
        """Whether its value is never shown."""
        return SecretStr in (self.annotation, *get_args(self.annotation))


@dataclass(frozen=True)
class Given:
    """A value as its source has it."""

    value: Any
    source: str


@dataclass(frozen=True)
class Loaded:
    """What all sources together say. `settings` is None if there are problems."""

    settings: Settings | None
    given: dict[str, Given]
    problems: list[str]

    def rows(self) -> list[tuple[str, str, str]]:
        """Every setting with its value as it may be shown, and its source."""
        return [
            (key.name, shown(key, _effective(self.settings, key, self.given)), _source(self.given, key))
            for key in KEYS.values()
        ]


def _keys(model: type[Any], prefix: str = "", defaults: Any = None) -> Iterator[Key]:
    for one in dataclasses.fields(model):
        info = model.__pydantic_fields__[one.name]
        parts = [info.annotation, *get_args(info.annotation)]
        nested = next((part for part in parts if isinstance(part, type) and dataclasses.is_dataclass(part)), None)
        default = None if info.is_required() else info.get_default(call_default_factory=True)
        if defaults is not None:
            default = getattr(defaults, one.name)
        if nested and get_origin(info.annotation) is not tuple:
            yield from _keys(nested, f"{prefix}{one.name}.", default)
            continue
        yield Key(prefix + one.name, info.annotation, default, info.description or "")


KEYS = {key.name: key for key in _keys(Settings)}
KEYS["data"] = dataclasses.replace(KEYS["data"], default=DEFAULT_DATA)
KEYS["public_url"] = dataclasses.replace(KEYS["public_url"], default="")


def load(*, config: Path | None, env: Mapping[str, str], flags: Mapping[str, Any]) -> Loaded:
    """Read every source. `config` is the file that a flag names; `flags` has what else was given on the command line."""
    problems: list[str] = []
    given = _from_environment(env, problems)
    given |= {name: Given(value, f"--{name.rpartition('.')[2].replace('_', '-')}") for name, value in flags.items()}
    data = Path(str(given["data"].value if "data" in given else DEFAULT_DATA)).expanduser().absolute()
    named = config or (Path(env[PREFIX + "CONFIG"]) if env.get(PREFIX + "CONFIG") else None)
    file = (named or data / FILE_NAME).expanduser()
    if named or file.exists():
        given = _from_file(file, problems) | given
    if "data" in given:
        data = Path(str(given["data"].value)).expanduser().absolute()
    return _check(given | {"data": Given(data, _source(given, KEYS["data"]))}, problems)


def _from_file(file: Path, problems: list[str]) -> dict[str, Given]:
    try:
        table = tomllib.loads(file.read_text())
    except OSError as error:
        problems.append(f"{file} can't be read: {error.strerror}")
        return {}
    except ValueError as error:  # no TOML, or no UTF-8
        problems.append(f"{file} isn't TOML: {error}")
        return {}
    found = {}
    for name, value in _flat(table):
        if name in KEYS:
            found[name] = Given(value, f"{file}:{name}")
        else:
            problems.append(f"{file}:{name}: there is no such setting{_meant(name, list(KEYS))}")
    return found


def _flat(table: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in table.items():
        path = prefix + name
        inner = any(key.startswith(path + ".") for key in KEYS)
        if isinstance(value, dict) and (inner or path not in KEYS):
            yield from _flat(value, path + ".")
        else:
            yield path, value


def _from_environment(env: Mapping[str, str], problems: list[str]) -> dict[str, Given]:
    by_variable = {key.variable: key for key in KEYS.values()}
    found = {}
    for variable, text in env.items():
        rest = variable.removeprefix(PREFIX)
        if rest == variable or rest in _OTHERS or rest.startswith(_OTHERS_BEGIN):
            continue
        if _KUBERNETES.fullmatch(rest) and (rest != "PORT" or "://" in text):
            continue
        key = by_variable.get(variable)
        if key is None:
            problems.append(f"{variable}: there is no such setting{_meant(variable, list(by_variable))}")
            continue
        try:
            found[key.name] = Given(_parsed(key, text), variable)
        except ValueError:
            problems.append(f"{variable}: {shown(key, text)!r} isn't JSON, such as [{{}}]")
    return found


def _parsed(key: Key, text: str) -> Any:
    if key.is_tables:
        return json.loads(text)
    if get_origin(key.annotation) is tuple:
        return [part.strip() for part in text.split(",") if part.strip()]
    return text


def _check(given: dict[str, Given], problems: list[str]) -> Loaded:
    if "intervals.lease" in given:
        given = _following(given)
    tree: dict[str, Any] = {"public_url": ""}
    for name, one in given.items():
        *groups, last = name.split(".")
        place = tree
        for group in groups:
            place = place.setdefault(group, {})
        place[last] = one.value
        # What a group has by itself, such as the limits of one door, also holds for the rest of it if a part is set.
        for key in KEYS.values():
            if groups and key.default is not None and key.name.rpartition(".")[0] == ".".join(groups):
                place.setdefault(key.name.rpartition(".")[2], key.default)
    settings = None
    try:
        settings = _adapter.validate_python(tree)
    except ValidationError as error:
        problems = problems + [_problem(one, given) for one in error.errors(include_url=False, include_input=False)]
    return Loaded(None if problems else settings, given, problems)


def _following(given: dict[str, Given]) -> dict[str, Given]:
    """A lease of another length has a heartbeat and a grace that fit it, unless they are set as well."""
    try:
        lease = float(given["intervals.lease"].value)
    except (TypeError, ValueError):
        return given
    fitting = {"intervals.heartbeat": min(15.0, lease / 4), "intervals.unknown_before_requeue": min(30.0, lease)}
    source = f"follows {given['intervals.lease'].source}"
    return {name: Given(value, source) for name, value in fitting.items()} | given


def _problem(error: Any, given: Mapping[str, Given]) -> str:
    path = [str(part) for part in error["loc"]]
    names = [".".join(path[:length]) for length in range(len(path), 0, -1)]
    name = next((name for name in names if name in KEYS), names[0] if names else "")
    message = str(error["msg"]).removeprefix("Value error, ")
    one = given.get(name)
    if one is None:
        set_with = f": set it as {KEYS[name].variable}" if name in KEYS else ""
        return f"{name}: {message}{set_with}" if name else message
    return f"{one.source}: {shown(KEYS[name], one.value)!r}: {message}"


def _meant(name: str, known: list[str]) -> str:
    close = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _effective(settings: Settings | None, key: Key, given: Mapping[str, Given]) -> Any:
    if settings is None:
        return given[key.name].value if key.name in given else key.default
    value: Any = settings
    for part in key.name.split("."):
        value = getattr(value, part, None)
    return value


def _source(given: Mapping[str, Given], key: Key) -> str:
    return given[key.name].source if key.name in given else DEFAULT


def shown(key: Key, value: Any) -> str:
    """A value as it may be shown: no secret, no password of an address."""
    if value is None:
        return ""
    if key.is_secret:
        return _MASK
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, ByteSize):
        return value.human_readable().replace(".0", "")
    if key.is_tables and isinstance(value, list | tuple):
        return json.dumps([dataclasses.asdict(one) if dataclasses.is_dataclass(one) else one for one in value])  # type: ignore[arg-type]
    if isinstance(value, list | tuple):
        return ", ".join(str(one) for one in value)
    return _PASSWORD.sub(lambda found: f"{found[1]}:{_MASK}" if found[2] is None else found[2] + _MASK, str(value))
