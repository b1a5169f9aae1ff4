"""Whose yes a plan waits for. The customer's own rules may ask for theirs, whatever the install's approval mode says."""

from api.contract.approvals import Approver
from api.db.transaction import Write
from api.deploys.models import DeployRow, StepRow


def approver(deploy: DeployRow, step: StepRow) -> Approver:
    """Whose yes counts at an approval step: a `conditional` one is there for the customer's rules alone."""
    return "customer" if deploy.approval == "customer" or step.conditional else "vendor"


def ask_customer(tx: Write, deploy: DeployRow, plan: StepRow, steps: list[StepRow]) -> None:
    """Put the customer's approval between a plan, with the vendor's approval of it, and what carries it out.

    Changes nothing where the customer approves anyway, or where an earlier plan has asked already. `steps` are those of the
    deploy; the new one is added to them, in its place.
    """
    mine = [step for step in steps if step.component == plan.component]
    if deploy.approval == "customer" or any(step.kind == "approve" and step.conditional for step in mine):
        return
    act = next(step for step in mine if step.kind in ("apply", "destroy") and step.position > plan.position)
    asked = StepRow(
        id=tx.new_id("stp"),
        deploy_id=deploy.id,
        position=act.position,
        component=act.component,
        kind="approve",
        phase="waiting",
        needs=sorted({*act.needs, plan.id}),
        conditional=True,
        config=act.config,
        digest=act.digest,
        repository=act.repository,
        build_id=act.build_id,
        fingerprint=act.fingerprint,
    )
    for step in steps:
        if step.position >= act.position:
            step.position += 1
    act.needs = [asked.id]
    tx.session.add(asked)
    if asked not in steps:
        steps.append(asked)
    steps.sort(key=lambda step: step.position)
