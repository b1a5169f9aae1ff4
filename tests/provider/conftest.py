"""The sample provider, served in the test's own process, and a folder in which an engine finds it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from engines import Engine
from harness import Workspace, served
from sample_provider import ADDRESS, PREAMBLE, Sample, Store


@pytest.fixture
def sample() -> Sample:
    return Sample()


@pytest.fixture
def store(sample: Sample) -> Store:
    return sample.store


@pytest.fixture
def workspace(sample: Sample, engine: Engine, tmp_path: Path) -> Iterator[Workspace]:
    folder = tmp_path / "work"
    folder.mkdir()
    with served(sample, ADDRESS) as reattach:
        workspace = Workspace(engine, folder, PREAMBLE, {"TF_REATTACH_PROVIDERS": reattach})
        yield workspace
        workspace.destroy()
