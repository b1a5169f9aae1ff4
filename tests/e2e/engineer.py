"""What a vendor engineer does with the quickstart: init, apply, plan, destroy, and edits of its files."""

from pathlib import Path

from stage import Finished, Stage

PASSWORD = "canary-correct-horse"


def open_quickstart(stage: Stage) -> None:
    stage.start_ims()
    stage.install_provider()
    stage.copy_quickstart()
    done = stage.terraform("init", "-no-color", "-input=false")
    assert done.code == 0, done.output


def apply(stage: Stage, *arguments: str, join: str | None = None, **variables: str) -> Finished:
    return stage.terraform(
        "apply",
        "-no-color",
        "-auto-approve",
        "-input=false",
        *arguments,
        variables={"admin_password": PASSWORD, **variables},
        meanwhile=(lambda: stage.join(join)) if join else None,
    )


def plan(stage: Stage, **variables: str) -> Finished:
    """`terraform plan`: code 0 = no changes, 2 = changes, 1 = error."""
    return stage.terraform(
        "plan",
        "-no-color",
        "-input=false",
        "-detailed-exitcode",
        variables={"admin_password": PASSWORD, **variables},
    )


def destroy(stage: Stage, **variables: str) -> Finished:
    return stage.terraform(
        "destroy", "-no-color", "-auto-approve", "-input=false", variables={"admin_password": PASSWORD, **variables}
    )


def replace(file: Path, old: str, new: str) -> None:
    """Edit a file as the vendor engineer would; the text must be there."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
