"""The provider's pages say what its schemas say."""

from pathlib import Path

import provider_docs
import pytest
from provider_docs import EXAMPLES, PAGES, pages

from provider_bridge.resources.provider import ExclaveProvider

PAGES_BY_NAME = {str(path.relative_to(PAGES)): text for path, text in pages().items()}


def test_the_pages_are_fresh() -> None:
    stale = {str(path.relative_to(PAGES)) for path, text in pages().items() if not path.exists() or path.read_text() != text}
    assert stale == set(), "run `python scripts/provider_docs.py`"


def test_there_is_a_page_for_everything_and_for_nothing_else() -> None:
    written = {str(path.relative_to(PAGES)) for path in PAGES.rglob("*.md") if path.parent.name != "guides"}
    assert written == set(PAGES_BY_NAME)
    provider = ExclaveProvider({})
    groups = {
        "resources": provider.resources,
        "data-sources": provider.data_sources,
        "ephemeral-resources": provider.ephemeral_resources,
        "functions": provider.functions,
    }
    for folder, group in groups.items():
        assert {f"{folder}/{name.removeprefix('exclave_')}.md" for name in group} <= written


@pytest.mark.parametrize("name", [name for name in PAGES_BY_NAME if name.startswith("resources/")])
def test_a_resource_says_how_it_is_imported_and_used(name: str) -> None:
    text, kind = PAGES_BY_NAME[name], f"exclave_{Path(name).stem}"
    assert f"import {{\n  to = {kind}.example\n  id = " in text
    assert f'resource "{kind}" "example" {{' in text
    attributes = ExclaveProvider({}).resources[kind].schema.attributes
    assert [each for each in attributes if f"- `{each}` (" not in text] == []


@pytest.mark.parametrize("page", sorted(PAGES.rglob("*.md")), ids=lambda page: page.stem)
def test_a_page_has_the_front_matter_that_registries_read(page: Path) -> None:
    head = page.read_text().split("---\n")[1].splitlines()
    assert [line.split(":")[0] for line in head[:3]] == ["page_title", "subcategory", "description"]
    assert head[3].startswith("  ")
    assert head[3].strip()


def test_every_example_is_used() -> None:
    used = {"provider.tf", *(f"{kind}.tf" for kind in ExclaveProvider({}).resources)}
    used |= {f"ephemeral_{kind}.tf" for kind in ExclaveProvider({}).ephemeral_resources}
    assert {path.name for path in EXAMPLES.iterdir()} == used
    assert provider_docs.example("data-sources", "exclave_app", ExclaveProvider({}).data_sources["exclave_app"].schema) == (
        'data "exclave_app" "example" {\n  name = "shop"\n}'
    )
