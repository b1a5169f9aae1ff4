"""What the customer themselves has approved, on their own machine: the IMS's word alone never suffices.

<home>/approval.json            whether this agent applies only what was approved here
<home>/approvals/<job id>.json  one approval: of the plan that this job saved, with this digest, and of no other
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from agent.durable import write_durably
from agent.failure import CodedError
from agent.install.workspace import PlanRecord
from agent.policy.rules import Finding
from api.contract.agents import DeployJob
from api.contract.base import Digest, Model

Mode = Literal["customer", "ims"]
_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")


class ApprovalMissingError(CodedError):
    """The plan would change something, and nobody on this side has approved it."""

    code = "approval_missing"


class _Setting(Model):
    mode: Mode


class LocalApproval(Model):
    """One plan that somebody on this machine has approved."""

    plan_job_id: str
    plan_digest: Digest
    component: str
    deploy_id: str
    approved_by: str
    approved_at: datetime
    note: str = ""


@dataclass(frozen=True)
class Approvals:
    """The approvals in an agent's home."""

    home: Path

    @property
    def mode(self) -> Mode:
        """`customer` = everything that is applied was approved here; `ims` = where the IMS says that the customer decides."""
        try:
            return _Setting.model_validate_json((self.home / "approval.json").read_bytes()).mode
        except FileNotFoundError:
            return "ims"

    def choose(self, mode: Mode) -> None:
        """Keep the mode for this and every later start."""
        write_durably(self.home / "approval.json", _Setting(mode=mode).model_dump_json().encode())

    def add(self, approval: LocalApproval) -> None:
        """Approve a plan. Whoever can write here can run anything as the agent anyway."""
        file = self._file(approval.plan_job_id)
        file.parent.mkdir(mode=0o700, exist_ok=True)
        write_durably(file, approval.model_dump_json(indent=2).encode())

    def find(self, plan_job_id: str) -> LocalApproval | None:
        """The approval of the plan that a job saved."""
        try:
            return LocalApproval.model_validate_json(self._file(plan_job_id).read_bytes())
        except FileNotFoundError:
            return None

    def check(self, job: DeployJob, record: PlanRecord, digest: Digest, asking: Sequence[Finding] = ()) -> str | None:
        """Raises ApprovalMissingError unless the plan may be applied: it is harmless, approved here, or needs no approval.

        `asking` are the rules of the customer's policy that want their yes to this plan. Gives who approved it here, if it was
        asked for.
        """
        if job.approval != "customer" and self.mode != "customer" and not asking:
            return None
        if record.plan_digest is None or (record.summary is not None and record.summary.empty):
            return None
        found = self.find(job.plan_job_id or "none")
        if found is not None and found.plan_digest == digest:
            return found.approved_by
        remedy = "Retry the deploy: its new plan waits until `exclave agent approve` was run on this machine."
        rules = ", ".join(repr(each.rule) for each in asking)
        because = f", which the customer's policy asks for (rule {rules})" if rules else ""
        raise ApprovalMissingError(f"the plan of {job.component} was not approved on this machine{because}", remedy=remedy)

    def _file(self, plan_job_id: str) -> Path:
        if not _SAFE.fullmatch(plan_job_id):
            raise ApprovalMissingError(f"{plan_job_id!r} can't be the id of a job")
        return self.home / "approvals" / f"{plan_job_id}.json"
