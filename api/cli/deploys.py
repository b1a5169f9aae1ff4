"""`exclave deploys`."""

import json
import sys

import click

from api.cli.deploy_actions import approve, reject, retry, rollback, show_plan, skip
from api.cli.follow import follow_deploy, read_deploy
from api.cli.session import (
    collect,
    ims_options,
    limit_option,
    none_of,
    release_option,
    run,
    segment,
    show_json,
    show_table,
    which_release,
)
from api.client import ImsClient
from api.contract.base import Page
from api.contract.deploy_batches import DeployBatch, DeployBatchCreate
from api.contract.replans import Replan
from api.contract.resources import Deploy, DeployCreate, Step

_WAIT_SECONDS = 20


@click.group("deploys")
def deploys_command() -> None:
    """Make, follow, approve, retry, cancel and tear down deploys. Terraform makes them, too."""


for _command in (approve, reject, retry, skip, rollback):
    deploys_command.add_command(_command)


@deploys_command.command("list")
@click.option("--install", help="Only of this install.")
@release_option("Only of this release")
@limit_option(50)
@click.option("--selector", help="Only of installs with these labels, such as region=eu,tier!=free.")
@click.option("--drift", is_flag=True, help="List the drift runs instead.")
@ims_options
def list_deploys(
    install: str | None, release: str | None, limit: int, selector: str | None, drift: bool, url: str, as_json: bool
) -> None:
    """List the deploys, newest first."""
    given = {"order": "desc", "install": install, "selector": selector, "kind": "drift" if drift else None}
    params = {name: value for name, value in (given | which_release(release)).items() if value}

    found = run(url, lambda ims: collect(ims, "/v1/deploys", Deploy, limit, params))
    if as_json:
        show_json(found)
        return
    rows = [
        [
            deploy.id,
            deploy.install_name or deploy.install_id,
            deploy.kind,
            str(deploy.release_number or "-"),
            deploy.status,
            f"{deploy.created_at:%Y-%m-%d %H:%M:%SZ}",
        ]
        for deploy in found.items
    ]
    show_table(["ID", "INSTALL", "KIND", "RELEASE", "STATUS", "MADE"], rows, empty=none_of("deploys", params))


@deploys_command.command("create")
@click.argument("install")
@click.option("--release", help="The release's id.  [default: that of the install's newest deploy]")
@click.option("--component", help="Plan this component, though nothing differs.")
@click.option("--target", "targets", multiple=True, metavar="ADDRESS", help="Of a Terraform module: plan only this resource.")
@click.option("--replace", multiple=True, metavar="ADDRESS", help="Of a Terraform module: make this resource anew.")
@click.option("--no-follow", is_flag=True, help="Don't wait for its end.")
@ims_options
def create_deploy(
    install: str,
    release: str | None,
    component: str | None,
    targets: tuple[str, ...],
    replace: tuple[str, ...],
    no_follow: bool,
    url: str,
    as_json: bool,
) -> None:
    """Bring a release to INSTALL, and follow it. Exit code 1 if it doesn't succeed.

    --target and --replace take addresses in one component's module, as `terraform plan` does; each can be given more than once.
    What is planned in part is planned whole by the next deploy.
    """
    if (targets or replace) and not component:
        raise click.UsageError("say with --component in which component --target and --replace are")
    anew = [Replan(component=component, targets=list(targets), replace=list(replace))] if component else []

    async def work(ims: ImsClient) -> Deploy:
        wanted = release or await _newest_release(ims, install)
        body = DeployCreate(install_id=install, release_id=wanted, replan=anew)
        made = await ims.call("POST", "/v1/deploys", body=body, answer=Deploy)
        return made if no_follow else await _follow(ims, made.id)

    found = run(url, work)
    if as_json:
        show_json(found)
    else:
        _show_end(found)
    sys.exit(found.status != "succeeded" and not no_follow)


async def _newest_release(ims: ImsClient, install: str) -> str:
    params: dict[str, str | int] = {"install": install, "kind": "deploy", "order": "desc", "limit": 1}
    newest = (await ims.call("GET", "/v1/deploys", answer=Page[Deploy], params=params)).items
    if not newest or newest[0].release_id is None:
        raise click.ClickException(f"Install {install} has had no deploy yet: name a release with --release.")
    return newest[0].release_id


@deploys_command.command("start")
@click.argument("release")
@click.option("--all", "everywhere", is_flag=True, help="To every install of the release's app.")
@click.option("--selector", help="To the installs with these labels, such as region=eu,tier!=free.")
@click.option("--install", "installs", multiple=True, help="To this install; can be given more than once.")
@click.option("--yes", is_flag=True, help="Don't ask before a deploy to every install.")
@ims_options
def start_deploys(
    release: str, everywhere: bool, selector: str | None, installs: tuple[str, ...], yes: bool, url: str, as_json: bool
) -> None:
    """Bring RELEASE, by its id, to many installs at once. Installs that have a deploy under way are left out."""
    if everywhere == bool(selector or installs):
        raise click.UsageError("say where to: --all, or --selector and --install")
    if everywhere and not yes:
        click.confirm(f"Bring release {release} to every install of its app?", abort=True)
    body = DeployBatchCreate(release_id=release, all=everywhere, selector=selector, installs=list(installs) or None)
    made = run(url, lambda ims: ims.call("POST", "/v1/deploys/batch", body=body, answer=DeployBatch))
    if as_json:
        show_json(made)
        return
    for busy in made.busy:
        click.echo(f"Left out: {busy.install}, where deploy {busy.deploy_id} is under way.", err=True)
    click.echo(f"Made {made.created} {'deploy' if made.created == 1 else 'deploys'} of release {made.release_number}.")


