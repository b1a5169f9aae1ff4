"""Writes docs/provider, the provider's pages as Terraform registries show them: `python scripts/provider_docs.py`.

What a page says comes from the provider's own schemas and functions; its example is docs/provider/examples/TYPE.tf, or for a
data source one made of what its schema asks for. Guides are written by hand. A test fails while the pages are stale, another
runs the examples through `terraform fmt` and `terraform validate`.
"""

import inspect
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from provider_bridge.framework.schema import Attribute, Block, Body, Schema  # noqa: E402
from provider_bridge.resources.provider import ExclaveProvider  # noqa: E402

PAGES = ROOT / "docs" / "provider"
EXAMPLES = PAGES / "examples"

_SUBCATEGORIES = {
    "Apps": ("app", "component"),
    "Releases": ("release", "build"),
    "Installs": ("install", "deployment", "agent", "enrollment"),
    "Access and secrets": ("secret", "token", "webhook"),
}
"""By the last word of a type's name."""

_IMPORT_IDS = {
    "exclave_app": "shop",
    "exclave_install": "acme",
    "exclave_release": "shop/3",
    "exclave_deployment": "acme",
    "exclave_secret": "license",
    "exclave_agent_enrollment": "enr_01jd2v7m3y8k6q4w9x5z0b1c2d",
    "exclave_webhook": "chat",
    "exclave_service_token": "ci",
}
_SHOWN = {
    "app_id": "shop",
    "install_id": "acme",
    "name": "license",
    "selector": "region=eu",
    "kind": "helm_chart",
    "component": "web",
    "role": "deployer",
}
"""Values of attributes in examples."""

_STATUS = {"agents": "online", "builds": "succeeded", "deployments": "running", "releases": "ready"}
_FILTERS = 2
"""So many filters of a list stand in its example; the page describes them all."""

_ID = "01jd2v7m3y8k6q4w9x5z0b1c2d"
_PREFIXES = {"app": "app", "component": "cmp", "install": "ins", "deployment": "ins", "release": "rel", "build": "bld"}
_PREFIXES |= {"secret": "sec", "agent": "agt", "enrollment": "enr", "webhook": "whk", "token": "tok"}
"""How ids begin, by the last word of a type's name."""

_TYPES = {"string": "String", "number": "Number", "bool": "Boolean"}


def pages() -> dict[Path, str]:
    """Every generated page by its path."""
    provider = ExclaveProvider({})
    found = {PAGES / "index.md": _index(provider)}
    groups: tuple[tuple[str, str, Mapping[str, Any]], ...] = (
        ("resources", "Resource", provider.resources),
        ("data-sources", "Data Source", provider.data_sources),
        ("ephemeral-resources", "Ephemeral Resource", provider.ephemeral_resources),
        ("list-resources", "List Resource", provider.list_resources),
    )
    for folder, what, group in groups:
        for kind in sorted(group):
            text = _page(kind, what, group[kind], example(folder, kind, group[kind].schema))
            found[PAGES / folder / f"{kind.removeprefix('exclave_')}.md"] = text
    for name in sorted(provider.functions):
        found[PAGES / "functions" / f"{name}.md"] = _function(name, provider.functions[name])
    return found


def example(folder: str, kind: str, schema: Schema) -> str:
    """The example of a resource or data source. Raises OSError where a resource has none."""
    if folder == "list-resources":
        filters = {name: _SHOWN[name] for name in schema.attributes if name != "name"}
        config = [f"    {line}" for line in _aligned(filters)]
        inner = ["", "  config {", *config, "  }"] if config else []
        return "\n".join([f'list "{kind}" "all" {{', "  provider = exclave", *inner, "}"])
    file = EXAMPLES / f"{'ephemeral_' if folder == 'ephemeral-resources' else ''}{kind}.tf"
    if folder != "data-sources":
        return file.read_text(encoding="utf-8").strip()
    return "\n".join([f'data "{kind}" "example" {{', *(f"  {line}" for line in _aligned(_asked(kind, schema))), "}"])


