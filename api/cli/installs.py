"""`exclave installs`."""

import json
import sys

import click

from api.cli.connect import connect_command
from api.cli.deploy_actions import show_plan
from api.cli.session import collect, ims_options, none_of, release_option, run, segment, show_json, show_table, which_release
from api.client import ImsClient
from api.contract.base import Page
from api.contract.renders import InstallRender, RenderedText
from api.contract.resources import Deploy, Install, InstalledComponent
from api.contract.statistics import Durations, InstallStats


@click.group("installs")
def installs_command() -> None:
    """Read installs, and bring their agents to work. They are defined with Terraform."""


installs_command.add_command(connect_command)


@installs_command.command("list")
@click.option("--app", help="Only of this app.")
@release_option("Only those that run a component of this release")
@click.option("--selector", help="Only those with these labels, such as region=eu,tier!=free,env in (a,b),!old.")
@ims_options
def list_installs(app: str | None, release: str | None, selector: str | None, url: str, as_json: bool) -> None:
    """List the installs with what runs on them."""
    given = {"app": app, "selector": selector, **which_release(release)}
    params = {name: value for name, value in given.items() if value}
    found = run(url, lambda ims: collect(ims, "/v1/installs", Install, params=params))
    if as_json:
        show_json(found)
        return
    rows = [[install.name, install.id, _agent(install), _running(install)] for install in found.items]
    show_table(
        ["NAME", "ID", "AGENT", "COMPONENTS"], rows, empty=none_of("installs", params, "Define one with exclave_install.")
    )


@installs_command.command("show")
@click.argument("install")
@ims_options
def show_install(install: str, url: str, as_json: bool) -> None:
    """Show one install, by id or name."""
    found = run(url, lambda ims: ims.call("GET", f"/v1/installs/{segment(install)}", answer=Install))
    if as_json:
        show_json(found)
        return
    click.echo(f"Install {found.name} ({found.id}), agent: {_agent(found)}")
    if found.labels:
        click.echo("  labels: " + ", ".join(f"{key}={value}" for key, value in sorted(found.labels.items())))
    for component in found.components:
        click.echo(f"  {component.name}: {component.status}, release {component.release_number}, {component.digest}")
        if component.health:
            why = f": {component.health.reason}" if component.health.reason else ""
            click.echo(f"    {component.health.status} since {component.health_since:%Y-%m-%d %H:%M:%SZ}{why}")
        if component.drift and component.drifted:
            click.echo(f"    has drifted, seen {component.drift_checked_at:%Y-%m-%d %H:%M:%SZ}:")
            show_plan("    to mend it", component.drift)
        for name, value in component.outputs.items():
            click.echo(f"    {name} = {value}")
        for name in component.sensitive_outputs:
            click.echo(f"    {name} = (sensitive: it stays with the install's agent)")


@installs_command.command("render")
@click.argument("install")
@click.option("--component", help="Only this one.")
@click.option("--release", help="The configs of this release, by its id; else the newest ones of the app.")
@ims_options
def render_install(install: str, component: str | None, release: str | None, url: str, as_json: bool) -> None:
    """Show what references stand for in INSTALL. Exit code 1 if one can't be filled in.

    Values stay with the install's agent: sensitive ones are masked, and outputs are those of the last deploy.
    """
    params = {name: value for name, value in (("component", component), ("release", release)) if value}
    path = f"/v1/installs/{segment(install)}/render"
    found = run(url, lambda ims: ims.call("GET", path, answer=InstallRender, params=params))
    wrong = [text for one in found.components for text in one.texts if text.problem]
    if as_json:
        show_json(found)
    else:
        rows = [[one.name, text.field, _value(text)] for one in found.components for text in one.texts]
        show_table(["COMPONENT", "FIELD", "VALUE"], rows, empty="No text of a component refers to anything.")
        for text in wrong:
            click.echo(f"{text.field}: {text.problem}\n{text.remedy}".rstrip())
    sys.exit(1 if wrong else 0)


def _value(text: RenderedText) -> str:
    if text.problem:
        return "(can't be filled in: see below)"
    one_line = isinstance(text.value, str) and "\n" not in text.value
    return str(text.value) if one_line else json.dumps(text.value, ensure_ascii=False)


