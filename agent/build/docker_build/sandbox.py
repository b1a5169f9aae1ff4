"""Run a program as nobody in particular: `python sandbox.py [--network] -- PROGRAM ARGUMENT…`. Standard library only.

The program gets a user namespace of its own, in which it is root and outside of which it is an unprivileged range of users; and
mount, process and (without `--network`) network namespaces: no interface but a loopback that is down, so neither the agent's
services nor the cloud's metadata address can be reached. Linux only. Exits with the program's status; 125 if it fails itself.

An agent that runs as root takes the range from FIRST_USER; any other one, by newuidmap, that which /etc/subuid gives its user.
"""

import contextlib
import ctypes
import os
import pwd
import signal
import subprocess
import sys
from pathlib import Path

FIRST_USER = 2_000_000_000
"""The first user and group of the range for agents that run as root: nobody else's."""

_COUNT = 65_536
_NEW_USER, _NEW_MOUNTS, _NEW_PROCESSES, _NEW_NETWORK, _NEW_IPC = 0x10000000, 0x00020000, 0x20000000, 0x40000000, 0x08000000
_PRIVATE = 0x40000 | 0x4000  # MS_PRIVATE | MS_REC
_PARENT_DEATH = 1  # PR_SET_PDEATHSIG
_FAILED = 125


def subordinate(file: str) -> tuple[int, int] | None:
    """The first id and the count of the range that /etc/subuid or /etc/subgid gives this user; None without one."""
    names = {str(os.getuid())}
    with contextlib.suppress(KeyError):
        names.add(pwd.getpwuid(os.getuid()).pw_name)
    try:
        lines = Path(file).read_text().splitlines()
    except OSError:
        return None
    for line in lines:
        parts = line.split(":")
        if len(parts) == 3 and parts[0] in names:
            return int(parts[1]), int(parts[2])
    return None


def _write_maps(process: int) -> None:
    for kind, own, file in (("uid", os.getuid(), "/etc/subuid"), ("gid", os.getgid(), "/etc/subgid")):
        if os.getuid() == 0:
            Path(f"/proc/{process}/{kind}_map").write_text(f"0 {FIRST_USER} {_COUNT}\n")
            continue
        found = subordinate(file)
        if found is None:
            raise OSError(f"{file} gives this user no range")
        ids = ["0", str(own), "1", "1", str(found[0]), str(min(found[1], _COUNT))]
        subprocess.run([f"new{kind}map", str(process), *ids], check=True)


def _call(name: str, *arguments: int | bytes | None) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")


def _inside(argv: list[str], ready: int, go: int, namespaces: int) -> None:
    """In the child: new namespaces, then wait for the maps; the first process of the namespace runs the program."""
    _call("prctl", _PARENT_DEATH, signal.SIGKILL, 0, 0, 0)
    _call("unshare", namespaces)
    os.write(ready, b"1")
    if os.read(go, 1) != b"1":
        os._exit(_FAILED)
    os.setgid(0)
    os.setuid(0)
    os.setgroups([])
    first = os.fork()
    if first:
        # Whatever the program has started ends with the namespace's first process.
        _, status = os.waitpid(first, 0)
        os._exit(os.waitstatus_to_exitcode(status) % 256)
    _call("prctl", _PARENT_DEATH, signal.SIGKILL, 0, 0, 0)
    _call("mount", None, b"/", None, _PRIVATE, None)
    with contextlib.suppress(OSError):  # inside some containers it may not; its processes are alone all the same
        _call("mount", b"proc", b"/proc", b"proc", 0, None)
    os.execvp(argv[0], argv)  # noqa: S606 - a program with its arguments, no shell


def main(arguments: list[str]) -> int:
    """Run the program; its exit status."""
    network = arguments[:1] == ["--network"]
    argv = arguments[arguments.index("--") + 1 :]
    namespaces = _NEW_USER | _NEW_MOUNTS | _NEW_PROCESSES | _NEW_IPC | (0 if network else _NEW_NETWORK)
    ready, child_ready = os.pipe()
    child_go, go = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(ready)
            os.close(go)
            _inside(argv, child_ready, child_go, namespaces)
        except OSError as error:
            print(f"sandbox: {error}", file=sys.stderr, flush=True)
        os._exit(_FAILED)
    os.close(child_ready)
    os.close(child_go)
    if os.read(ready, 1) == b"1":
        try:
            _write_maps(child)
            os.write(go, b"1")
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"sandbox: {error}", file=sys.stderr, flush=True)
    os.close(go)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) % 256


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