def _asked(kind: str, schema: Schema) -> dict[str, str]:
    """What a data source needs to be given, or could be."""
    given = [name for name, attribute in schema.attributes.items() if attribute.required]
    if schema.exactly_one_of:
        given = ["name"] if "name" in schema.exactly_one_of else ["app_id"]
    given = given or [name for name in ("app_id", "status", "kind", "selector", "role", "name") if name in schema.attributes]
    shown = _SHOWN | {"status": _STATUS.get(kind.removeprefix("exclave_"), "")}
    values = {name: _id(kind) if name == "id" else shown[name] for name in given[:_FILTERS]}
    if "name" in values:
        values["name"] = {"exclave_app": "shop", "exclave_apps": "shop", "exclave_install": "acme"}.get(
            kind, "web" if kind.endswith("_component") else _IMPORT_IDS.get(kind, "web")
        )
    if kind == "exclave_agents":
        values["kind"] = "install"
    return values


def _id(kind: str) -> str:
    return f"{_PREFIXES[kind.split('_')[-1]]}_{_ID}"


def _aligned(values: Mapping[str, str]) -> Iterator[str]:
    width = max(map(len, values), default=0)
    return (f'{name.ljust(width)} = "{value}"' for name, value in values.items())


def _head(title: str, about: str, subcategory: str = "") -> list[str]:
    first = about.split("\n")[0]
    return ["---", f'page_title: "{title}"', f'subcategory: "{subcategory}"', "description: |-", f"  {first}", "---", ""]


def _index(provider: ExclaveProvider) -> str:
    schema = provider.schema
    use = (EXAMPLES / "provider.tf").read_text(encoding="utf-8").strip()
    lines = [*_head("exclave Provider", schema.description), "# exclave Provider", "", schema.description, ""]
    lines += ["## Example Usage", "", "```terraform", use, "```", "", *_schema(schema)]
    return "\n".join(lines) + "\n"


def _page(kind: str, what: str, element: Any, shown: str) -> str:
    schema: Schema = element.schema
    lines = _head(f"{kind} {what} - exclave", schema.description, _subcategory(kind))
    lines += [f"# {kind} ({what})", "", schema.description, ""]
    if schema.exactly_one_of:
        *names, last = (f"`{name}`" for name in schema.exactly_one_of)
        lines += [f"Exactly one of {', '.join(names)} and {last} is given.", ""]
    if what == "List Resource":
        lines += ["For `terraform query`, in a file that ends in `.tfquery.hcl`; needs Terraform 1.14 or newer.", ""]
    lines += ["## Example Usage", "", "```terraform", shown, "```", "", *_schema(schema)]
    if what == "Resource":
        lines += ["", *_import(kind, element)]
    return "\n".join(lines) + "\n"


def _import(kind: str, element: Any) -> list[str]:
    """How to import it: by id or name, and by identity where it has one."""
    import_id = _IMPORT_IDS.get(kind, "shop/web")
    block = ["import {", f"  to = {kind}.example", f'  id = "{import_id}"', "}"]
    lines = ["## Import", "", inspect.getdoc(type(element).api_import) or "", "", "```terraform", *block, "```"]
    lines += ["", "Or on the command line:", "", "```shell", f"terraform import {kind}.example {import_id}", "```"]
    identity = element.schema.identity
    if identity:
        attributes = [f'    {name} = "{_id(kind)}"' for name in identity]
        block = ["import {", f"  to = {kind}.example", "  identity = {", *attributes, "  }", "}"]
        told = [f"- `{name}`: {attribute.description}" for name, attribute in identity.items()]
        lines += ["", "By identity, from Terraform 1.12 on:", "", "```terraform", *block, "```", "", *told]
    return lines


def _function(name: str, function: Any) -> str:
    call = (inspect.getdoc(type(function)) or "").split("`")[1]
    names = ", ".join(f"{one.name} {_type(one.type).lower()}" for one in function.parameters)
    lines = _head(f"{name} function - exclave", function.summary)
    lines += [f"# function: {name}", "", function.description, "", "Needs Terraform or OpenTofu 1.8 or newer.", ""]
    lines += ["## Example Usage", "", "```terraform", f"provider::exclave::{call}", "```", ""]
    lines += [
        "## Signature",
        "",
        "```text",
        f"{name}({names}) {_type(function.returns).lower()}",
        "```",
        "",
        "## Arguments",
        "",
    ]
    arguments = [
        f"{at}. `{one.name}` ({_type(one.type)}) {one.description}" for at, one in enumerate(function.parameters, start=1)
    ]
    return "\n".join([*lines, *arguments]) + "\n"


