import asyncio
import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.cancellation import Cancellation
from agent.engine.events import ChangeSummary, EngineEvent, ResourceEvent
from agent.engine.failures import failure_of, plan_is_stale
from agent.engine.find import Engine
from agent.engine.lock import WorkspaceBusyError, workspace_lock
from agent.engine.run import Command, Ended, Grace, capture, run

pytestmark = pytest.mark.anyio
Build = Callable[..., Command]

SIMPLE = 'resource "terraform_data" "a" { input = "hello" }\noutput "id" { value = terraform_data.a.id }\n'
SLOW = """
resource "terraform_data" "first" { input = "kept" }
resource "terraform_data" "slow" {
  depends_on = [terraform_data.first]
  provisioner "local-exec" { command = "echo $$ > started; exec sleep 300" }
}
"""


async def follow(command: Command, output: Path, cancellation: Cancellation | None = None) -> tuple[Ended, list[EngineEvent]]:
    events: list[EngineEvent] = []
    ended = await run(command, output, events.append, cancellation or Cancellation(), grace=Grace(120, 60), timeout=240)
    return ended, events


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(240):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def resources(module: Path) -> list[str]:
    return [resource["name"] for resource in json.loads((module / "terraform.tfstate").read_text())["resources"]]


async def test_a_run_is_told_as_events(command: Build, module: Path, tmp_path: Path) -> None:
    (module / "main.tf").write_text(SIMPLE)

    ended, events = await follow(command("apply", "-json", "-auto-approve"), tmp_path / "out")

    assert ended.succeeded
    assert ended.summary == ChangeSummary("apply", 1, 0, 0, "Apply complete! Resources: 1 added, 0 changed, 0 destroyed.")
    done = [event for event in events if isinstance(event, ResourceEvent)]
    assert [event.type for event in done] == ["planned_change", "apply_start", "apply_complete"]
    assert {event.address for event in done} == {"terraform_data.a"}


async def test_what_is_read_does_not_touch_the_disk(command: Build, module: Path) -> None:
    (module / "main.tf").write_text(SIMPLE)
    ended, printed = await capture(command("output", "-json"), timeout=240)
    assert ended.succeeded
    assert json.loads(printed) == {}


@pytest.mark.parametrize(
    ("stage", "arguments", "source", "summary", "where"),
    [
        ("init", ["init", "-json"], 'module "x" {\n  source = "./nowhere"\n}\n', "Unreadable module", "main.tf:1"),
        ("plan", ["plan", "-json"], 'output "x" {\n  value = local.nothing\n}\n', "Reference to undeclared local", "main.tf:2"),
        ("plan", ["plan", "-json", "-nonsense"], "", "Failed to parse command-line", ""),
        (
            "apply",
            ["apply", "-json", "-auto-approve"],
            'resource "terraform_data" "x" {\n  provisioner "local-exec" { command = "exit 7" }\n}\n',
            "local-exec provisioner error",
            "main.tf:2",
        ),
    ],
)
async def test_a_failure_says_what_terraform_said_and_where(
    stage: str, arguments: list[str], source: str, summary: str, where: str, command: Build, module: Path, tmp_path: Path
) -> None:
    if stage != "init":
        command(*arguments)
    (module / "main.tf").write_text(source)

    ended, _ = await follow(command(*arguments), tmp_path / "out")
    failure = failure_of(stage, ended)  # type: ignore[arg-type]

    assert not ended.succeeded
    assert failure.code == f"{stage}_failed"
    assert summary in failure.message
    assert where in failure.message
    assert failure.remedy
    assert not failure.retryable


async def test_errors_of_a_command_without_json_are_understood(command: Build, module: Path, tmp_path: Path) -> None:
    (module / "main.tf").write_text('module "x" {\n  source = "./nowhere"\n}\n')
    ended, _ = await follow(command("init", "-no-color"), tmp_path / "out")
    assert {error.summary for error in ended.errors} == {"Unreadable module directory"}


async def test_providers_come_from_the_mirror_alone(command: Build, module: Path, tmp_path: Path) -> None:
    (module / "main.tf").write_text('terraform {\n  required_providers { x = { source = "example.com/acme/x" } }\n}\n')
    ended, _ = await follow(command("init", "-json"), tmp_path / "out")
    assert not ended.succeeded
    assert str(tmp_path / "mirror") in failure_of("init", ended).message


