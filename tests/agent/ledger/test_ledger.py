import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from agent.cli import agent_command
from agent.ledger import verify as verifying
from agent.ledger.ledger import HeldFile, Ledger, LedgerUnwritableError
from agent.ledger.verify import LedgerFile, entries, verify

NOW = datetime(2026, 11, 21, 9, 0, tzinfo=UTC)


def ledger(home: Path, **fields: int) -> Ledger:
    return Ledger(home, lambda: NOW, **fields)


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(agent_command, ["ledger", *(str(each) for each in arguments)])


def filled(home: Path, count: int = 5, **fields: int) -> Ledger:
    made = ledger(home, **fields)
    for number in range(count):
        made.append("job.taken", job=f"job_{number}")
    return made


def test_entries_form_a_chain_from_a_checkpoint_on(tmp_path: Path) -> None:
    made = filled(tmp_path)
    verdict = verify(made.files())
    assert verdict.broken is None
    assert (verdict.entries, verdict.torn) == (6, False)
    assert [each.event for each in entries(made.files())] == ["checkpoint", *["job.taken"] * 5]
    assert made.files()[0].stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("tamper", "line", "said"),
    [
        (lambda lines: [*lines[:2], lines[2].replace(b"job_1", b"job_X"), *lines[3:]], 3, "entry 3 was changed"),
        (lambda lines: [*lines[:2], *lines[3:]], 3, "entry 4 follows entry 2"),
        (lambda lines: [*lines[:2], lines[3], lines[2], *lines[4:]], 3, "entry 4 follows entry 2"),
        (lambda lines: lines[1:], 1, "not with a checkpoint"),
        (lambda lines: [*lines[:2], b"{}\n", *lines[2:]], 3, "this is no entry"),
        (lambda lines: [*lines[:2], b" " + lines[2], *lines[3:]], 3, "this is no entry"),
    ],
)
def test_what_was_tampered_with_is_found_with_its_line(tmp_path: Path, tamper: object, line: int, said: str) -> None:
    file = filled(tmp_path).files()[0]
    file.write_bytes(b"".join(tamper(file.read_bytes().splitlines(keepends=True))))  # type: ignore[operator]
    checked = run("verify", "--home", tmp_path)
    assert checked.exit_code == 1
    assert f"{file.name}:{line}: " in checked.output
    assert said in checked.output
    document = json.loads(run("verify", "--home", tmp_path, "--json").output)
    assert (document["ok"], document["broken"]["line"]) == (False, line)


def test_a_chain_that_was_written_anew_is_found_by_a_head_that_was_written_down(tmp_path: Path) -> None:
    made = filled(tmp_path / "a")
    head = verify(made.files()).last
    assert head
    made.append("job.taken", job="job_6")
    assert verify(made.files(), head.hash).broken is None
    other = filled(tmp_path / "b", 9)
    assert verify(other.files()).broken is None
    assert "cut off or replaced" in str(verify(other.files(), "sha256:" + "1" * 64).broken)


def test_a_torn_last_line_is_healed_and_noted(tmp_path: Path) -> None:
    made = filled(tmp_path)
    file = made.files()[0]
    whole = file.read_bytes()
    for cut in (1, 20, len(whole.splitlines()[-1])):
        file.write_bytes(whole[:-cut])
        assert verify(made.files()).torn
        assert verify(made.files()).broken is None
        made.append("job.taken", job="next")
        assert verify(made.files()).broken is None
        assert [each.event for each in entries(made.files())][-2:] == ["healed", "job.taken"]


def test_a_ledger_whose_end_can_not_be_read_goes_on_and_the_check_says_where(tmp_path: Path) -> None:
    made = filled(tmp_path)
    with made.files()[0].open("ab") as file:
        file.write(b"not an entry\n")
    made.append("job.taken", job="next")
    assert [each.data.get("job") for each in entries(made.files())][-1] == "next"
    assert str(verify(made.files()).broken) == "000001.jsonl:7: this is no entry"