def _subcategory(kind: str) -> str:
    last = kind.split("_")[-1].removesuffix("s")
    return next(subcategory for subcategory, words in _SUBCATEGORIES.items() if last in words)


def _schema(body: Body) -> list[str]:
    """The section Schema: what a config gives, what is read, and below them each nested object."""
    nested: list[tuple[str, Body, str]] = []
    lines = ["## Schema", "", *_sections(body, "", nested)]
    while nested:
        path, inner, about = nested.pop(0)
        lines += ["", f'<a id="{_anchor(path)}"></a>', f"### Nested Schema for `{path}`", ""]
        lines += [f"{about}", ""] if about else []
        lines += _sections(inner, f"{path}.", nested, level="####")
    return lines


def _sections(body: Body, prefix: str, nested: list[tuple[str, Body, str]], level: str = "###") -> list[str]:
    """Required, Optional and Read-Only. Notes in `nested` what has a section of its own."""
    groups: dict[str, list[str]] = {"Required": [], "Optional": [], "Read-Only": []}
    for name, each in [*sorted(body.attributes.items()), *sorted(body.blocks.items())]:
        inner = each if isinstance(each, Block) else each.inner
        where = ""
        if inner is not None:
            one = (
                f"Exactly one of {', '.join(f'`{key}`' for key in inner.exactly_one_of)} is given."
                if inner.exactly_one_of
                else ""
            )
            nested.append((f"{prefix}{name}", inner, one))
            where = f" (see [below](#{_anchor(f'{prefix}{name}')}))"
        required = each.min_items > 0 if isinstance(each, Block) else each.required
        optional = isinstance(each, Block) or each.optional
        group = "Required" if required else "Optional" if optional else "Read-Only"
        groups[group].append(f"- `{name}` ({_described(each)}) {each.description}{_rules(each)}{where}".rstrip())
    lines: list[str] = []
    for title, entries in groups.items():
        if entries:
            lines += ([""] if lines else []) + [f"{level} {title}", "", *entries]
    return lines or ["It takes no arguments."]


def _anchor(path: str) -> str:
    return f"nested--{path.replace('.', '--')}"


def _described(each: "Attribute | Block") -> str:
    """`String, Sensitive` and the like."""
    if isinstance(each, Block):
        return {"single": "Block", "list": "Block List", "set": "Block Set"}[each.nesting]
    marks = (
        [_type(each.type)]
        if each.nested is None
        else [{"single": "Object"}.get(each.nesting, f"{each.nesting.title()} of Object")]
    )
    marks += [word for word, on in (("Sensitive", each.sensitive), ("Write-only", each.write_only)) if on]
    return ", ".join([*marks, *(["Deprecated"] if each.deprecated else [])])


def _type(of: Any) -> str:
    match of:
        case str():
            return _TYPES.get(of, of)
        case [shape, inner]:
            return f"{shape.title()} of {_type(inner)}"
    return "Object"


def _rules(each: "Attribute | Block") -> str:
    """What a value must satisfy and what happens with it, in words."""
    if isinstance(each, Block):
        return ""
    said = []
    if each.one_of:
        said.append(f"One of {', '.join(f'`{one}`' for one in each.one_of)}.")
    if each.pattern_means and not each.pattern_means.startswith("at least one"):
        said.append(f"{'Keys' if each.key_pattern else 'Form'}: {each.pattern_means}")
    if each.default not in (None, "", [], {}):
        said.append(f"Default: `{str(each.default).lower() if isinstance(each.default, bool) else each.default}`.")
    if each.minimum is not None and each.maximum is not None:
        said.append(f"From {each.minimum:g} to {each.maximum:g}.")
    if each.replaces:
        said.append("A change replaces the object.")
    return "".join(f" {one}" for one in said)


def main() -> None:
    """Write the pages, and remove those of what is no more."""
    found = pages()
    for folder in ("resources", "data-sources", "ephemeral-resources", "list-resources", "functions"):
        for old in (PAGES / folder).glob("*.md"):
            if old not in found:
                old.unlink()
    for path, text in found.items():
        os.makedirs(path.parent, exist_ok=True)  # noqa: PTH103
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