async def test_the_agents_own_settings_do_not_reach_the_engine(
    command: Build, module: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    from agent.engine.environment import engine_environment

    passed = engine_environment(
        {"TF_VAR_x": "1", "TF_LOG": "trace", "TF_WORKSPACE": "w", "AWS_REGION": "r", "EXCLAVE_TOKEN": "t", "PATH": "/bin"},
        tmp_path / "engine.tfrc",
    )
    assert set(passed) - set(environment) == {"AWS_REGION"}
    assert not {"TF_VAR_x", "TF_LOG", "TF_WORKSPACE", "EXCLAVE_TOKEN"} & set(passed)


async def test_a_cancelled_apply_stops_within_the_grace_and_keeps_its_state(
    command: Build, module: Path, tmp_path: Path
) -> None:
    (module / "main.tf").write_text(SLOW)
    cancellation = Cancellation()
    running = asyncio.create_task(follow(command("apply", "-json", "-auto-approve"), tmp_path / "out", cancellation))
    await until((module / "started").exists)

    began = time.monotonic()
    cancellation.request("graceful")
    ended, _ = await running

    assert time.monotonic() - began < 180
    assert ended.stopped == "it was cancelled"
    assert not ended.succeeded
    assert "first" in resources(module)
    await until(lambda: not alive(int((module / "started").read_text())))


async def test_an_engine_that_ignores_sigint_is_killed(tmp_path: Path, environment: dict[str, str]) -> None:
    stubborn = tmp_path / "stubborn"
    stubborn.write_text("#!/bin/sh\ntrap '' INT TERM\ntouch started\nwhile :; do sleep 1; done\n")
    stubborn.chmod(0o755)
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    command = Command(Engine("binary", stubborn, "terraform", "1.8.0"), (), tmp_path, environment, lock)
    cancellation = Cancellation()
    running = asyncio.create_task(
        run(command, tmp_path / "out", lambda _: None, cancellation, grace=Grace(first=0.1, second=0.1))
    )
    await until((tmp_path / "started").exists)

    cancellation.request("graceful")

    assert (await running).exit_code == -signal.SIGKILL


async def test_a_command_that_takes_too_long_is_stopped(command: Build, module: Path, tmp_path: Path) -> None:
    (module / "main.tf").write_text(SLOW)
    ended = await run(command("apply", "-json", "-auto-approve"), tmp_path / "out", lambda _: None, Cancellation(), timeout=3)
    assert ended.stopped == "it took longer than 3 s"
    assert "took longer than 3 s" in failure_of("apply", ended).message


async def test_a_run_that_is_dropped_leaves_no_engine_behind(command: Build, module: Path, tmp_path: Path) -> None:
    (module / "main.tf").write_text(SLOW)
    running = asyncio.create_task(follow(command("apply", "-json", "-auto-approve"), tmp_path / "out"))
    await until((module / "started").exists)

    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    assert not alive(int((module / "started").read_text()))
    assert "first" in resources(module)


PARENT = """
import asyncio, os, sys
from pathlib import Path
from agent.cancellation import Cancellation
from agent.engine.find import Engine
from agent.engine.lock import workspace_lock
from agent.engine.run import Command, run

async def main(kind, path, module, lock, output):
    async with workspace_lock(Path(lock), limit=1) as held:
        engine = Engine(kind, Path(path), "terraform", "1.8.0")
        command = Command(engine, ("apply", "-json", "-auto-approve"), Path(module), dict(os.environ), held)
        await run(command, Path(output), lambda event: None, Cancellation())

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="PR_SET_PDEATHSIG is Linux's")
async def test_an_engine_whose_agent_is_killed_stops_and_keeps_its_state(
    engine: Engine, command: Build, module: Path, tmp_path: Path, environment: dict[str, str]
) -> None:
    (module / "main.tf").write_text(SLOW)
    command("apply")
    lock = tmp_path / "workspace" / "lock"
    agent = subprocess.Popen(  # noqa: ASYNC220
        [sys.executable, "-c", textwrap.dedent(PARENT), engine.kind, engine.path, module, lock, tmp_path / "out"],
        env=environment,
    )
    await until((module / "started").exists)
    with pytest.raises(WorkspaceBusyError):
        async with workspace_lock(lock, limit=0):
            pass

    agent.kill()
    agent.wait()

    # The lock is free only once the engine and everything that it started have ended.
    async with workspace_lock(lock, limit=240):
        assert not alive(int((module / "started").read_text()))
    assert "first" in resources(module)


async def test_a_saved_plan_is_stale_once_the_state_has_moved(command: Build, module: Path, tmp_path: Path) -> None:
    (module / "main.tf").write_text(SIMPLE)
    await follow(command("plan", "-json", "-out=saved"), tmp_path / "plan")
    await follow(command("apply", "-json", "-auto-approve"), tmp_path / "apply")

    ended, _ = await follow(command("apply", "-json", "saved"), tmp_path / "again")

    assert plan_is_stale(ended)


async def test_what_an_earlier_run_said_is_kept_and_not_taken_for_news(command: Build, module: Path, tmp_path: Path) -> None:
    (tmp_path / "out").write_text("from before\n")
    _, events = await follow(command("version"), tmp_path / "out")
    assert "from before" not in [event.text for event in events]
    assert (tmp_path / "out").read_text().startswith("from before\n")