@installs_command.command("stats")
@click.argument("install")
@click.option("--last", default=20, show_default=True, type=click.IntRange(1, 200), help="Of how many deploys.")
@ims_options
def install_stats(install: str, last: int, url: str, as_json: bool) -> None:
    """Show how INSTALL's newest deploys ended, and when."""
    path = f"/v1/installs/{segment(install)}/stats"
    found = run(url, lambda ims: ims.call("GET", path, answer=InstallStats, params={"last": last}))
    if as_json:
        show_json(found)
        return
    rows = [_stats("(whole deploy)", found.deploys), *(_stats(one.component, one) for one in found.components)]
    headings = ["COMPONENT", "DEPLOYS", "SUCCEEDED", "FAILED", "CANCELLED", "RATE", "P50", "P95", "LAST"]
    show_table(headings, rows if found.deploys.total else [], empty="No deploy has ended yet.")


def _stats(name: str, of: Durations) -> list[str]:
    rate = "-" if of.success_rate is None else f"{of.success_rate:.0%}"
    times = ["-" if seconds is None else f"{seconds:.1f} s" for seconds in (of.p50_seconds, of.p95_seconds)]
    return [name, str(of.total), str(of.succeeded), str(of.failed), str(of.cancelled), rate, *times, of.last_outcome or "-"]


@installs_command.command("disconnect")
@click.argument("install")
@click.option("--yes", is_flag=True, help="Don't ask.")
@ims_options
def disconnect_install(install: str, yes: bool, url: str, as_json: bool) -> None:
    """End the agent of INSTALL, once nothing is under way there. What is deployed stays, and is listed.

    Its customer can do the same, on the agent's machine: exclave agent disconnect.
    """

    async def look(ims: ImsClient) -> tuple[Install, Deploy | None]:
        found = await ims.call("GET", f"/v1/installs/{segment(install)}", answer=Install)
        params: dict[str, str | int] = {"install": found.id, "order": "desc", "limit": 1}
        newest = (await ims.call("GET", "/v1/deploys", answer=Page[Deploy], params=params)).items
        return found, next((deploy for deploy in newest if deploy.ended_at is None), None)

    found, running = run(url, look)
    agent = found.agent_id
    if agent is None:
        raise click.ClickException(f"Install {found.name} has no agent.")
    if running:
        raise click.ClickException(
            f"{running.kind.capitalize()} {running.id} is under way. Wait until it has ended: "
            f"exclave deploys show {running.id} --follow. Or cancel it: exclave deploys cancel {running.id}."
        )
    stays = ", ".join(component.name for component in found.components)
    if stays and not as_json:
        click.echo(f"Deployed at the customer's, and managed by nobody from now on: {stays}.", err=True)
    if not yes:
        click.confirm(f"End agent {agent} of install {found.name} for good?", abort=True, err=as_json)

    async def work(ims: ImsClient) -> Install:
        await ims.call("DELETE", f"/v1/agents/{segment(agent)}")
        return await ims.call("GET", f"/v1/installs/{segment(found.id)}", answer=Install)

    after = run(url, work)
    if as_json:
        show_json(after)
    else:
        click.echo(f"Agent {agent} is disconnected. Another one can be enrolled: exclave installs connect {found.name}")


@installs_command.command("drift")
@click.argument("install")
@ims_options
def find_drift(install: str, url: str, as_json: bool) -> None:
    """Look whether what is deployed on INSTALL has drifted. Exit code 1 if it has, or if that can't be told."""

    async def work(ims: ImsClient) -> tuple[Deploy, Install]:
        made = await ims.call("POST", f"/v1/installs/{segment(install)}/drift", answer=Deploy)
        while made.ended_at is None:
            params = {"wait": 20, "seen": made.version}
            made = await ims.call("GET", f"/v1/deploys/{made.id}", answer=Deploy, params=params, timeout=30)
        return made, await ims.call("GET", f"/v1/installs/{made.install_id}", answer=Install)

    made, found = run(url, work)
    drifted = [component for component in found.components if component.drifted]
    if as_json:
        show_json(found)
    else:
        for component in drifted:
            show_plan(component.name, component.drift)
        for step in made.steps:
            if step.failure:
                click.echo(f"{step.component}: {step.failure.message}\n{step.failure.remedy}".rstrip())
        if made.status == "succeeded":
            click.echo(f"{len(drifted)} of {len(found.components)} components have drifted.")
        else:
            click.echo(f"The drift run {made.id} is {made.status}: not everything was looked at.")
    sys.exit(1 if drifted or made.status != "succeeded" else 0)


def _agent(install: Install) -> str:
    if install.agent_id is None:
        return "none"
    return f"seen {install.agent_last_seen_at:%Y-%m-%d %H:%M:%SZ}" if install.agent_last_seen_at else "never seen"


def _running(install: Install) -> str:
    return ", ".join(f"{one.name} {_state(one)} (release {one.release_number})" for one in install.components) or "none"


def _state(component: InstalledComponent) -> str:
    if component.health is None or component.health.status == "healthy":
        return component.status
    return f"{component.status}, {component.health.status}"
