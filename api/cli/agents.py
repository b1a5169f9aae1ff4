"""`exclave agents`."""

from pathlib import Path

import click

from api.cli.session import ims_options, open_private, run, segment, show_json, show_table
from api.client import ImsClient
from api.contract.agents import Agent, EnrollmentCreate, EnrollmentCreated
from api.contract.base import Page


@click.group("agents")
def agents_command() -> None:
    """Enrol, list and revoke agents."""


@agents_command.command("enroll")
@click.option("--install", help="The install that the agent is for.")
@click.option("--build", is_flag=True, help="Enrol a build agent instead.")
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="Write the token to a file of mode 0600.")
@ims_options
def enroll(install: str | None, build: bool, output: Path | None, url: str, as_json: bool) -> None:
    """Make a one-time enrolment token, and say how to use it."""
    if build == bool(install):
        raise click.UsageError("give either --install NAME or --build")
    # Opened first: a token that can't be written down would be lost.
    file = open_private(output) if output else None
    body = EnrollmentCreate(kind="build" if build else "install", install_id=install)
    made = run(url, lambda ims: ims.call("POST", "/v1/agents/enrollments", body=body, answer=EnrollmentCreated))
    if file:
        with file:
            file.write(made.secret + "\n")
        made = made.model_copy(update={"secret": f"(written to {output})"})
    if as_json:
        show_json(made)
        return
    click.echo(f"Token, shown only now, good once until {made.expires_at:%Y-%m-%d %H:%M:%SZ}: {made.secret}")
    kind = "build" if build else "install"
    extra = "" if build else " --registry-credentials WRITER.JSON"
    token = f"--token-file {output}" if output else "--token TOKEN"
    click.echo(f"Start the agent with: exclave agent {kind} --url {url} {token} --home FOLDER{extra}")


@agents_command.command("list")
@ims_options
def list_agents(url: str, as_json: bool) -> None:
    """List the agents."""
    found = run(url, lambda ims: ims.call("GET", "/v1/agents", answer=Page[Agent], params={"limit": 1000}))
    if as_json:
        show_json(found)
        return
    rows = [
        [
            agent.id,
            agent.kind,
            agent.name,
            agent.install_id or "-",
            agent.version,
            "revoked" if agent.revoked_at else f"seen {agent.last_seen_at:%Y-%m-%d %H:%M:%SZ}" if agent.last_seen_at else "-",
        ]
        for agent in found.items
    ]
    show_table(
        ["ID", "KIND", "NAME", "INSTALL", "VERSION", "STATE"],
        rows,
        empty="No agents yet. Enrol one with `exclave agents enroll`.",
    )


@agents_command.command("revoke")
@click.argument("agent")
@ims_options
def revoke(agent: str, url: str, as_json: bool) -> None:
    """End an agent's access at once."""

    async def work(ims: ImsClient) -> Agent:
        await ims.call("DELETE", f"/v1/agents/{segment(agent)}")
        return await ims.call("GET", f"/v1/agents/{segment(agent)}", answer=Agent)

    found = run(url, work)
    if as_json:
        show_json(found)
    else:
        click.echo(f"Agent {found.id} is revoked.")