@deploys_command.command("show")
@click.argument("deploy")
@click.option("--follow", is_flag=True, help="Print each change until the deploy has ended.")
@ims_options
def show_deploy(deploy: str, follow: bool, url: str, as_json: bool) -> None:
    """Show one deploy with its steps. With --follow, exit code 1 says that it did not succeed."""
    found = run(
        url, lambda ims: _follow(ims, deploy) if follow else ims.call("GET", f"/v1/deploys/{segment(deploy)}", answer=Deploy)
    )
    if as_json:
        show_json(found)
    elif not follow:
        for step in found.steps:
            _show_step(step, err=False)
            if step.plan and step.plan.resources:
                show_plan(step.component, step.plan)
    if not as_json:
        _show_end(found)
    if follow and found.status != "succeeded":
        sys.exit(1)


@deploys_command.command("logs")
@click.argument("deploy")
@click.option("--component", help="Only of this component.")
@click.option("--follow", is_flag=True, help="Print lines as they come, until the deploy has ended.")
@ims_options
def deploy_logs(deploy: str, component: str | None, follow: bool, url: str, as_json: bool) -> None:
    """Print the logs of a deploy's steps, each line with its step. With --follow, exit code 1 says that it did not succeed."""

    def out(line: str) -> None:
        prefix, _, text = line.partition(" | ")
        click.echo(json.dumps({"step": prefix, "line": text}) if as_json else line)

    read = follow_deploy if follow else read_deploy
    found = run(url, lambda ims: read(ims, deploy, component, out))
    if follow:
        click.echo(f"{found.kind.capitalize()} {found.id}: {found.status}", err=True)
        sys.exit(found.status != "succeeded")


@deploys_command.command("cancel")
@click.argument("deploy")
@click.option("--force", is_flag=True, help="Stop now: what an apply was making may be left in no state.")
@ims_options
def cancel_deploy(deploy: str, force: bool, url: str, as_json: bool) -> None:
    """Stop a deploy as soon as it is safe."""
    path, params = f"/v1/deploys/{segment(deploy)}/cancel", {"force": "true"} if force else {}
    found = run(url, lambda ims: ims.call("POST", path, answer=Deploy, params=params))
    if as_json:
        show_json(found)
    else:
        click.echo(f"Deploy {found.id}: {found.status}")


@deploys_command.command("teardown")
@click.argument("install")
@click.option("--yes", is_flag=True, help="Don't ask.")
@ims_options
def teardown(install: str, yes: bool, url: str, as_json: bool) -> None:
    """Destroy everything that is deployed on INSTALL, and follow it."""
    if not yes:
        click.confirm(f"Destroy everything that is deployed on install {install}?", abort=True)

    async def work(ims: ImsClient) -> Deploy:
        made = await ims.call("POST", "/v1/deploys", body=DeployCreate(install_id=install, kind="teardown"), answer=Deploy)
        return await _follow(ims, made.id)

    found = run(url, work)
    if as_json:
        show_json(found)
    else:
        _show_end(found)
    sys.exit(found.status != "succeeded")


async def _follow(ims: ImsClient, deploy: str) -> Deploy:
    seen: int | None = None
    shown: dict[str, str] = {}
    while True:
        params = {"wait": _WAIT_SECONDS} | ({"seen": seen} if seen is not None else {})
        found = await ims.call(
            "GET", f"/v1/deploys/{segment(deploy)}", answer=Deploy, params=params, timeout=_WAIT_SECONDS + 10
        )
        for step in found.steps:
            if shown.get(step.id) != step.status:
                shown[step.id] = step.status
                _show_step(step, err=True)
        if found.ended_at is not None:
            return found
        seen = found.version


def _show_step(step: Step, *, err: bool) -> None:
    """Print one step; to stderr while it is progress, so that stdout has the end and nothing else."""
    plan = f"  +{step.plan.add} ~{step.plan.change} -{step.plan.destroy}" if step.plan else ""
    why = f"  ({step.waiting_for})" if step.waiting_for else ""
    click.echo(f"  {step.component}: {step.kind}: {step.status}{plan}{why}", err=err)
    if step.failure:
        click.echo(f"    {step.failure.message}\n    {step.failure.remedy}".rstrip(), err=err)


def _show_end(deploy: Deploy) -> None:
    click.echo(f"{deploy.kind.capitalize()} {deploy.id}: {deploy.status}")
    if deploy.left_out:
        click.echo(f"Left out: {', '.join(deploy.left_out)}. The next deploy plans them again.")
    if deploy.failure:
        click.echo(f"{deploy.failure.message}\n{deploy.failure.remedy}".rstrip())
    for component, outputs in deploy.outputs.items():
        for name, value in outputs.items():
            click.echo(f"  {component}.{name} = {value}")
