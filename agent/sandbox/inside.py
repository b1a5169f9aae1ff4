"""Run a program as nobody in particular: `python inside.py OPTION… -- PROGRAM ARGUMENT…`. Standard library, Linux only.

The program has mount, process and (without `--network`) network namespaces of its own: no interface but a loopback that is
down, so neither the agent's services nor the cloud's metadata address can be reached; and it ends when the process `--die-with`
does. Exits with the program's status; 125 if it fails itself.

A builder also gets a user namespace, in which it is root and outside of which it is an unprivileged range of users: from
FIRST_USER for an agent that runs as root; for any other one, by newuidmap, that which /etc/subuid gives its user. With `--own`,
for programs of the agent itself, that root is the agent's user, and the range follows it.

With `--plain`, for plugins, it is a plain user instead, the first of that range, without capabilities or a way to get any.
It has an empty /tmp, in which `--bind SOURCE NAME` shows a folder, read-only, under a name (`--bind-to-write`: not read-only);
what lies below a `--hide`-den folder isn't there. `--limit NAME NUMBER` sets a resource limit. An agent that has no range runs
it as its own user in a user namespace; that user's files can be read then, but for those hidden.

Variables that begin with FOR_PROGRAM are the program's, without that: what the vendor chose must mean nothing to this process.
"""

import argparse
import contextlib
import ctypes
import os
import pwd
import resource
import signal
import subprocess
import sys
from pathlib import Path

FIRST_USER = 2_000_000_000
"""The first user and group of the range for agents that run as root: nobody else's."""

FOR_PROGRAM = "EXCLAVE_FOR_PROGRAM_"

_COUNT = 65_536
_NEW_USER, _NEW_MOUNTS, _NEW_PROCESSES, _NEW_NETWORK, _NEW_IPC = 0x10000000, 0x00020000, 0x20000000, 0x40000000, 0x08000000
_PRIVATE = 0x40000 | 0x4000  # MS_PRIVATE | MS_REC
_READ_ONLY, _NO_SUID, _NO_DEVICES, _REMOUNT, _BIND = 1, 2, 4, 32, 4096
_PARENT_DEATH = 1  # PR_SET_PDEATHSIG
_NO_NEW_PRIVILEGES = 38
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


def _write_maps(process: int, options: argparse.Namespace) -> None:
    if options.alone:
        Path(f"/proc/{process}/setgroups").write_text("deny")
        Path(f"/proc/{process}/uid_map").write_text(f"{os.getuid()} {os.getuid()} 1\n")
        Path(f"/proc/{process}/gid_map").write_text(f"{os.getgid()} {os.getgid()} 1\n")
        return
    for kind, own, file in (("uid", os.getuid(), "/etc/subuid"), ("gid", os.getgid(), "/etc/subgid")):
        if os.getuid() == 0:
            Path(f"/proc/{process}/{kind}_map").write_text(f"0 {FIRST_USER} {_COUNT}\n")
            continue
        found = subordinate(file)
        if found is None:
            raise OSError(f"{file} gives this user no range")
        # Root in there may do what its user outside may: so that isn't the agent's user, whose keys are files.
        ids = ["0", str(found[0]), str(min(found[1], _COUNT))]
        if options.own or options.plain:
            ids = ["0", str(own), "1", "1", str(found[0]), str(min(found[1], _COUNT))]
        subprocess.run([f"new{kind}map", str(process), *ids], check=True)


def _call(name: str, *arguments: int | bytes | None) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if getattr(libc, name)(*arguments) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")


def _begin(options: argparse.Namespace, ready: int, go: int) -> None:
    """In the child: new namespaces, then wait for the maps; the first process of the namespace runs the program."""
    parent = os.getppid()
    _call("prctl", _PARENT_DEATH, signal.SIGKILL, 0, 0, 0)
    namespaces = _NEW_MOUNTS | _NEW_PROCESSES | _NEW_IPC | (0 if options.network else _NEW_NETWORK)
    if not options.plain or os.getuid() != 0:
        namespaces |= _NEW_USER
    _call("unshare", namespaces)
    os.write(ready, b"1")
    if os.read(go, 1) != b"1":
        os._exit(_FAILED)
    if namespaces & _NEW_USER and not options.alone:
        os.setgid(0)
        os.setuid(0)
        os.setgroups([])
        _call("prctl", _PARENT_DEATH, signal.SIGKILL, 0, 0, 0)  # becoming another user has taken it back
        if os.getppid() != parent:
            os._exit(_FAILED)
    first = os.fork()
    if first:
        # Whatever the program has started ends with the namespace's first process.
        _, status = os.waitpid(first, 0)
        os._exit(os.waitstatus_to_exitcode(status) % 256)
    _call("prctl", _PARENT_DEATH, signal.SIGKILL, 0, 0, 0)
    _call("mount", None, b"/", None, _PRIVATE, None)
    if options.plain:
        _furnish(options)
    with contextlib.suppress(OSError):  # inside some containers it may not; its processes are alone all the same
        _call("mount", b"proc", b"/proc", b"proc", 0, None)
    if options.plain:
        _become_plain(options)
    if options.cd:
        os.chdir(options.cd)
    env = {name: value for name, value in os.environ.items() if not name.startswith(FOR_PROGRAM)}
    env |= {name.removeprefix(FOR_PROGRAM): value for name, value in os.environ.items() if name.startswith(FOR_PROGRAM)}
    os.execvpe(options.program[0], options.program, env)  # noqa: S606 - a program with its arguments, no shell


