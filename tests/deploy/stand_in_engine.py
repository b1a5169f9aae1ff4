"""A stand-in for podman and docker, and for their `compose`: where no engine and no base image can be had.

It knows the options that the start scripts use, as the engines' manuals describe them, and refuses others. A container is the
real `start-agent` as a process of this machine, and its volume a folder below STAND_IN_STATE. Every call is a line of `calls`
there. What only an engine does (users, capabilities, the read-only file system) is not shown here.
"""

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import yaml

STATE = Path(os.environ["STAND_IN_STATE"])
START_AGENT = Path(__file__).parents[2] / "deploy/agent/start-agent"
MOUNTED = "/var/lib/exclave-agent"
RULES = "/etc/exclave"
FLAGS = {"--rm", "--interactive", "--detach", "--init", "--read-only", "-T", "--no-deps", "--force-recreate"}
VALUED = {
    "--cap-drop",
    "--security-opt",
    "--pids-limit",
    "--tmpfs",
    "--volume",
    "--env-file",
    "--entrypoint",
    "--restart",
    "--name",
}


def main(arguments: list[str]) -> int:
    """Act as the engine; returns the exit code."""
    with (STATE / "calls").open("a") as calls:
        calls.write(json.dumps(arguments) + "\n")
    if arguments[0] == "compose":
        return compose(arguments[1:])
    command, rest = arguments[0], arguments[1:]
    match command:
        case "run":
            options, (_image, *words) = parse(rest)
            state, rules = options["--volume"].split(" ")
            return run(state.removesuffix(f":{MOUNTED}"), {**options, "rules": rules.removesuffix(f":{RULES}:ro")}, words)
        case "exec":
            return inside(rest[0], rest[1:])
        case "stop" | "rm":
            return end(rest[-1])
        case "logs":
            print((STATE / f"{rest[-1]}.log").read_text())
            return 0
    raise AssertionError(f"the stand-in knows no {command}")


def compose(arguments: list[str]) -> int:
    """`compose`, with one service."""
    options, (command, *rest) = parse(arguments)
    settings = read_settings(options["--env-file"])
    document = Path("compose.yaml").read_text()
    for name, value in settings.items():
        document = document.replace("${" + name + "}", value)
    project = yaml.safe_load(document)
    (service,) = project["services"].values()
    assert service["read_only"]
    assert service["cap_drop"] == ["ALL"]
    volume = f"{project['name']}_state"
    state, rules = service["volumes"]
    assert state == f"state:{MOUNTED}"
    file = {"--env-file": service["env_file"], "rules": rules.removesuffix(f":{RULES}:ro")}
    match command:
        case "run":
            given, (_service, *words) = parse(rest)
            return run(volume, {**given, **file}, words)
        case "up":
            end(volume)
            return run(volume, {**file, "--detach": "", "--name": volume}, [])
        case "exec":
            _, (_service, *words) = parse(rest)
            return inside(volume, words)
        case "logs":
            print((STATE / f"{volume}.log").read_text())
            return 0
        case "version":
            return 0
    raise AssertionError(f"the stand-in knows no compose {command}")


def parse(arguments: list[str]) -> tuple[dict[str, str], list[str]]:
    """Options, and what comes behind them."""
    options: dict[str, str] = {}
    words = list(arguments)
    while words and words[0].startswith("-"):
        name, equals, value = words.pop(0).partition("=")
        assert name in FLAGS | VALUED, f"the stand-in knows no {name}"
        value = value if equals or name in FLAGS else words.pop(0)
        options[name] = f"{options[name]} {value}" if name in options else value
    return options, words


def read_settings(file: str) -> dict[str, str]:
    """An env-file: NAME=VALUE, as it is."""
    lines = [line for line in Path(file).read_text().splitlines() if line and not line.startswith("#")]
    return dict(line.split("=", 1) for line in lines)


def run(volume: str, options: dict[str, str], words: list[str]) -> int:
    """One container."""
    folder = STATE / volume
    folder.mkdir(exist_ok=True)
    program = options.get("--entrypoint") or str(START_AGENT)
    command = [program, *(word.replace(MOUNTED, str(folder)) for word in words)]
    places = {"EXCLAVE_STATE": str(folder), "EXCLAVE_GIVEN": "/none", "EXCLAVE_RULES": str(Path(options["rules"]).absolute())}
    environment = {**os.environ, **read_settings(options["--env-file"]), **places}
    if "--detach" not in options:
        given = None if "--interactive" in options or "-T" in options else subprocess.DEVNULL
        return subprocess.run(command, env=environment, stdin=given).returncode
    name = options["--name"]
    with (STATE / f"{name}.log").open("w") as log:
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    (STATE / f"{name}.pid").write_text(str(process.pid))
    (STATE / f"{name}.volume").write_text(volume)
    return 0


def inside(name: str, words: list[str]) -> int:
    """A program in a container that runs."""
    folder = STATE / (STATE / f"{name}.volume").read_text()
    return subprocess.run([word.replace(MOUNTED, str(folder)) for word in words]).returncode


def end(name: str) -> int:
    """End a container's process, if there is one."""
    file = STATE / f"{name}.pid"
    if not file.exists():
        return 1
    number = int(file.read_text())
    file.unlink()
    try:
        watched = os.pidfd_open(number)
    except ProcessLookupError:
        return 0
    os.kill(number, signal.SIGTERM)
    select.select([watched], [], [])
    os.close(watched)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
