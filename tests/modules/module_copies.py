"""Copies of the modules, as they are or with one fault, and Terraform at work in them."""

import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from engines import Engine, engines
from harness import Workspace, served
from standin import StandIn

ROOT = Path(__file__).parents[2]
MODULES = {
    "aws": ROOT / "modules/ecr-access",
    "google": ROOT / "modules/gar-access",
    "install-aws": ROOT / "modules/install-agent-aws",
    "install-google": ROOT / "modules/install-agent-google",
}

ENGINE = engines()[0]


@dataclass(frozen=True)
class Mutation:
    """One fault of a module: a text that stands in one of its files once, and what takes its place.

    `reddens`: the rows of the matrix that must fail. `also`: more texts of the file, each with what takes its place.
    """

    name: str
    file: str
    text: str
    instead: str
    reddens: Sequence[str]
    also: Sequence[tuple[str, str]] = ()

    def __str__(self) -> str:
        return self.name

    def apply(self, module: Path) -> None:
        path = module / self.file
        content = path.read_text()
        for text, instead in ((self.text, self.instead), *self.also):
            assert content.count(text) == 1, f"{text!r} stands {content.count(text)} times in {self.file}"
            content = content.replace(text, instead)
        path.write_text(content)


def copy(module: Path, folder: Path, *mutations: Mutation) -> Path:
    """A copy of a module in a folder, without what Terraform has left there."""
    target = folder / module.name
    shutil.copytree(module, target, ignore=shutil.ignore_patterns(".terraform*", "*.tfstate*"))
    for mutation in mutations:
        mutation.apply(target)
    return target


@contextmanager
def terraform(provider: StandIn, folder: Path, engine: Engine = ENGINE) -> Iterator[Workspace]:
    """Terraform in a folder, with a stand-in in the place of the real provider. Nothing is destroyed at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    with served(provider, provider.address) as reattach:
        yield Workspace(engine, folder, "", {"TF_REATTACH_PROVIDERS": reattach, "HOME": os.devnull})


def initialise(workspace: Workspace) -> None:
    """Let Terraform find the modules of the configuration."""
    run = workspace.command("init", "-backend=false", "-input=false", "-no-color")
    assert run.code == 0, run.text
