"""`exclave agent approve`: the customer says yes or no to plans, on the agent's own machine and with its key.

What is shown and approved is the plan that the agent itself has saved; the IMS's word for it must be the same.
"""

import asyncio
import getpass
import os
from datetime import UTC, datetime
from pathlib import Path

import click

from agent.identity import Home, IdentityError
from agent.install.approvals import Approvals, LocalApproval
from agent.install.workspace import Components, PlanRecord, UnsafeNameError
from agent.ledger.ledger import Ledger, LedgerUnwritableError
from agent.outbound import OutboundError, calls_client, settle_environment
from agent.session import Session
from api.client import ApiError, UnreachableError
from api.contract.agent_approvals import AgentDecision, PendingApproval
from api.contract.resources import PlanSummary


def approve(
    url: str,
    home: Path,
    *,
    deploy: str | None,
    component: str | None,
    reject: bool,
    note: str,
    yes: bool,
    ca_file: Path | None = None,
) -> None:
    """Ask about each plan that waits, and answer. Raises click.ClickException."""
    try:
        identity = Home(home, make=False).identity()
        if identity is None or identity.enrolled.kind != "install":
            raise click.ClickException(f"--home {home} is not the folder of an install agent that has enrolled.")

        settle_environment(os.environ, ca_file, home.absolute())

        async def work() -> None:
            async with calls_client() as http:
                session = Session(url, identity, http)
                found = (await session.pending_approvals()).items
                chosen = [one for one in found if deploy in (None, one.deploy_id) and component in (None, one.component)]
                if not chosen:
                    raise click.ClickException("Nothing waits for your approval." if not found else "No such plan waits.")
                for one in chosen:
                    await _answer(session, home, one, reject=reject, note=note, yes=yes)

        asyncio.run(work())
    except (IdentityError, OutboundError, UnsafeNameError) as error:
        raise click.ClickException(str(error)) from None
    except LedgerUnwritableError as error:
        raise click.ClickException(f"{error}. {error.failure.remedy}") from None
    except ApiError as error:
        raise click.ClickException(f"{error}. {error.problem.remedy}".strip()) from None
    except UnreachableError as error:
        raise click.ClickException(f"{error}. {error.remedy}") from None


async def _answer(session: Session, home: Path, one: PendingApproval, *, reject: bool, note: str, yes: bool) -> None:
    release = f" of release {one.release_number}" if one.release_number else ""
    click.echo(f"{one.component}: {one.action}{release}, in deploy {one.deploy_id}")
    if not reject:
        record = _own_plan(home, one)
        _show(record.summary or PlanSummary())
        for rule in record.asking:
            click.echo(f"  Your policy asks you: rule {rule!r}")
    if not yes and not click.confirm("Reject it?" if reject else f"{one.action.capitalize()} this plan?"):
        click.echo("Left as it is.")
        return
    if not reject:
        # Written first: if the answer gets lost, giving it again is harmless.
        given = LocalApproval(
            plan_job_id=one.plan_job_id,
            plan_digest=one.plan_digest,
            component=one.component,
            deploy_id=one.deploy_id,
            approved_by=getpass.getuser(),
            approved_at=datetime.now(UTC),
            note=note,
        )
        Approvals(home.absolute()).add(given)
        Ledger(home.absolute()).append("plan.approved", **given.model_dump(mode="json", exclude={"approved_at"}))
    decision = AgentDecision(decision="rejected" if reject else "approved", plan_digest=one.plan_digest, note=note)
    await session.decide(one.deploy_id, one.step_id, decision)
    click.echo(f"{decision.decision.capitalize()}.")


def _own_plan(home: Path, one: PendingApproval) -> PlanRecord:
    """What the agent's own saved plan is (`saved-plan`). Raises click.ClickException if it isn't what the IMS asks about."""
    saved = Components(home.absolute(), sweep=False).of(one.component).plan(one.plan_job_id)
    record = saved.record()
    if record is None or record.summary is None or record.plan_digest is None:
        raise click.ClickException(f"The plan of {one.component} isn't on this machine. Reject it, and deploy again.")
    if one.plan_digest != record.plan_digest or saved.digest() != record.plan_digest:
        raise click.ClickException(
            f"The IMS asks about another plan of {one.component} than the one that the agent has saved. Reject it."
        )
    if record.destroy != (one.action == "destroy") or record.summary != one.plan:
        raise click.ClickException(
            f"The IMS says otherwise what the plan of {one.component} does than the plan itself. Reject it."
        )
    return record


def _show(plan: PlanSummary) -> None:
    for change in plan.resources:
        names = f"  ({', '.join(change.attributes)})" if change.attributes else ""
        moved = f"  (was {change.previous_address})" if change.previous_address else ""
        click.echo(f"  {'/'.join(change.actions)} {change.address}{moved}{names}")
    outputs = ", outputs change" if plan.outputs_change else ""
    click.echo(f"  {plan.add} to add, {plan.change} to change, {plan.destroy} to destroy{outputs}")
