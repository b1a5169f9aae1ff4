"""The folders of an install's components: what is kept, where, and for how long.

components/<name>/
  lock                       `sole-writer`: held while an engine lives in this workspace
  bundles/<digest>/          the bundle of the last plan, as it came
  work/                      its source, where the engine runs; made anew by each plan
  state/terraform.tfstate    Terraform's state: never leaves this machine
  plans/<job id>/            a saved plan, what it was made with, and what the engine said (`saved-plan`)
  outputs.json               all outputs, sensitive ones included
"""

import hashlib
import os
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from agent.durable import flush_folder, write_durably
from agent.failure import CodedError
from api.contract.base import Digest, Json, Model
from api.contract.components import ComponentConfig
from api.contract.resources import PlanSummary

_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_REMOVED = ".removed-"
KEPT_PLANS = 5


class UnsafeNameError(CodedError):
    """A component or job whose name can't be a folder's: the IMS must not reach outside of the agent's home."""

    code = "unsafe_name"


class StoredOutput(Model):
    """One output as Terraform gave it."""

    value: Json
    sensitive: bool


class StoredOutputs(Model):
    """All outputs of a component, as of its last apply."""

    outputs: dict[str, StoredOutput]

    def values(self) -> dict[str, Json]:
        """All values by name."""
        return {name: output.value for name, output in self.outputs.items()}


class PlannedRelease(Model):
    """The signed release that a plan was made of: its number, and the digest of the signed document."""

    number: int
    document: Digest


class PlanRecord(Model):
    """What a plan was made of, and what it would do. `plan_digest` is None if there was nothing to destroy, and so no plan.

    `config` and `repository` are those of the job that made it: whoever applies it uses these, whatever that job says. `asking`
    are the rules of the customer's policy that wanted their yes to it; `release` is left out where they ask for none, for
    earlier agents.
    """

    bundle: Digest
    destroy: bool
    plan_digest: Digest | None
    summary: PlanSummary | None = None
    config: ComponentConfig | None = None
    repository: str | None = None
    asking: tuple[str, ...] = ()
    release: PlannedRelease | None = Field(default=None, exclude_if=lambda release: release is None)


@dataclass(frozen=True)
class SavedPlan:
    """The folder of one plan."""

    folder: Path

    @property
    def file(self) -> Path:
        """The plan, as the engine wrote it."""
        return self.folder / "plan"

    @property
    def variables(self) -> Path:
        """The variables that it was made with."""
        return self.folder / "variables.tfvars.json"

    @property
    def environment(self) -> Path:
        """The variables of the environment that it was made in: a JSON object. Those of the agent itself aren't in it."""
        return self.folder / "environment.json"

    @property
    def secrets(self) -> Path:
        """What the plan marks as sensitive, so that no log of its apply shows it: a JSON list."""
        return self.folder / "secrets.json"

    @property
    def objects(self) -> Path:
        """What the plan would do, for the customer's rules, which are looked at once more when it is applied."""
        return self.folder / "objects.json"

    def said(self, command: str) -> Path:
        """What the engine printed during `command`. For `apply`, it exists from the moment the apply begins."""
        return self.folder / f"{command}.jsonl"

    def digest(self) -> Digest:
        """The plan file's own digest."""
        with self.file.open("rb") as file:
            return "sha256:" + hashlib.file_digest(file, "sha256").hexdigest()

    def record(self) -> PlanRecord | None:
        """What the plan was made of, or None if there is no such plan."""
        try:
            return PlanRecord.model_validate_json((self.folder / "record.json").read_bytes())
        except FileNotFoundError:
            return None

    def save(self, record: PlanRecord) -> None:
        """Make the plan one that can be applied."""
        write_durably(self.folder / "record.json", record.model_dump_json().encode())


@dataclass(frozen=True)
class Workspace:
    """The folder of one component."""

    root: Path

    @property
    def lock(self) -> Path:
        """The `sole-writer` lock."""
        return self.root / "lock"

    @property
    def bundles(self) -> Path:
        """Where bundles are unpacked."""
        return self.root / "bundles"

    @property
    def work(self) -> Path:
        """The folder in which the engine runs. Its path never changes: modules can see it."""
        return self.root / "work"

    @property
    def state(self) -> Path:
        """Terraform's state."""
        return self.root / "state" / "terraform.tfstate"

    def plan(self, job_id: str) -> SavedPlan:
        """The plan that the job `job_id` saved, or will save."""
        return SavedPlan(self.root / "plans" / _safe(job_id))

    def begin_plan(self, job_id: str) -> SavedPlan:
        """An empty folder for a new plan; only the last few plans before it are kept."""
        plan = self.plan(job_id)
        shutil.rmtree(plan.folder, ignore_errors=True)
        plans = plan.folder.parent
        plans.mkdir(parents=True, exist_ok=True)
        older = sorted((folder for folder in plans.iterdir()), key=lambda folder: folder.stat().st_mtime, reverse=True)
        for folder in older[KEPT_PLANS - 1 :]:
            shutil.rmtree(folder)
        plan.folder.mkdir(mode=0o700)  # what is in it may be secret
        return plan

    def outputs(self) -> StoredOutputs | None:
        """The outputs of the last apply, or None before the first."""
        try:
            return StoredOutputs.model_validate_json((self.root / "outputs.json").read_bytes())
        except FileNotFoundError:
            return None

    def store_outputs(self, outputs: StoredOutputs) -> None:
        """Replace the outputs."""
        write_durably(self.root / "outputs.json", outputs.model_dump_json().encode())

    def remove(self) -> None:
        """Remove everything of the component. It is gone at once, even if the process is killed in the middle."""
        gone = self.root.with_name(_REMOVED + self.root.name)
        shutil.rmtree(gone, ignore_errors=True)
        self.root.rename(gone)
        flush_folder(gone.parent)
        shutil.rmtree(gone)


class Components:
    """All workspaces of one install."""

    def __init__(self, home: Path, *, sweep: bool = True) -> None:
        """With `sweep`, what an earlier process began to remove is removed: for the agent itself, not for who looks in."""
        self.folder = home / "components"
        self.folder.mkdir(parents=True, exist_ok=True)
        for gone in self.folder.glob(_REMOVED + "*") if sweep else ():
            shutil.rmtree(gone)

    def of(self, component: str) -> Workspace:
        """The workspace of a component, which need not exist. Raises UnsafeNameError."""
        return Workspace(self.folder / _safe(component))

    def outputs(self, component: str) -> dict[str, Json] | None:
        """The outputs of a component, sensitive ones included, or None if it isn't deployed."""
        stored = self.of(component).outputs()
        return None if stored is None else stored.values()

    def sensitive_outputs(self, component: str) -> list[str]:
        """The names of the sensitive ones among them."""
        stored = self.of(component).outputs()
        return [name for name, output in stored.outputs.items() if output.sensitive] if stored else []

    def deployed(self) -> list[str]:
        """The names of the components that have outputs, sorted."""
        return sorted(path.parent.name for path in self.folder.glob("*/outputs.json"))

    def secrets(self) -> list[Json]:
        """The values of all sensitive outputs of the install."""
        stored = [self.of(name).outputs() for name in self.deployed()]
        return [output.value for outputs in stored if outputs for output in outputs.outputs.values() if output.sensitive]


def _safe(name: str) -> str:
    if not _SAFE.fullmatch(name) or os.sep in name:
        raise UnsafeNameError(f"{name!r} can't be the name of a component or a job")
    return name
