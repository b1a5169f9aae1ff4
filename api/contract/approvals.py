"""Approvals: a plan waits for a person, who says yes or no to exactly the plan that they saw."""

from typing import Literal

from pydantic import Field

from api.contract.base import Digest, Model, Timestamp

Decision = Literal["approved", "rejected"]
Approver = Literal["vendor", "customer"]


class ApprovalDecision(Model):
    """Yes or no to one plan. Refused if the step waits for an approval of another plan than `plan_digest`."""

    plan_digest: Digest = Field(description="The digest of the plan that the caller saw: the step's `approval.plan_digest`.")
    note: str = Field(default="", max_length=2000, description="Why, for the history.")


class SkipRequest(Model):
    """Leave a component out of a deploy that is under way."""

    note: str = Field(default="", max_length=2000, description="Why, for the history.")


class StepApproval(Model):
    """What became of the approval that a step asks for.

    `decision` is None while it waits. A new plan needs a new approval: then all of this begins again.
    """

    approver: Approver = Field(description="Whose yes counts: a person's at the vendor, or the customer's own agent.")
    plan_digest: Digest
    requested_at: Timestamp
    expires_at: Timestamp | None = Field(description="When the step fails with `approval_expired`; None = never.")
    decision: Decision | None
    decided_by: str | None = Field(description="`token:<name>` or `agent:<id>`.")
    decided_at: Timestamp | None
    note: str