def _furnish(options: argparse.Namespace) -> None:
    """An empty /tmp with what is to be seen in it, and nothing where something is to be hidden."""
    # Opened first: the new /tmp may cover them.
    folders = [*((*each, _READ_ONLY) for each in options.bind), *((*each, 0) for each in options.bind_to_write)]
    shown = [(os.open(source, os.O_PATH | os.O_DIRECTORY), name, how) for source, name, how in folders]
    _call("mount", b"tmpfs", b"/tmp", b"tmpfs", _NO_SUID | _NO_DEVICES, b"mode=1777,size=256m")
    for folder in options.hide:
        if Path(folder).is_dir():  # not, if it lay in the old /tmp
            _call("mount", b"tmpfs", os.fsencode(folder), b"tmpfs", _READ_ONLY | _NO_SUID, b"mode=0")
    for descriptor, name, how in shown:
        at = os.fsencode(f"/tmp/{name}")  # noqa: S108 - the sandbox's own
        Path(os.fsdecode(at)).mkdir(mode=0o755)
        _call("mount", f"/proc/self/fd/{descriptor}".encode(), at, None, _BIND, None)
        _call("mount", None, at, None, _BIND | _REMOUNT | how | _NO_SUID | _NO_DEVICES, None)
        os.close(descriptor)
    Path("/tmp/home").mkdir(mode=0o777)  # noqa: S108
    Path("/tmp/home").chmod(0o777)  # noqa: S108


def _become_plain(options: argparse.Namespace) -> None:
    """Another user where there is one, who can become nobody else; changing the user also takes all capabilities away."""
    for name, number in options.limit:
        kind = getattr(resource, f"RLIMIT_{name.upper()}")
        most = resource.getrlimit(kind)[1]
        least = int(number) if most == resource.RLIM_INFINITY else min(int(number), most)
        resource.setrlimit(kind, (least, least))
    if not options.alone:
        user = FIRST_USER if options.root else 1
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    _call("prctl", _NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    _call("prctl", _PARENT_DEATH, signal.SIGKILL, 0, 0, 0)  # as above


def _options(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--network", action="store_true")
    parser.add_argument("--own", action="store_true")
    parser.add_argument("--plain", action="store_true")
    parser.add_argument("--die-with", type=int)
    parser.add_argument("--bind", nargs=2, action="append", default=[])
    parser.add_argument("--bind-to-write", nargs=2, action="append", default=[])
    parser.add_argument("--hide", action="append", default=[])
    parser.add_argument("--limit", nargs=2, action="append", default=[])
    parser.add_argument("--cd")
    parser.add_argument("program", nargs="+")
    options = parser.parse_args(arguments)
    options.root = os.getuid() == 0
    options.alone = options.plain and not options.root and subordinate("/etc/subuid") is None
    return options


def main(arguments: list[str]) -> int:
    """Run the program; its exit status."""
    options = _options(arguments)
    if options.die_with is not None:
        _call("prctl", _PARENT_DEATH, signal.SIGKILL, 0, 0, 0)
        if os.getppid() != options.die_with:
            return _FAILED
    ready, child_ready = os.pipe()
    child_go, go = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(ready)
            os.close(go)
            _begin(options, child_ready, child_go)
        except OSError as error:
            print(f"sandbox: {error}", file=sys.stderr, flush=True)
        os._exit(_FAILED)
    os.close(child_ready)
    os.close(child_go)
    if os.read(ready, 1) == b"1":
        try:
            if not (options.plain and options.root):
                _write_maps(child, options)
            os.write(go, b"1")
        except (OSError, subprocess.CalledProcessError) as error:
            print(f"sandbox: {error}", file=sys.stderr, flush=True)
    os.close(go)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status) % 256


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