def test_rotation_keeps_the_chain_and_bounds_the_size(tmp_path: Path) -> None:
    made = filled(tmp_path, 100, file_bytes=2000, kept_files=3)
    assert len(made.files()) == 3
    verdict = verify(made.files())
    assert verdict.broken is None
    assert verdict.first
    assert verdict.last
    assert verdict.first.event == "checkpoint"
    assert verdict.first.seq > 1
    assert verdict.last.data == {"job": "job_99"}
    assert "was taken away" in run("verify", "--home", tmp_path).output

    middle = made.files()[1]
    middle.unlink()
    assert verify(made.files()).broken


@pytest.mark.parametrize("torn", [b"", b'{"at"'])
def test_a_file_whose_checkpoint_never_came_is_dropped(tmp_path: Path, torn: bytes) -> None:
    made = filled(tmp_path)
    (made.folder / "000002.jsonl").write_bytes(torn)
    made.append("job.taken", job="next")
    assert [file.name for file in made.files()] == ["000001.jsonl"]
    assert verify(made.files()).entries == 7


def test_an_export_is_checked_offline(tmp_path: Path) -> None:
    filled(tmp_path, 40, file_bytes=2000)
    exported = tmp_path / "export.jsonl"
    assert run("export", "--home", tmp_path, "--output", exported).exit_code == 0
    assert "the chain holds" in run("verify", exported).output
    shown = run("show", "--home", tmp_path, "--job", "job_7")
    assert "2026-11-21 09:00:00Z job.taken job=job_7" in shown.output
    assert len(run("show", "--home", tmp_path, "--json", "--last", "3").output.splitlines()) == 3


def test_what_can_not_be_written_is_said(tmp_path: Path) -> None:
    (tmp_path / "ledger").write_text("a file where the folder should be")
    with pytest.raises(LedgerUnwritableError) as caught:
        ledger(tmp_path).append("job.taken")
    assert caught.value.failure.retryable


