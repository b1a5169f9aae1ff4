"""An agent that ends by itself, in order: nothing of it is at work, and it can't come back with this key."""

from api.agents import service
from api.agents.service import AgentCaller
from api.contract.problems import ConflictError
from api.db.transaction import Write
from api.deploys import service as deploys
from api.jobs import queue


def disconnect(tx: Write, caller: AgentCaller) -> None:
    """End the caller's access. What it has deployed stays; another agent can be enrolled in its place.

    Raises ConflictError while it has jobs, or a deploy is under way on its install.
    """
    row = service.still_signed_in(tx, caller)
    if jobs := queue.leased_to(tx, row.id):
        raise ConflictError(
            f"the agent still has {len(jobs)} jobs, such as the {jobs[0].kind} {jobs[0].id}",
            remedy="Start it once more, and stop it when they have ended; or cancel their deploys.",
        )
    if row.install_id and (running := deploys.under_way(tx, row.install_id)):
        raise ConflictError(
            f"{running.kind} {running.id} is still under way on the agent's install",
            remedy=f"Wait until it has ended, or have the vendor cancel it: `exclave deploys cancel {running.id}`.",
        )
    row.revoked_at = tx.now
    tx.emit("agent.disconnected", row.id, install_id=row.install_id)
    tx.ring(queue.topic(row.kind, row.install_id))
