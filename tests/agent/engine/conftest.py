import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.engine.environment import cli_config, engine_environment
from agent.engine.find import Engine, examine, library_path
from agent.engine.run import Command


@pytest.fixture(params=["binary", "library"])
def engine(request: pytest.FixtureRequest) -> Engine:
    """Each kind of engine that this machine has."""
    found = library_path() if request.param == "library" else shutil.which("tofu") or shutil.which("terraform")
    if not found:
        pytest.skip(f"no engine as a {request.param} on this machine")
    return examine(Path(found), os.environ)


@pytest.fixture
def module(tmp_path: Path) -> Path:
    """The folder of a module, for a test to fill."""
    folder = tmp_path / "module"
    folder.mkdir()
    return folder


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """What an engine sees, with a mirror that has nothing."""
    (tmp_path / "mirror").mkdir()
    config = tmp_path / "engine.tfrc"
    config.write_text(cli_config(tmp_path / "mirror"))
    return engine_environment(os.environ, config)


@pytest.fixture
def command(engine: Engine, module: Path, environment: dict[str, str], tmp_path: Path) -> Callable[..., Command]:
    """Builds a command in the module, which is initialised first unless the command is `init` itself."""
    lock = os.open(tmp_path / "lock", os.O_RDWR | os.O_CREAT, 0o600)

    def build(*arguments: str) -> Command:
        if arguments[0] != "init" and not (module / ".terraform").exists():
            subprocess.run(
                [*engine.argv(), "init", "-input=false"], cwd=module, env=environment, check=True, capture_output=True
            )
        return Command(engine, arguments, module, environment, lock)

    return build