@pytest.mark.e2e
def test_a_ledger_survives_a_kill_at_any_moment(tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from agent.ledger.ledger import Ledger\n"
        "made = Ledger(Path(sys.argv[1]), file_bytes=3000)\n"
        "while True: print(made.append('job.taken', job='x' * 200).seq, flush=True)\n"
    )
    for _ in range(5):
        command = [sys.executable, "-c", script, str(tmp_path)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout
            for _ in range(20):
                said = writer.stdout.readline()
            os.kill(writer.pid, signal.SIGKILL)
            rest = writer.stdout.read().splitlines()
        acknowledged = int(next((line for line in reversed(rest) if line), said))
        ledger(tmp_path).append("job.taken", job="after")
        verdict = verify(Ledger(tmp_path).files())
        assert verdict.broken is None
        assert verdict.last
        assert verdict.last.seq > acknowledged


def with_unknown(home: Path) -> Ledger:
    """A ledger in which a later version of the agent has written what this one doesn't know."""
    made = filled(home)
    made.append("plan.dreamt_of", job="job_9")  # type: ignore[arg-type]
    made.append("agent.sang")  # type: ignore[arg-type]
    return made


def test_entries_of_kinds_that_only_a_later_version_knows_are_links_as_all_others(tmp_path: Path) -> None:
    made = with_unknown(tmp_path)
    made.append("agent.started")  # by this version, which an update has put back
    checked = run("verify", "--home", tmp_path)
    assert checked.exit_code == 0, checked.output
    assert "9 entries, 1 to 9: the chain holds." in checked.output
    assert "Of kinds that this version doesn't know: 1 agent.sang, 1 plan.dreamt_of." in checked.output
    told = json.loads(run("verify", "--home", tmp_path, "--json").output)
    assert (told["ok"], told["unknown"]) == (True, {"agent.sang": 1, "plan.dreamt_of": 1})
    shown = run("show", "--home", tmp_path)
    assert "plan.dreamt_of (unknown to this version) job=job_9" in shown.output
    assert "job.taken job=job_0" in shown.output


def test_what_was_tampered_with_is_found_in_entries_of_unknown_kinds_too(tmp_path: Path) -> None:
    file = with_unknown(tmp_path).files()[0]
    whole = file.read_bytes()
    for old, new in ((b"plan.dreamt_of", b"plan.dreamt_up"), (b"job_9", b"job_8")):
        file.write_bytes(whole.replace(old, new))
        checked = run("verify", "--home", tmp_path)
        assert (checked.exit_code, "entry 7 was changed" in checked.output) == (1, True), checked.output


@pytest.mark.parametrize("command", ["verify", "show", "export"])
def test_a_ledger_is_read_as_it_is_at_one_moment_while_the_agent_takes_files_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """The agent writes so much, once the files are found, that none of them is left."""
    made = filled(tmp_path, 40, file_bytes=2000, kept_files=3)
    before = b"".join(file.read_bytes() for file in made.files())
    lines = verifying._lines

    def meanwhile(files: Sequence[LedgerFile]) -> Iterator[tuple[LedgerFile, int, bytes]]:
        monkeypatch.setattr(verifying, "_lines", lines)
        there = made.files()
        while set(there) & set(made.files()):
            made.append("job.taken", job="meanwhile")
        return lines(files)

    monkeypatch.setattr(verifying, "_lines", meanwhile)
    ran = run(command, "--home", tmp_path)
    assert ran.exit_code == 0, ran.output
    assert "meanwhile" not in ran.output
    if command == "export":
        assert ran.stdout_bytes == before
    elif command == "verify":
        assert f"{len(before.splitlines())} entries" in ran.output
        assert "cut off by a crash" not in ran.output
    else:
        assert "job=job_39" in ran.output


def test_a_ledger_is_read_up_to_the_moment_of_its_opening(tmp_path: Path) -> None:
    made = filled(tmp_path)
    with made.held() as files:
        made.append("job.taken", job="meanwhile")
        verdict = verify(files)
    assert (verdict.entries, verdict.torn, verdict.broken) == (6, False, None)
    (tmp_path / "copy").mkdir()
    shutil.copy(made.files()[0], tmp_path / "copy" / "000001.jsonl")
    (tmp_path / "copied").mkdir()
    (tmp_path / "copy").rename(tmp_path / "copied" / "ledger")
    assert "7 entries" in run("verify", "--home", tmp_path / "copied").output  # without the agent's lock


def test_nothing_in_a_ledger_does_more_to_a_terminal_than_be_shown(tmp_path: Path) -> None:
    """A failure's message has words of the vendor's."""
    ledger(tmp_path).append("job.ended", message="all is well\x1b[2K\rno\u202e", outcome="failed")
    shown = run("show", "--home", tmp_path).output
    assert r"message=" in shown
    assert not {"\x1b", "\r", "\u202e"} & set(shown)


def test_a_ledger_of_somebody_else_is_not_read_and_the_remedy_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def closed(of: Ledger) -> Iterator[list[HeldFile]]:
        raise PermissionError(13, "Permission denied", str(of.folder / "lock"))
        yield []

    monkeypatch.setattr(Ledger, "held", closed)
    for command in ("verify", "show", "export"):
        refused = run(command, "--home", tmp_path)
        assert refused.exit_code == 1
        assert "can't be read: Permission denied. Run this as the agent's user." in refused.output


def test_a_ledger_of_which_nothing_is_left_does_not_hold(tmp_path: Path) -> None:
    (tmp_path / "export.jsonl").write_bytes(b"no line's end")
    refused = run("verify", tmp_path / "export.jsonl")
    assert (refused.exit_code, "has no entry" in refused.output) == (1, True)
    assert "The ledger is empty." in run("verify", "--home", tmp_path).output
    (tmp_path / "identity.json").write_text("{}")
    refused = run("verify", "--home", tmp_path)
    assert (refused.exit_code, "its ledger was taken away" in refused.output) == (1, True)
    refused = run("verify", "--home", tmp_path, "--json")
    assert (refused.exit_code, json.loads(refused.output)["ok"]) == (1, False)
