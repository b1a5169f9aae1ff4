"""Check one commit out of a git repository."""

import asyncio
import base64
import os
import re
import shlex
import signal
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

from agent.build.byte_limit import byte_limit
from agent.build.program import Completed, OutputTooLongError, run_program
from agent.failure import CodedError
from api.contract.components import GitSource

MOST_BYTES = "EXCLAVE_GIT_BYTES"
"""How many bytes a source may have, packed and unpacked."""

_SECONDS = 600.0
_MOST_BYTES = 4 * 1024**3
_BLOCK = 512
"""`ulimit -f` counts in these (POSIX)."""
_FULL = re.compile(rf"signal {int(signal.SIGXFSZ)}\b|File too large|File size limit")
_MOST_OUTPUT = 64 * 1024 * 1024
_PLACES = frozenset({"GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_NAMESPACE"})
_TELLS = ("GIT_TRACE", "GIT_CURL_VERBOSE")
"""Variables that make git print what it sends, logins too."""
_COMMIT = re.compile(r"[0-9a-f]{4,40}", re.IGNORECASE)
_REF = re.compile(r"[A-Za-z0-9_@][^\s:^~?*\[\\\x00-\x1f]*")
_USER_INFO = re.compile(r"(?<=://)[^/@\s]+@")

# A repository decides about its content only, not about what runs here or how files are written.
_CONFIG = ("-c", "core.hooksPath=/dev/null", "-c", "core.autocrlf=false", "-c", "core.fsmonitor=false", "-c", "gc.auto=0")


class GitFailedError(CodedError):
    """git couldn't get the commit. The message ends with git's own last lines."""

    code = "git_failed"


@dataclass(frozen=True)
class GitLogin:
    """With what a repository is read: a password or token by https, or a private key by ssh; without, as the agent's user."""

    username: str = "git"
    password: str = field(default="", repr=False)
    ssh_key: str = field(default="", repr=False)


@dataclass(frozen=True)
class Commit:
    """A commit: its full hash, and when it was made, as RFC 3339 in UTC."""

    hash: str
    created: str


async def check_out(source: GitSource, folder: Path, env: Mapping[str, str], login: GitLogin | None = None) -> Commit:
    """Make `folder` the work tree of the commit that `source.ref` names, without submodules.

    Raises GitFailedError and LimitWrongError.
    """
    folder.mkdir(parents=True)
    async with _signed_in(source.url, folder.parent, login or GitLogin()) as more:
        git = _Git(folder, {**env, **more})
        return await _commit(git, source)


async def _commit(git: "_Git", source: GitSource) -> Commit:
    await git.must("init", "--quiet", field="config.source.git.url")
    await git.fetch(source)
    await git.check_size("FETCH_HEAD")
    await git.must("checkout", "--quiet", "--detach", "FETCH_HEAD", field="config.source.git.ref")
    shown = await git.must("show", "--no-patch", "--format=%H %ct", "HEAD", field="config.source.git.ref")
    commit, seconds = shown.output.split()[-2:]
    return Commit(commit, datetime.fromtimestamp(int(seconds), UTC).strftime("%Y-%m-%dT%H:%M:%SZ"))


