"""`exclave agents`."""

from datetime import timedelta
from pathlib import Path

import click
from pydantic import ValidationError

from api.cli.session import collect, ims_options, limit_option, none_of, open_private, run, segment, show_json, show_table
from api.client import ImsClient
from api.contract.agents import Agent, AgentUpdateCreate, Job
from api.contract.base import Page
from api.contract.enrollment import EnrollmentCreate, EnrollmentCreated


@click.group("agents")
def agents_command() -> None:
    """Enrol, list, update and revoke agents."""


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
    token = f"--token-file {output}" if output else "--token-file -"
    click.echo(f"Start the agent with: exclave agent {kind} --url {url} {token} --home FOLDER{extra}")
    if not output:
        click.echo("It then reads the token from standard input. (A file, from --output, or EXCLAVE_AGENT_TOKEN do, too.)")


@agents_command.command("list")
@click.option("--version", help="Only those that run this version.")
@limit_option(None)
@ims_options
def list_agents(version: str | None, limit: int | None, url: str, as_json: bool) -> None:
    """List the agents, and whether they are there."""
    params = {"version": version} if version else {}
    found = run(url, lambda ims: collect(ims, "/v1/agents", Agent, limit, params))
    if as_json:
        show_json(found)
        return
    rows = [
        [
            agent.id,
            agent.kind,
            agent.name,
            agent.install_name or agent.install_id or "-",
            agent.version,
            f"offline since {agent.offline_since:%Y-%m-%d %H:%M:%SZ}" if agent.offline_since else agent.status,
        ]
        for agent in found.items
    ]
    show_table(
        ["ID", "KIND", "NAME", "INSTALL", "VERSION", "STATE"],
        rows,
        empty=none_of("agents", params, "Enrol one with `exclave agents enroll`."),
    )


@agents_command.command("show")
@click.argument("agent")
@ims_options
def show_agent(agent: str, url: str, as_json: bool) -> None:
    """Show one agent: whether it is there, and how its machine is."""
    found = run(url, lambda ims: ims.call("GET", f"/v1/agents/{segment(agent)}", answer=Agent))
    if as_json:
        show_json(found)
        return
    away = f" since {found.offline_since:%Y-%m-%d %H:%M:%SZ}" if found.offline_since else ""
    click.echo(f"{found.name} ({found.id}): {found.status}{away}")
    click.echo(f"  {found.kind} agent of Exclave {found.version} on {found.platform}, install {found.install_id or '-'}")
    seen = f"{found.last_seen_at:%Y-%m-%d %H:%M:%SZ}" if found.last_seen_at else "never"
    click.echo(f"  enrolled {found.enrolled_at:%Y-%m-%d %H:%M:%SZ}, last heard of {seen}")
    if load := found.load:
        click.echo(f"  at {load.at:%Y-%m-%d %H:%MZ}: {load.jobs} jobs, up {timedelta(seconds=load.uptime_seconds)}")
        memory = f"{load.memory_used_mb} of {load.memory_total_mb} MB" if load.memory_total_mb else "unknown"
        disk = f"{load.disk_free_mb} MB" if load.disk_free_mb is not None else "unknown"
        busy = f"{load.load:.2f} on {load.cpus} CPUs" if load.load is not None else "unknown"
        click.echo(f"  load {busy}, memory in use {memory}, free on disk {disk}")


@agents_command.command("update")
@click.argument("agents", nargs=-1)
@click.option("--all", "every", is_flag=True, help="All install agents that aren't revoked and have another version.")
@click.option("--to", "version", required=True, help="The version.")
@click.option("--digest", required=True, help="Its digest, as `exclave agent publish` printed it.")
@ims_options
def update(agents: tuple[str, ...], every: bool, version: str, digest: str, url: str, as_json: bool) -> None:
    """Offer a version of the agent to AGENTS, by their ids.

    Their customers' policies decide whether it is tried: follow the jobs.
    """
    if every == bool(agents):
        raise click.UsageError("give either the ids of agents, or --all")
    try:
        body = AgentUpdateCreate(version=version, digest=digest)
    except ValidationError as error:
        raise click.UsageError(f"{error.errors()[0]['loc'][0]}: {error.errors()[0]['msg']}") from None

    async def work(ims: ImsClient) -> list[Job]:
        wanted = list(agents)
        if every:
            found = (await collect(ims, "/v1/agents", Agent, None, {"kind": "install"})).items
            wanted = [one.id for one in found if one.status != "revoked" and one.version != version]
        return [await ims.call("POST", f"/v1/agents/{segment(one)}/updates", body=body, answer=Job) for one in wanted]

    made = run(url, work)
    if as_json:
        show_json(Page[Job](items=made))
        return
    for job in made:
        click.echo(f"{job.id}: install {job.install_id} is offered Exclave {version}; see `exclave jobs show {job.id}`")
    if not made:
        click.echo("All install agents have it.")


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
