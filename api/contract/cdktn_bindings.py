"""Writes the typed Python bindings of the provider for CDKTF: `python -m api.contract.cdktn_bindings`.

They say what the provider's own `schema.json` says: a class for each resource and data source, whose keyword arguments are what
a config gives and whose properties are references to its attributes; a TypedDict for each nested object.

Run it after `api.contract.provider_schema`; a test fails while the bindings are stale.
"""

import json
import keyword
import re
import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).parents[2]
_SCHEMA = _ROOT / "provider_bridge" / "resources" / "schema.json"
TARGET = _ROOT / "exclave_cdktn" / "bindings.py"

Fields = Mapping[str, Any]

_HEAD = '''\
"""The provider's resources and data sources, typed.

Generated from provider_bridge/resources/schema.json by `python -m api.contract.cdktn_bindings`. Don't edit.
"""

{imports}

from constructs import Construct

from exclave_cdktn.elements import DataSource, EphemeralMeta, EphemeralResource, Meta, Provider, Resource
from exclave_cdktn.library import cdk

__all__ = [
{exported}]


{classes}'''

_WIDTH = 128
_QUOTES = '"""'
_BACKSLASH = "\\"
_TAKEN = frozenset({"count", "depends_on", "for_each", "lifecycle", "provider", "connection", "provisioners", "node", "fqn"})
"""What Terraform or the library calls by this name already."""

_READERS = {
    '"string"': ("str", "get_string_attribute"),
    '"number"': ("float", "get_number_attribute"),
    '"bool"': ("cdk.IResolvable", "get_boolean_attribute"),
    '["list", "string"]': ("Sequence[str]", "get_list_attribute"),
    '["list", "number"]': ("Sequence[float]", "get_number_list_attribute"),
    '["map", "string"]': ("Mapping[str, str]", "get_string_map_attribute"),
    '["map", "number"]': ("Mapping[str, float]", "get_number_map_attribute"),
    '["map", "bool"]': ("Mapping[str, bool]", "get_boolean_map_attribute"),
}
"""How a reference to an attribute is typed, and the method that makes it. Of anything else it is an IResolvable."""


def generated() -> str:
    """The whole of `bindings.py`."""
    schema = json.loads(_SCHEMA.read_text(encoding="utf-8"))
    parts: list[str] = []
    names: list[str] = []
    groups = (
        ("", "Resource", schema["resources"]),
        ("Data", "DataSource", schema["data_sources"]),
        ("Ephemeral", "EphemeralResource", schema["ephemeral_resources"]),
    )
    for prefix, base, group in groups:
        for kind, fields in group.items():
            name = prefix + class_name(kind)
            objects = dict(_objects(name, _config(fields)))
            parts += [_typed_dict(*each) for each in objects.items()]
            parts.append(_element(name, base, kind, fields))
            names += [*objects, name]
    parts.append(_provider(schema["provider"]))
    names.append("ExclaveProvider")
    exported = "".join(f'    "{name}",\n' for name in sorted(names))
    classes = "\n\n".join(parts)
    return _HEAD.format(imports=_imports(classes), exported=exported, classes=classes)


def _imports(classes: str) -> str:
    """The import lines of what the classes use."""
    known = {"collections.abc": ("Mapping", "Sequence"), "typing": ("Any", "Required", "TypedDict", "Unpack")}
    used = {
        module: [name for name in names if re.search(rf"\b{name}\[|\({name}\b|\b{name}\] =", classes)]
        for module, names in known.items()
    }
    return "\n".join(f"from {module} import {', '.join(names)}" for module, names in used.items() if names)


def class_name(kind: str) -> str:
    """`ExclaveApp` for `exclave_app`."""
    return "".join(word.capitalize() for word in kind.split("_"))


def _config(fields: Fields) -> dict[str, Fields]:
    """What a config may give, required attributes first."""
    given = {name: each for name, each in _attributes(fields).items() if each.get("required") or each.get("optional")}
    return dict(sorted(given.items(), key=lambda item: not item[1].get("required")))


def _attributes(fields: Fields) -> dict[str, Fields]:
    """Attributes and blocks: in JSON, a block is written as an attribute with the same content."""
    blocks = {name: _as_attribute(block) for name, block in fields.get("blocks", {}).items()}
    return {**fields["attributes"], **blocks}


def _as_attribute(block: Fields) -> Fields:
    kept = {name: value for name, value in block.items() if name in ("description", "nesting", "exactly_one_of")}
    return {**kept, "nested": _attributes(block), "required" if block.get("min_items") else "optional": True}


def _python(name: str) -> str:
    """An attribute's name as Python and the library allow it."""
    return f"{name}_" if keyword.iskeyword(name) or name in _TAKEN else name


def _objects(owner: str, attributes: Mapping[str, Fields]) -> Iterator[tuple[str, Fields]]:
    """The nested objects of a config, the innermost first, by the name of their class."""
    for name, fields in attributes.items():
        if "nested" in fields:
            nested = owner + class_name(name)
            yield from _objects(nested, fields["nested"])
            yield nested, fields


def _type(owner: str, name: str, fields: Fields) -> str:
    """The type of an argument. References to whole objects, maps and flags of other resources are IResolvable."""
    if "nested" in fields:
        nested = owner + class_name(name)
        shape = {"single": "{}", "map": "Mapping[str, {}]", "list": "Sequence[{}]", "set": "Sequence[{}]"}
        return f"{shape[fields.get('nesting', 'single')].format(nested)} | cdk.IResolvable"
    written = _constraint(fields["type"])
    return written if written in ("str", "float", "Any") else f"{written} | cdk.IResolvable"


