"""`exclave deploys approve`, `reject`, `retry`, `skip` and `rollback`."""

import click

from api.cli.session import ims_options, run, segment, show_json
from api.client import ImsClient
from api.contract.approvals import ApprovalDecision, SkipRequest
from api.contract.resources import Deploy, PlanSummary, RollbackCreate, Step

_step_option = click.option("--step", help="Only of this component, or of the step with this id.")
_note_option = click.option("--note", default="", help="Why; it stays in the history.")
_yes_option = click.option("--yes", is_flag=True, help="Don't ask.")


@click.command("approve")
@click.argument("deploy")
@_step_option
@_note_option
@_yes_option
@ims_options
def approve(deploy: str, step: str | None, note: str, yes: bool, url: str, as_json: bool) -> None:
    """Approve the plans of DEPLOY that wait for the vendor."""
    _answer(deploy, step, note, yes, url, as_json, verb="approve")


@click.command("reject")
@click.argument("deploy")
@_step_option
@_note_option
@_yes_option
@ims_options
def reject(deploy: str, step: str | None, note: str, yes: bool, url: str, as_json: bool) -> None:
    """Reject the plans of DEPLOY that wait for approval. Their steps fail."""
    _answer(deploy, step, note, yes, url, as_json, verb="reject")


def _answer(deploy: str, step: str | None, note: str, yes: bool, url: str, as_json: bool, *, verb: str) -> None:
    """The plans are fetched, shown and answered one by one: each answer names the plan that was shown."""

    async def work(ims: ImsClient) -> Deploy:
        found = await ims.call("GET", f"/v1/deploys/{segment(deploy)}", answer=Deploy)
        waiting = [one for one in _chosen(found, step) if one.kind == "approve" and one.approval and one.status == "waiting"]
        if not waiting:
            raise click.ClickException(f"No plan of deploy {found.id} waits for an approval{' there' if step else ''}.")
        plans = {one.id: one.plan for one in found.steps}
        for one in waiting:
            plan = next((plans[need] for need in one.needs if plans[need]), None)
            show_plan(one.component, plan, err=as_json)
            if not yes and not click.confirm(f"{verb.capitalize()} it?", err=as_json):
                continue
            if one.approval:
                body = ApprovalDecision(plan_digest=one.approval.plan_digest, note=note)
                path = f"/v1/deploys/{found.id}/steps/{one.id}/{verb}"
                found = await ims.call("POST", path, body=body, answer=Deploy)
        return found

    _show(run(url, work), as_json)


@click.command("retry")
@click.argument("deploy")
@_step_option
@ims_options
def retry(deploy: str, step: str | None, url: str, as_json: bool) -> None:
    """Deploy the release of DEPLOY again, or a failed --step.

    A --step is tried again while the deploy still runs; without it, the deploy must have ended.
    """

    async def work(ims: ImsClient) -> Deploy:
        if not step:
            return await ims.call("POST", f"/v1/deploys/{segment(deploy)}/retry", answer=Deploy)
        found = await ims.call("GET", f"/v1/deploys/{segment(deploy)}", answer=Deploy)
        one = next((each for each in _chosen(found, step) if each.status == "failed"), None)
        if one is None:
            raise click.ClickException(f"No step of {step} has failed in deploy {found.id}.")
        return await ims.call("POST", f"/v1/deploys/{found.id}/steps/{one.id}/retry", answer=Deploy)

    _show(run(url, work), as_json)


@click.command("skip")
@click.argument("deploy")
@click.option("--step", required=True, help="The component, or the id of one of its steps.")
@_note_option
@ims_options
def skip(deploy: str, step: str, note: str, url: str, as_json: bool) -> None:
    """Leave a component out of DEPLOY, with all that needs it. The next deploy plans it again."""

    async def work(ims: ImsClient) -> Deploy:
        found = await ims.call("GET", f"/v1/deploys/{segment(deploy)}", answer=Deploy)
        one = _chosen(found, step)[-1]
        path = f"/v1/deploys/{found.id}/steps/{one.id}/skip"
        return await ims.call("POST", path, body=SkipRequest(note=note), answer=Deploy)

    _show(run(url, work), as_json)


@click.command("rollback")
@click.argument("install")
@click.option("--release", "release_id", help="The id of the release; left out, the one before that was deployed well.")
@_yes_option
@ims_options
def rollback(install: str, release_id: str | None, yes: bool, url: str, as_json: bool) -> None:
    """Deploy an earlier release to INSTALL."""
    if not yes:
        click.confirm(f"Roll install {install} back?", abort=True, err=as_json)
    path = f"/v1/installs/{segment(install)}/rollback"
    body = RollbackCreate(release_id=release_id)
    _show(run(url, lambda ims: ims.call("POST", path, body=body, answer=Deploy)), as_json)


def _chosen(deploy: Deploy, step: str | None) -> list[Step]:
    found = [one for one in deploy.steps if step in (None, one.id, one.component)]
    if step and not found:
        known = ", ".join(dict.fromkeys(one.component for one in deploy.steps)) or "none"
        raise click.ClickException(f"Deploy {deploy.id} has no step {step!r}; its components: {known}.")
    return found


def show_plan(component: str, plan: PlanSummary | None, *, err: bool = False) -> None:
    """Print what a plan would do."""
    if plan is None:
        return
    outputs = ", outputs change" if plan.outputs_change else ""
    click.echo(f"{component}: {plan.add} to add, {plan.change} to change, {plan.destroy} to destroy{outputs}", err=err)
    for change in plan.resources:
        names = f"  ({', '.join(change.attributes)})" if change.attributes else ""
        moved = f"  (was {change.previous_address})" if change.previous_address else ""
        click.echo(f"    {'/'.join(change.actions)} {change.address}{moved}{names}", err=err)
        for name, value in change.values.items():
            after = "(known after apply)" if value.unknown else value.after or "(not set)"
            click.echo(f"        {name}: {value.before or '(not set)'} → {after}", err=err)
    for rule in plan.asks:
        click.echo(f"    needs the customer's own yes: {rule}", err=err)
    for rule in plan.refused:
        click.echo(f"    the customer's policy refuses this: {rule}", err=err)


def _show(deploy: Deploy, as_json: bool) -> None:
    if as_json:
        show_json(deploy)
        return
    release = f" of release {deploy.release_number}" if deploy.release_number else ""
    click.echo(f"Deploy {deploy.id}{release}: {deploy.status}. Follow it: exclave deploys show {deploy.id} --follow")
