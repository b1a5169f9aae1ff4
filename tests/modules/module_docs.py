"""The tables of inputs and outputs in the modules' READMEs, made from their variables and outputs.

    python tests/modules/module_docs.py      # writes them anew

A README has the lines `<!-- inputs -->`, `<!-- outputs -->` and `<!-- end -->`; what is between them is made here.
"""

import re
from pathlib import Path
from typing import Any

import hcl2

ROOT = Path(__file__).parents[2]
MODULES = sorted(path.parent for path in (ROOT / "modules").glob("*/versions.tf"))


def variables(folder: Path) -> dict[str, dict[str, Any]]:
    """The variables of a module, by name."""
    return _blocks(folder / "variables.tf", "variable")


def outputs(folder: Path) -> dict[str, dict[str, Any]]:
    """The outputs of a module, by name."""
    return _blocks(folder / "outputs.tf", "output")


def _blocks(path: Path, kind: str) -> dict[str, dict[str, Any]]:
    document: dict[str, Any] = hcl2.loads(path.read_text())
    return {name.strip('"'): body for block in document.get(kind, []) for name, body in block.items()}


def with_tables(folder: Path) -> str:
    """The README of a module with its tables as they must be."""
    inputs = ["| input | type, default | what |", "| --- | --- | --- |"]
    for name, variable in variables(folder).items():
        type_ = " ".join(_source(folder / "variables.tf", "variable", name, "type").split())
        type_ = type_.replace("({ ", "({").replace(" })", "})")
        default = (
            "required" if "default" not in variable else f"`{_source(folder / 'variables.tf', 'variable', name, 'default')}`"
        )
        inputs.append(f"| `{name}` | `{type_}`, {default} | {_text(variable['description'])} |")
    made = ["| output | what |", "| --- | --- |"]
    made += [f"| `{name}` | {_text(output['description'])} |" for name, output in outputs(folder).items()]
    text = (folder / "README.md").read_text()
    for name, rows in (("inputs", inputs), ("outputs", made)):
        text = re.sub(
            rf"(<!-- {name} -->\n).*?(<!-- end -->)",
            lambda found, rows=rows: found[1] + "\n".join(rows) + "\n" + found[2],
            text,
            flags=re.S,
        )
    return text


def _source(path: Path, kind: str, block: str, attribute: str) -> str:
    """An attribute's expression as it is written."""
    found = re.search(rf'^{kind} "{block}" \{{\n(.*?)^\}}', path.read_text(), re.S | re.M)
    assert found
    value = re.search(rf"^  {attribute}\s*= (.*?)(?=\n  \w|\n\n|\Z)", found[1], re.S | re.M)
    assert value
    return value[1].strip()


def _text(description: str) -> str:
    return description.strip('"').replace('\\"', '"').replace("|", "\\|")


if __name__ == "__main__":
    for module in MODULES:
        (module / "README.md").write_text(with_tables(module))
