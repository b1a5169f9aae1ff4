"""What people and customers do to deploys: approve, reject, retry, skip, roll back, look for drift."""

from fastapi import APIRouter

from api.access import AgentOf, Deployer, Key, State
from api.contract.agent_approvals import AgentDecision, PendingApprovals
from api.contract.approvals import ApprovalDecision, SkipRequest
from api.contract.base import Model
from api.contract.resources import Deploy, RollbackCreate
from api.db.idempotency import once
from api.deploys import actions, approvals, drift_runs, view

router = APIRouter(prefix="/v1/deploys", tags=["deploys"])
installs = APIRouter(prefix="/v1/installs", tags=["deploys"])
protocol = APIRouter(prefix="/v1/agent", tags=["agent protocol"])


class _Request(Model):
    """What an Idempotency-Key stands for where the path says what is asked."""

    retry_of: str = ""
    install: str = ""
    release_id: str | None = None


@router.post("/{deploy}/steps/{step}/approve")
async def approve_step(deploy: str, step: str, body: ApprovalDecision, caller: Deployer) -> Deploy:
    """Let a plan be applied. Where the customer approves, this is refused."""
    return await caller.write(
        lambda tx: view.public(tx, approvals.decide_by_person(tx, deploy, step, "approved", body.plan_digest, body.note)),
    )


@router.post("/{deploy}/steps/{step}/reject")
async def reject_step(deploy: str, step: str, body: ApprovalDecision, caller: Deployer) -> Deploy:
    """Refuse a plan: its step fails, and what needs it is not run."""
    return await caller.write(
        lambda tx: view.public(tx, approvals.decide_by_person(tx, deploy, step, "rejected", body.plan_digest, body.note)),
    )


@router.post("/{deploy}/steps/{step}/retry")
async def retry_step(deploy: str, step: str, caller: Deployer) -> Deploy:
    """Try a failed step again while the deploy still runs."""
    return await caller.write(lambda tx: view.public(tx, actions.retry_step(tx, deploy, step)))


@router.post("/{deploy}/steps/{step}/skip")
async def skip_step(deploy: str, step: str, body: SkipRequest, caller: Deployer) -> Deploy:
    """Leave the step's component out of the deploy, with all that needs it."""
    return await caller.write(lambda tx: view.public(tx, actions.skip_step(tx, deploy, step, body.note)))


@router.post("/{deploy}/retry", status_code=201)
async def retry_deploy(deploy: str, ims: State, caller: Deployer, key: Key) -> Deploy:
    """Make a new deploy of the same release, which plans only what isn't cleanly there."""
    return await caller.write(
        lambda tx: once(
            tx, key, _Request(retry_of=deploy), Deploy, lambda: view.public(tx, actions.retry(tx, ims.vault, deploy))
        ),
    )


@installs.post("/{install}/rollback", status_code=201)
async def roll_back(install: str, body: RollbackCreate, ims: State, caller: Deployer, key: Key) -> Deploy:
    """Make a deploy of an earlier release."""
    return await caller.write(
        lambda tx: once(
            tx,
            key,
            _Request(install=install, release_id=body.release_id),
            Deploy,
            lambda: view.public(tx, actions.roll_back(tx, ims.vault, install, body.release_id)),
        ),
    )


@installs.post("/{install}/drift", status_code=201)
async def find_drift(install: str, ims: State, caller: Deployer) -> Deploy:
    """Look whether what is deployed has drifted; answers at once with the run, which may be under way already."""
    return await caller.write(lambda tx: view.public(tx, drift_runs.start_now(tx, ims.vault, install)))


@protocol.get("/approvals")
async def pending_approvals(ims: State, agent: AgentOf) -> PendingApprovals:
    """What waits for the customer on the agent's install."""
    return await ims.db.read(approvals.pending, agent)


@protocol.post("/deploys/{deploy}/steps/{step}/approval", status_code=204)
async def customer_decision(deploy: str, step: str, body: AgentDecision, ims: State, agent: AgentOf) -> None:
    """The customer's yes or no; the same answer again is harmless."""
    await ims.db.write(
        f"agent:{agent.id}", approvals.decide_by_agent, agent, deploy, step, body.decision, body.plan_digest, body.note
    )
