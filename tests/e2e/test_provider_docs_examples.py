"""The examples of the provider's pages, on the real provider: laid out and valid."""

import copy
import re
from pathlib import Path

from provider_docs import EXAMPLES, PAGES, pages
from stage import Stage


def shown(folder: str) -> str:
    """The first example of each page of a folder."""
    found = [
        re.search(r"```terraform\n(.*?)```", text, re.S) for path, text in pages().items() if path.parent == PAGES / folder
    ]
    return "\n".join(one[1] for one in found if one)


def test_every_example_is_valid(tmp_path: Path) -> None:
    stage = Stage(tmp_path / "stage")
    stage.home.mkdir(parents=True)
    stage.install_provider()
    (stage.folder / "ims.url").write_text("http://127.0.0.1:1")  # nothing is asked of an IMS
    own = copy.copy(stage)
    own.work = tmp_path / "all"
    for folder in ("modules/network", "migrate"):
        (own.work / folder).mkdir(parents=True)
    for file in EXAMPLES.glob("*.tf"):
        (own.work / file.name).write_text(file.read_text())
    (own.work / "data.tf").write_text(shown("data-sources"))
    calls = re.findall(r"provider::exclave::.*", shown("functions"))
    assert len(calls) >= 5
    (own.work / "functions.tf").write_text(
        "".join(f'output "f{at}" {{\n  value = {one}\n}}\n\n' for at, one in enumerate(calls))
    )
    for arguments in (("fmt", "-check", "-diff"), ("init", "-no-color", "-input=false"), ("validate", "-no-color")):
        done = own.terraform(*arguments)
        assert done.code == 0, done.output
