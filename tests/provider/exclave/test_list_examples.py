"""The examples of the list resources' pages, in an engine that has queries: valid, and answered by a real IMS."""

import re

from engines import Engine, needs, on_every_engine
from harness import Workspace
from provider_docs import PAGES, pages
from real_ims import RealIms


def examples() -> dict[str, str]:
    """The example of each page, by the type that the page is about."""
    found = {
        f"exclave_{path.stem}": re.search(r"```terraform\n(.*?)```", text, re.S)
        for path, text in pages().items()
        if path.parent == PAGES / "list-resources"
    }
    return {name: match[1] for name, match in found.items() if match}


@on_every_engine
def test_the_examples_of_list_resources_are_valid_and_answered(engine: Engine, workspace: Workspace, ims: RealIms) -> None:
    needs(engine, terraform="1.14.0")
    shown = examples()
    assert len(shown) == len(list((PAGES / "list-resources").glob("*.md"))), "each page has an example"
    assert all(f'list "{name}"' in text for name, text in shown.items())
    workspace.write("main.tf", "")
    workspace.write("examples.tfquery.hcl", "\n".join(shown.values()))
    valid = workspace.command("validate", "-query", "-no-color")
    assert valid.code == 0, valid.text

    ims.call("POST", "apps", {"name": "shop"})  # the one that the examples name
    asked = workspace.command("query", "-json")
    ims.call("DELETE", "apps/shop")
    assert asked.code == 0, asked.text
    assert not asked.diagnostics("warning"), asked.text
    workspace.write("examples.tfquery.hcl", shown["exclave_install"].replace("app_id ", "app_name "))
    wrong = workspace.command("validate", "-query", "-no-color")
    (workspace.folder / "examples.tfquery.hcl").unlink()
    assert (wrong.code, "app_name" in wrong.text) == (1, True), wrong.text
