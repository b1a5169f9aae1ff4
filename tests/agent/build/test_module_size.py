"""Modules from elsewhere have a size that a bundle takes; more is an error that names them, and no login."""

import asyncio
from pathlib import Path

import pytest

from agent.build.terraform_module import module_size
from agent.build.terraform_module.module_size import MOST_BYTES, ModulesTooLargeError, check_size, fetched_within
from agent.bundle.vendored import MODULES, VendoredModule

pytestmark = pytest.mark.anyio

SOURCE = "git::https://user:canary-77@git.example.com/net.git?ref=v1"


def module(source: Path, name: str, address: str, files: int, size: int) -> VendoredModule:
    folder = source / MODULES / name
    folder.mkdir(parents=True)
    for number in range(files):
        (folder / f"{number}.tf").write_bytes(b"x" * size)
    return VendoredModule(address, "", folder, (name,))


def test_modules_that_are_too_large_together_are_refused_and_the_largest_is_named(tmp_path: Path) -> None:
    modules = [module(tmp_path, "net", SOURCE, 2, 300), module(tmp_path, "db", "https://example.com/db.zip", 1, 500)]
    check_size(tmp_path, modules, {MOST_BYTES: "1100"})
    check_size(tmp_path, modules, {})
    with pytest.raises(ModulesTooLargeError) as refused:
        check_size(tmp_path, modules, {MOST_BYTES: "1099"})
    failure = refused.value.failure
    assert "3 files with 1100 bytes" in failure.message
    assert "git::https://git.example.com/net.git?ref=v1 with 600 bytes" in failure.message
    assert "canary" not in failure.message
    assert MOST_BYTES in failure.remedy


def test_more_files_than_an_install_agent_unpacks_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module_size, "MOST_FILES", 3)
    modules = [module(tmp_path, "net", SOURCE, 4, 1)]
    with pytest.raises(ModulesTooLargeError, match="4 files"):
        check_size(tmp_path, modules, {})


def test_a_source_without_modules_is_fine(tmp_path: Path) -> None:
    check_size(tmp_path, [], {MOST_BYTES: "0"})


async def test_fetching_too_much_is_ended_before_it_is_all_there(tmp_path: Path) -> None:
    """It would go on for ever. A history may be larger than what a bundle takes of a module."""
    ended = list[bool]()

    async def fetching() -> None:
        module(tmp_path, "net", SOURCE, 1, 4001)
        try:
            await asyncio.Event().wait()
        finally:
            ended.append(True)

    with pytest.raises(ModulesTooLargeError, match="had 4001 bytes when fetching them was ended") as refused:
        await fetched_within(tmp_path / MODULES, {MOST_BYTES: "1000"}, fetching())
    assert ended == [True]
    assert MOST_BYTES in refused.value.failure.remedy


async def test_what_stays_within_the_limit_is_fetched_to_its_end(tmp_path: Path) -> None:
    module(tmp_path, "net", SOURCE, 2, 2000)

    async def fetching() -> str:
        await asyncio.sleep(0)
        return "fetched"

    assert await fetched_within(tmp_path / MODULES, {MOST_BYTES: "1000"}, fetching()) == "fetched"
