"""The part of the agent protocol by which a customer approves: `exclave agent approve`, on the customer's own machine."""

from typing import Literal

from pydantic import Field

from api.contract.base import Digest, Model, Timestamp
from api.contract.resources import PlanSummary


class PendingApproval(Model):
    """One plan of the agent's install that waits for the customer. `plan` is what the IMS knows; the agent has its own."""

    deploy_id: str
    release_number: int | None
    step_id: str
    component: str
    action: Literal["apply", "destroy"]
    plan_job_id: str = Field(description="The job that saved the plan, on the agent's machine (`saved-plan`).")
    plan_digest: Digest
    plan: PlanSummary
    requested_at: Timestamp
    expires_at: Timestamp | None


class PendingApprovals(Model):
    """Every plan of the agent's install that waits for the customer, oldest first."""

    items: list[PendingApproval]


class AgentDecision(Model):
    """The customer's yes or no to one plan, said by their own agent."""

    decision: Literal["approved", "rejected"]
    plan_digest: Digest
    note: str = Field(default="", max_length=2000)