@asynccontextmanager
async def signed_in_to_host(source: GitSource, folder: Path, login: GitLogin) -> AsyncIterator[dict[str, str]]:
    """Variables with which whatever git reads of the source's host, its modules say, is read with the source's login.

    A password goes to that host alone, never along with a redirect. A key, in a file in `folder`, is tried at every host that
    ssh is used for, which learns its public half at most; those of a running ssh-agent are tried, too.
    """
    parts = urlsplit(source.url)
    async with _signed_in(f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/", folder, login, alone=False) as variables:
        yield variables


@asynccontextmanager
async def _signed_in(place: str, folder: Path, login: GitLogin, *, alone: bool = True) -> AsyncIterator[dict[str, str]]:
    """The variables that tell git the login for `place`: it stands in no command line, and a key's file is gone afterwards."""
    if login.password:
        basic = base64.b64encode(f"{login.username}:{login.password}".encode()).decode()
        # For this address alone: git would send it to wherever a redirect leads.
        settings = [
            (f"http.{place}.extraHeader", f"Authorization: Basic {basic}"),
            ("http.followRedirects" if alone else f"http.{place}.followRedirects", "false"),
        ]
        variables = {"GIT_CONFIG_COUNT": str(len(settings))}
        for number, (key, value) in enumerate(settings):
            variables |= {f"GIT_CONFIG_KEY_{number}": key, f"GIT_CONFIG_VALUE_{number}": value}
        yield variables
    elif login.ssh_key:
        handle, name = await asyncio.to_thread(tempfile.mkstemp, dir=folder, prefix=".ssh-")
        try:
            with os.fdopen(handle, "w") as file:
                file.write(login.ssh_key.rstrip("\n") + "\n")
            only = "-oIdentitiesOnly=yes -oIdentityAgent=none " if alone else ""
            yield {"GIT_SSH_COMMAND": f"ssh -oBatchMode=yes {only}-i {shlex.quote(name)}"}
        finally:
            await asyncio.to_thread(os.unlink, name)
    else:
        yield {}


class _Git:
    """git in one folder, never asking anybody anything."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self._folder = folder
        self._most = byte_limit(env, MOST_BYTES, _MOST_BYTES)
        # Of one file: what is fetched is one pack. The limit holds for every program that git starts.
        self._limited = ("sh", "-c", f'ulimit -f {self._most // _BLOCK + 1} && exec "$@"', "git")
        self._env = {
            "GIT_SSH_COMMAND": "ssh -oBatchMode=yes",
            **{name: value for name, value in env.items() if name not in _PLACES and not name.startswith(_TELLS)},
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_ALLOW_PROTOCOL": "file:git:http:https:ssh",
            "LC_ALL": "C",
        }

    async def fetch(self, source: GitSource) -> None:
        """Bring the commit in as FETCH_HEAD: that commit alone if the server gives it by its name, else everything."""
        if not _REF.fullmatch(source.ref):
            raise GitFailedError(f"{source.ref!r} can't be a branch, tag or commit", field="config.source.git.ref")
        # A relative path is relative to where the agent runs, not to the new work tree.
        url = str(Path(source.url).absolute()) if _is_path(source.url) else source.url
        if (await self.run("fetch", "--quiet", "--depth=1", "--no-tags", "--", url, source.ref)).exit_code == 0:
            return
        remote = await self.must("ls-remote", "--", url, field="config.source.git.url")
        if _COMMIT.fullmatch(source.ref):
            await self.must(
                "fetch", "--quiet", "--", url, "+refs/heads/*:refs/all/heads/*", "+refs/tags/*:refs/all/tags/*",
                field="config.source.git.url",
            )  # fmt: skip
            found = await self.run("rev-parse", "--quiet", "--verify", f"{source.ref}^{{commit}}")
            if found.exit_code == 0:
                await self.must("fetch", "--quiet", "--", ".", found.output.strip(), field="config.source.git.ref")
                return
        names = [line.split("\t")[-1] for line in remote.output.splitlines() if "\trefs/heads/" in line]
        branches = ", ".join(name.removeprefix("refs/heads/") for name in names[:10])
        raise GitFailedError(
            f"{_clean(source.url)} has no branch, tag or commit {source.ref!r}",
            remedy=f"Its branches are: {branches}." if branches else "Push the commit first.",
            field="config.source.git.ref",
        )

    async def must(self, *arguments: str, field: str) -> Completed:
        completed = await self.run(*arguments)
        if completed.exit_code != 0:
            raise GitFailedError(
                f"git {arguments[0]} failed: {_clean(completed.last_lines())}",
                remedy="Check the URL, and that the build agent may read the repository: with `password_secret` or "
                "`ssh_key_secret`, or as its machine's user without being asked for a password. ssh must know the host.",
                field=field,
            )
        return completed

    async def check_size(self, commit: str) -> None:
        """Raises GitFailedError if the commit's files are too large together, however small a pack they came in."""
        listed = await self.must("ls-tree", "-r", "-l", "-z", "--full-tree", commit, field="config.source.git.ref")
        sizes = (entry.partition("\t")[0].split()[-1] for entry in listed.output.split("\0") if "\t" in entry)
        size = sum(int(each) for each in sizes if each.isdigit())
        if size > self._most:
            raise self._too_large(f"the commit's files have {size} bytes")

    def _too_large(self, what: str) -> GitFailedError:
        return GitFailedError(
            f"{what}, and a source may have {self._most}",
            remedy=f"Keep large files elsewhere, or raise {MOST_BYTES} in the build agent's environment.",
            field="config.source.git.url",
        )

    async def run(self, *arguments: str) -> Completed:
        try:
            completed = await run_program(
                [*self._limited, "git", *_CONFIG, *arguments],
                folder=self._folder,
                env=self._env,
                timeout=_SECONDS,
                most_output=_MOST_OUTPUT,
            )
            if completed.exit_code and (completed.exit_code == -signal.SIGXFSZ or _FULL.search(completed.output)):
                raise self._too_large(f"git {arguments[0]} writes a larger file")
            return completed
        except TimeoutError:
            raise GitFailedError(f"git {arguments[0]} took longer than {_SECONDS:g} s", field="config.source.git.url") from None
        except FileNotFoundError:
            raise GitFailedError("git isn't installed here", remedy="Install git on the build agent's machine.") from None
        except OutputTooLongError:
            raise GitFailedError(
                f"git {arguments[0]} says more than {_MOST_OUTPUT} bytes", field="config.source.git.url"
            ) from None
        except (OSError, ValueError) as error:  # arguments that no program can be given
            raise GitFailedError(f"git {arguments[0]} can't be run: {error}", field="config.source.git.url") from None


def _is_path(url: str) -> bool:
    try:
        return Path(url).exists()
    except (OSError, ValueError):  # too long for a path, say
        return False


def _clean(text: str) -> str:
    """The text without the user names and passwords of URLs."""
    return _USER_INFO.sub("***@", text)
