"""What `exclave agent doctor` finds of the place where states are kept.

A folder and a backend of Terraform's own are real; the bucket is an emulator's (see `emulated_s3`).
"""

import json
import os
from pathlib import Path

import pytest
from patients import collected

from agent.doctor import state
from agent.state.folder import FolderStore
from agent.state.place import Place, remember

pytestmark = pytest.mark.anyio


async def test_the_place_of_the_states_is_tried_and_left_as_it_was(tmp_path: Path) -> None:
    place = tmp_path / "states"
    found = await collected(state.state(None, str(place), None, os.environ))
    assert {one.status for one in found.values()} == {"PASSED"}, found
    assert list(found) == ["state.write", "state.read", "state.lock", "state.delete"]
    assert [path.name for path in place.rglob("*") if path.is_file()] == [".lock"]


async def test_what_the_agent_remembers_is_tried_and_before_its_first_start_nothing(tmp_path: Path) -> None:
    assert {one.status for one in (await collected(state.state(tmp_path / "none", None, None, os.environ))).values()} == {
        "SKIPPED"
    }
    remember(tmp_path, Place(state=str(tmp_path / "elsewhere")))
    found = await collected(state.state(tmp_path, None, None, os.environ))
    assert str(tmp_path / "elsewhere") in found["state.write"].detail


async def test_a_bucket_passes_and_one_that_is_not_there_has_a_remedy(s3_place: str) -> None:
    found = await collected(state.state(None, s3_place, None, os.environ))
    assert {one.status for one in found.values()} == {"PASSED"}, found
    gone = await collected(state.state(None, s3_place.replace("s3://states-", "s3://no-such-"), None, os.environ))
    assert (gone["state.write"].status, gone["state.delete"].status) == ("FAILED", "SKIPPED")
    assert "read, write, list and delete" in gone["state.write"].remedy


class Careless(FolderStore):
    """A service that speaks S3 and doesn't know conditional writes: it takes whatever comes."""

    def write(self, name: str, data: bytes, tag: str | None) -> str:
        known = self.read(name)
        return super().write(name, data, known.tag if known else None)


async def test_a_store_that_lets_two_write_is_no_place_for_locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(state, "open_store", lambda text, home: Careless(tmp_path / "careless"))
    found = await collected(state.state(None, "s3://careless", None, os.environ))
    assert (found["state.read"].status, found["state.lock"].status) == ("PASSED", "FAILED")
    assert "conditional writes" in found["state.lock"].remedy
    assert [path for path in (tmp_path / "careless").rglob("*") if path.is_file() and path.name != ".lock"] == []


@pytest.mark.parametrize(("text", "remedy"), [("ftp://x", "Write home"), ("backend:/nonexistent.json", "Write JSON")])
async def test_a_place_that_is_none_is_told(text: str, remedy: str) -> None:
    found = await collected(state.state(None, text, None, os.environ))
    assert found["state.write"].status == "FAILED"
    assert remedy in found["state.write"].remedy


@pytest.mark.service
async def test_a_backend_of_the_customers_own_is_read_and_locked_by_the_engine(tmp_path: Path) -> None:
    file = tmp_path / "backend.json"
    file.write_text(json.dumps({"local": {"path": str(tmp_path / "kept" / "{component}.tfstate")}}))
    found = await collected(state.state(None, f"backend:{file}", None, os.environ))
    assert [found[name].status for name in ("state.read", "state.lock")] == ["PASSED", "PASSED"], found
    assert not list(tmp_path.glob("kept/*.tfstate")), "nothing was written"
    file.write_text(json.dumps({"no_such_backend": {"path": "{component}"}}))
    refused = await collected(state.state(None, f"backend:{file}", None, os.environ))
    assert refused["state.read"].status == "FAILED"
    assert "no_such_backend" in refused["state.read"].detail