def _constraint(of: Any) -> str:
    """The Python type for a type constraint of Terraform's."""
    match of:
        case "string" | "number" | "bool":
            return {"string": "str", "number": "float", "bool": "bool"}[of]
        case ["list" | "set", inner]:
            return f"Sequence[{_constraint(inner)}]"
        case ["map", inner]:
            return f"Mapping[str, {_constraint(inner)}]"
    return "Any"


def _typed_dict(name: str, fields: Fields) -> str:
    inner = fields["nested"]
    lines = [f"class {name}(TypedDict, total=False):", *_docstring(4, fields["description"], _listed("Keys", inner)), ""]
    for key, each in sorted(inner.items(), key=lambda item: not item[1].get("required")):
        if not key.isidentifier() or keyword.iskeyword(key):
            raise ValueError(f"{name} has a key {key!r}, which a class can't have: write it with TypedDict(…) here")
        written = _type(name, key, each)
        lines.append(f"    {key}: " + (f"Required[{written}]" if each.get("required") else written))
    return "\n".join(lines) + "\n"


def _element(name: str, base: str, kind: str, fields: Fields) -> str:
    config = _config(fields)
    lines = [f"class {name}({base}):", *_docstring(4, fields["description"]), "", f'    TYPE = "{kind}"', ""]
    lines += _constructor(name, config, fields, f"**meta: Unpack[{'EphemeralMeta' if base == 'EphemeralResource' else 'Meta'}]")
    lines += _call(config, "self.TYPE, ", "meta")
    for attribute, each in _attributes(fields).items():
        if not each.get("write_only"):
            lines += _property(attribute, each)
    return "\n".join(lines) + "\n"


def _constructor(name: str, config: Mapping[str, Fields], fields: Fields, last: str) -> list[str]:
    """The head of `__init__`. In a data source, whose nested objects are only read, no class of the resource's is needed."""
    lines = [
        "    def __init__(",
        "        self,",
        "        construct_scope: Construct,",
        "        construct_id: str,",
        "        /,",
    ]
    lines += ["        *,"] if config or not last.startswith("**") else []
    for attribute, each in config.items():
        written = _type(name, attribute, each)
        end = "" if each.get("required") else " | None = None"
        lines.append(f"        {_python(attribute)}: {written}{end},")
    lines += [f"        {last},", "    ) -> None:"]
    one = f"Exactly one of {', '.join(fields['exactly_one_of'])} is given." if fields.get("exactly_one_of") else ""
    first = "Arguments as in HCL." if config else "No arguments but Terraform's own."
    return lines + _docstring(8, first, one, _listed("Args", config))


def _call(config: Mapping[str, Fields], before: str, after: str) -> list[str]:
    given = [f'            "{name}": {_python(name)},' for name in config]
    attributes = ["        attributes = {", *given, "        }"] if given else ["        attributes: dict[str, Any] = {}"]
    return [*attributes, f"        super().__init__(construct_scope, construct_id, {before}attributes, {after})"]


def _property(name: str, fields: Fields) -> list[str]:
    of = fields.get("type")
    written, reader = _READERS.get(json.dumps(of), ("cdk.IResolvable", "interpolation_for_attribute"))
    head = ["", "    @property", f"    def {_python(name)}(self) -> {written}:"]
    return [*head, *_docstring(8, fields["description"]), f'        return self.{reader}("{name}")']


def _provider(fields: Fields) -> str:
    config = _config(fields)
    lines = ["class ExclaveProvider(Provider):", *_docstring(4, fields["description"]), ""]
    lines += _constructor("ExclaveProvider", config, fields, "alias: str | None = None")
    lines += _call(config, "", "alias")
    return "\n".join(lines) + "\n"


def _listed(heading: str, attributes: Mapping[str, Fields]) -> str:
    """A section of a docstring with a line for each argument or key."""
    entries = [
        f"    {_python(name)}: {_one_line(fields['description'])}{_rules(fields)}" for name, fields in attributes.items()
    ]
    return "\n".join([f"{heading}:", *entries]) if entries else ""


def _rules(fields: Fields) -> str:
    """What a value has to satisfy, in words."""
    choices = fields.get("one_of")
    return f" One of {', '.join(choices)}." if choices else ""


def _docstring(indent: int, first: str, *sections: str) -> list[str]:
    """A docstring: `first`, then the sections, their entries wrapped."""
    text = "\n\n".join(part for part in (_one_line(first), *sections) if part)
    lines: list[str] = []
    for line in f"{_QUOTES}{text.replace(_BACKSLASH, _BACKSLASH * 2).replace(_QUOTES, '...')}".splitlines():
        margin = " " * (indent + len(line) - len(line.lstrip()))
        hang = margin if line.startswith(_QUOTES) else f"{margin}    "
        lines += textwrap.wrap(line.strip(), _WIDTH - 4, initial_indent=margin, subsequent_indent=hang) or [""]
    return [f"{lines[0]}{_QUOTES}"] if len(lines) == 1 else [*lines, f"{' ' * indent}{_QUOTES}"]


def _one_line(text: str) -> str:
    return " ".join(text.split())


if __name__ == "__main__":
    TARGET.write_text(generated(), encoding="utf-8")
