"""The pages say what is there: their commands exist with the options that they name, their links lead somewhere."""

import ast
import re
import shlex
from pathlib import Path

import click
import pytest

from api.cli import exclave

ROOT = Path(__file__).parents[3]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "terraform/examples").rglob("README.md")])


def commands(page: Path) -> list[str]:
    """Every `exclave …` of a page: in code blocks, indented or fenced, where a line may go on, and in code spans."""
    text = re.sub(r"\\\n\s*", "", page.read_text())
    fenced = re.findall(r"^[ ]*```[a-z]*\n(.*?)^[ ]*```", text, re.M | re.S)
    prose = re.sub(r"^[ ]*```.*?^[ ]*```", "", text, flags=re.M | re.S)
    lines = [line for block in fenced for line in block.splitlines()] + re.findall(r"^ {4}(.*)$", prose, re.M)
    spans = [" ".join(span.split()) for span in re.findall(r"`([^`]+)`", re.sub(r"^ {4}.*$", "", prose, flags=re.M))]
    starts = [re.sub(r"^(ExecStart=)?(\S*/)?(?=exclave )", "", one.strip()) for one in lines + spans]
    # In HCL, `exclave = {` names the provider.
    return [part.strip() for one in starts for part in re.split(r"&&|\|\s|;", one) if re.match(r"\s*exclave (?!=)", part)]


def commands_below(group: click.Command, path: tuple[str, ...] = ()) -> dict[tuple[str, ...], click.Command]:
    """Every command by its path, groups too."""
    found = {path: group}
    if isinstance(group, click.Group):
        for name in group.list_commands(click.Context(group)):
            command = group.get_command(click.Context(group), name)
            assert command
            found |= commands_below(command, (*path, name))
    return found


ALL = commands_below(exclave)


def wrong_with(command: str) -> str:
    """What a documented command gets wrong; empty if nothing."""
    words, path = shlex.split(command, comments=True)[1:], ()
    while words and (*path, words[0]) in ALL:
        path = (*path, words.pop(0))
    found = ALL[path]
    if isinstance(found, click.Group) and words and not words[0].startswith("-"):
        return f"there is no command {words[0]!r} in {' '.join(('exclave', *path))!r}"
    options = {name for one in found.params for name in (*one.opts, *one.secondary_opts)} | {"--help", "-h", "--version"}
    named = words[: words.index("--")] if "--" in words else words
    unknown = [word for word in named if word.startswith("--") and word.strip("[]").split("=")[0] not in options]
    return f"there is no option {unknown}" if unknown else ""


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_command_of_a_page_exists_with_its_options(page: Path) -> None:
    assert {command: wrong for command in commands(page) if (wrong := wrong_with(command))} == {}


def test_commands_are_found_where_pages_have_them() -> None:
    assert len(commands(ROOT / "docs/how-to/rotate-secrets.md")) >= 6
    assert "exclave up --config /etc/exclave/exclave.toml" in commands(ROOT / "docs/how-to/run-in-production.md")
    assert wrong_with("exclave secrets sett license")
    assert wrong_with("exclave secrets set license --value x")


@pytest.mark.parametrize("page", PAGES, ids=[str(page.relative_to(ROOT)) for page in PAGES])
def test_every_link_of_a_page_leads_to_a_file(page: Path) -> None:
    links = [link.split("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", page.read_text()) if "://" not in link]
    assert [link for link in links if link and not (page.parent / link).exists()] == []


def test_the_index_leads_to_every_page() -> None:
    front, index = (ROOT / "README.md").read_text(), (ROOT / "docs/README.md").read_text()
    pages = [page for page in PAGES if page.parent.name in ("how-to", "reference", "explanation")]
    assert [page for page in pages if f"]({page.relative_to(ROOT / 'docs')})" not in index] == []
    examples = [page.relative_to(ROOT) for page in PAGES if page.is_relative_to(ROOT / "terraform")]
    assert [page for page in examples if f"](../{page})" not in index] == []
    assert "](docs/README.md)" in front


@pytest.mark.parametrize("path", [path for path in ALL if len(path) > 1], ids=" ".join)
def test_a_list_of_commands_has_whole_sentences(path: tuple[str, ...]) -> None:
    """On a terminal 80 characters wide."""
    command, siblings = ALL[path], [one[-1] for one in ALL if one[:-1] == path[:-1]]
    assert command.hidden or not command.get_short_help_str(78 - 6 - max(map(len, siblings))).endswith("...")


def emitted() -> set[tuple[str, str]]:
    """Every action that the IMS's code names, as object and what happened; the second is empty where it is a variable."""
    found = set()
    for file in (ROOT / "api").rglob("*.py"):
        text = file.read_text()
        for node in ast.walk(ast.parse(text)) if ".emit(" in text else ():
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "emit" and node.args:
                words = (one.value for one in ast.walk(node.args[0]) if isinstance(one, ast.Constant))
                found |= {tuple(word.split(".")) for word in words if re.fullmatch(r"[a-z_]+\.[a-z_]*", str(word))}
    return found


def test_every_action_of_the_history_is_in_the_reference() -> None:
    rows = re.search(r"## Actions\n(.*?)\n## ", (ROOT / "docs/reference/events.md").read_text(), re.S)
    assert rows
    cells = [row.split("|")[1:3] for row in rows[1].splitlines() if row.startswith("| `")]
    listed = {
        (one, what)
        for objects, happened in cells
        for one in re.findall(r"`(\w+)`", objects)
        for what in ["", *re.findall(r"`(\w+)`", happened)]
    }
    found = emitted()
    assert len(found) > 40
    assert found - listed == set()
