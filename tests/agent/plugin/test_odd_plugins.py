"""Plugins that say a lot, or too little, or never end."""

import asyncio
import sys
import time
from pathlib import Path

import pytest
from offline_agent import Clock, pass_time, until

from agent.plugin.executable import ExecutablePlugin
from agent.plugin.protocol import PluginError, Request, program_of

pytestmark = pytest.mark.anyio

LARGE = "x" * 2_000_000


def plugin(folder: Path, text: str, log: list[str], seconds: float = 240) -> ExecutablePlugin:
    (folder / "plugin.py").write_text(f"import sys, os, time, subprocess\n{text}\n")
    return ExecutablePlugin([sys.executable, "-I", "plugin.py"], folder, {}, log.append, seconds)


async def test_a_plugin_may_say_a_lot_before_it_listens(tmp_path: Path) -> None:
    """It waited for somebody to read its log, and the agent for it to hear the request: both until the time limit."""
    log: list[str] = []
    text = "sys.stderr.write('y' * 1_000_000 + '\\n')\nsys.stdin.read()\nprint('{\"state\": 1}')"
    async with asyncio.timeout(240):
        answer = await plugin(tmp_path, text, log).ask(Request(operation="plan", component="a", state=LARGE))
    assert (answer.state, [len(line) for line in log]) == (1, [1_000_000])


@pytest.mark.parametrize("anyio_backend", [("asyncio", {"loop_factory": Clock})], ids=["a clock that is moved"])
async def test_what_a_plugin_said_before_its_time_was_up_is_in_the_log(tmp_path: Path) -> None:
    log: list[str] = []
    text = (
        "print('waiting for the database', file=sys.stderr, flush=True)\nprint('half', end='', file=sys.stderr, flush=True)\n"
        "open('said', 'w').close()\ntime.sleep(600)"
    )
    asking = asyncio.create_task(plugin(tmp_path, text, log, seconds=300).ask(Request(operation="apply", component="a")))
    await until((tmp_path / "said").exists)
    await pass_time(1, step=0.1)  # what was said has a moment to arrive
    await pass_time(300, step=300)
    with pytest.raises(PluginError, match="longer than"):
        await asking
    assert log == ["waiting for the database", "half"]


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
async def test_a_plugin_that_never_stops_talking(tmp_path: Path, stream: str) -> None:
    text = f"while True: sys.{stream}.write('z' * 65536 + '\\n')"
    with pytest.raises(PluginError, match="writes more than"):
        await plugin(tmp_path, text, []).ask(Request(operation="apply", component="a"))


async def test_what_a_plugin_hides_from_its_group_is_not_waited_for(tmp_path: Path) -> None:
    began = time.monotonic()
    text = "subprocess.Popen(['sleep', '400'], start_new_session=True)"
    with pytest.raises(PluginError, match="longer than"):
        await plugin(tmp_path, text, [], seconds=1).ask(Request(operation="apply", component="a"))
    assert time.monotonic() - began < 240


@pytest.mark.parametrize("command", ["./a\0b", "./" + "a" * 5000])
def test_a_command_that_can_be_no_path(tmp_path: Path, command: str) -> None:
    with pytest.raises(PluginError, match="no program"):
        program_of([command], tmp_path)


async def test_an_argument_that_no_program_can_be_given(tmp_path: Path) -> None:
    with pytest.raises(PluginError, match="can't be started"):
        await ExecutablePlugin(["sh", "a\0b"], tmp_path, {}, print).ask(Request(operation="plan", component="a"))
