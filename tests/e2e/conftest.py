"""Real programs on one machine: IMS, build agent, registries, install agents, Terraform with the installed provider."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from stage import Stage

PASSWORD = "canary-correct-horse"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Everything in this folder runs real programs."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.e2e)


@pytest.fixture
def vendor(tmp_path: Path) -> Iterator[Stage]:
    """An IMS with its build agent, the provider installed, and the quickstart opened and initialised."""
    stage = Stage(tmp_path / "stage", lease_seconds=4)
    try:
        open_quickstart(stage)
        yield stage
    finally:
        stage.remove()


def open_quickstart(stage: Stage) -> None:
    stage.start_ims()
    stage.install_provider()
    stage.copy_quickstart()
    done = stage.terraform("init", "-no-color", "-input=false")
    assert done.code == 0, done.output


def apply(stage: Stage, *arguments: str, join: str | None = None, **variables: str):
    return stage.terraform(
        "apply",
        "-no-color",
        "-auto-approve",
        "-input=false",
        *arguments,
        variables={"admin_password": PASSWORD, **variables},
        meanwhile=(lambda: stage.join(join)) if join else None,
    )


def plan(stage: Stage, **variables: str):
    """`terraform plan`: code 0 = no changes, 2 = changes, 1 = error."""
    return stage.terraform(
        "plan",
        "-no-color",
        "-input=false",
        "-detailed-exitcode",
        variables={"admin_password": PASSWORD, **variables},
    )


def destroy(stage: Stage, **variables: str):
    return stage.terraform(
        "destroy", "-no-color", "-auto-approve", "-input=false", variables={"admin_password": PASSWORD, **variables}
    )


def replace(file: Path, old: str, new: str) -> None:
    """Edit a file as the vendor engineer would; the text must be there."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
