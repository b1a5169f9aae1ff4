"""The command lines of the sandbox, and whether this machine can have one."""

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from agent.build.program import run_program
from agent.failure import CodedError
from agent.sandbox import inside

_CHECK_SECONDS = 30.0

PATH = "/usr/local/bin:/usr/bin:/bin:/usr/local/sbin:/usr/sbin:/sbin"
SANDBOX = "EXCLAVE_PLUGIN_SANDBOX"
"""`off`, in an agent's environment, has plugins run without one, as the agent's user."""

HOME = "/tmp/home"  # noqa: S108 - in the sandbox, whose /tmp is its own

LIMITS: Mapping[str, int] = {"data": 2 * 1024**3, "fsize": 1024**3, "nofile": 1024, "nproc": 512, "core": 0}
"""What one program may have: bytes of memory and of a file, open files, processes."""


class SandboxImpossibleError(CodedError):
    """What runs programs of others needs namespaces, which the machine or the container doesn't give."""

    code = "sandbox_impossible"
    remedy = (
        "Run the agent on Linux as root, or as a user who may make user namespaces (kernel.unprivileged_userns_clone, AppArmor "
        "or the container's seccomp profile); or set EXCLAVE_PLUGIN_SANDBOX=off for it: then plugins run as its own user."
    )


def for_builders(folder: Path, *, network: bool = False, own: bool = False) -> list[str]:
    """What comes before the argv of a builder, which is root in there, and begins in `folder`.

    `own` is for programs of ours: the agent's user is that root, and the range of users follows it.
    """
    return [*_start(), "--cd", str(folder), *(["--network"] if network else []), *(["--own"] if own else []), "--"]


@dataclass(frozen=True)
class PlainSandbox:
    """Where a program runs as a plain user.

    `shown` are folders that it sees read-only as /tmp/NAME, `written` those into which it may write (see `ownership`), `hidden`
    those of which it sees nothing; it begins in /tmp/`begin`. It has no network without `network`.
    """

    shown: Mapping[str, Path]
    begin: str
    hidden: Sequence[Path] = ()
    written: Mapping[str, Path] = field(default_factory=dict)
    network: bool = False
    limits: Mapping[str, int] = field(default_factory=lambda: LIMITS)

    def argv(self, program: Sequence[str]) -> list[str]:
        """The command line that runs `program` in it."""
        options = ["--plain", "--cd", f"/tmp/{self.begin}"]  # noqa: S108
        for name, folder in self.shown.items():
            options += ["--bind", str(folder), name]
        for name, folder in self.written.items():
            options += ["--bind-to-write", str(folder), name]
        for folder in self.hidden:
            options += ["--hide", str(folder)]
        for name, number in self.limits.items():
            options += ["--limit", name, str(number)]
        return [*_start(), *options, *(["--network"] if self.network else []), "--", *program]

    def env(self, more: Mapping[str, str] | None = None) -> dict[str, str]:
        """A clean environment: nothing of the agent's."""
        own = {"PATH": PATH, "HOME": HOME, "TMPDIR": "/tmp", "LC_ALL": "C.UTF-8"}  # noqa: S108
        return {**own, **{inside.FOR_PROGRAM + name: value for name, value in (more or {}).items()}}

    async def check(self) -> None:
        """Raise SandboxImpossibleError if this machine doesn't let the agent make such a sandbox."""
        ended = await run_program(self.argv(["true"]), folder=Path("/"), env=self.env(), timeout=_CHECK_SECONDS)
        if ended.exit_code != 0:
            raise SandboxImpossibleError(f"this machine lets the agent make no sandbox: {ended.last_lines(1)}")


def _start() -> list[str]:
    return [sys.executable, "-I", str(Path(inside.__file__)), "--die-with", str(os.getpid())]
