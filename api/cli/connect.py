"""`exclave installs connect`: one thing for the customer to run, after which the agent of an install is there."""

import asyncio
import re
import shutil
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import cast

import click
from pydantic import Field

from api.cli.connection_kit import (
    DEFAULT_IMAGE,
    DEFAULT_PACKAGE,
    RECIPES,
    REGISTRY_FILE,
    TOKEN_FILE,
    AgentSettings,
    KitError,
    Target,
    as_registry_file,
    check_folder,
    fill,
    instructions,
    targets,
)
from api.cli.session import ims_options, open_private, run, segment, show_json
from api.client import ImsClient
from api.contract.agents import Agent
from api.contract.base import Model, Timestamp
from api.contract.enrollment import Enrollment, EnrollmentCreate, EnrollmentCreated
from api.contract.resources import Install

_LOOK_SECONDS = 2.0
_PULLING = ("kubernetes", "helm", "aws", "aws-cloudformation", "google")
_LOOPBACK = re.compile(r"https?://(127\.|localhost\b|\[::1\])")


class Connection(Model):
    """What was made, and who has come. `run` is the command, to be run in `folder`; the token is in the folder alone."""

    install: str
    install_id: str
    target: str | None = None
    folder: str | None = None
    files: list[str] = Field(default_factory=list)
    run: str | None = None
    enrollment_id: str | None = None
    expires_at: Timestamp | None = None
    agent_id: str | None = None


@click.command("connect")
@click.argument("install")
@click.option("--target", type=click.Choice(targets()), help="Where the agent is to run. Without it: --wait alone.")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    help="The folder to make, for the customer; it has the token in it.  [default: INSTALL-agent]",
)
@click.option("--image", default=DEFAULT_IMAGE, show_default=True, help="The agent's image, as the customer can pull it.")
@click.option("--package", default=DEFAULT_PACKAGE, show_default=True, help="What pip installs there; for systemd.")
@click.option("--agent-url", help="The IMS's address as the customer reaches it.  [default: --url]")
@click.option(
    "--registry-credentials",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The file of the customer's registry, if you have it; else the customer adds it.",
)
@click.option("--approval", type=click.Choice(["customer", "ims"]), help="As in `exclave agent install`.")
@click.option("--allow-namespace", multiple=True, help="A namespace that the agent may deploy into; for kubernetes and helm.")
@click.option("--wait", is_flag=True, help="Wait until the agent has come.")
@click.option("--wait-minutes", type=click.FloatRange(min=0, min_open=True), default=30, show_default=True, help="At most.")
@ims_options
def connect_command(
    install: str,
    target: str | None,
    output: Path | None,
    image: str,
    package: str,
    agent_url: str | None,
    registry_credentials: Path | None,
    approval: str | None,
    allow_namespace: tuple[str, ...],
    wait: bool,
    wait_minutes: float,
    url: str,
    as_json: bool,
) -> None:
    """Make what a customer runs to start INSTALL's agent.

    It is a folder with one command to run in it, and a token that works once and expires. Give it to the customer in a way that
    nobody else reads. With --wait, it ends when the agent has come, with exit code 1 if it doesn't.
    """
    if target is None and not wait:
        raise click.UsageError(f"give --target, one of {', '.join(targets())}; or --wait alone, for a folder made before")

    recipe = RECIPES[cast("Target", target)] if target else None
    if allow_namespace and (recipe is None or not recipe.in_cluster):
        raise click.UsageError("--allow-namespace is for --target kubernetes and helm: nothing else runs in a cluster")
    if registry_credentials and recipe and recipe.own_registry:
        raise click.UsageError(f"--target {target} makes a registry of the agent's own: leave --registry-credentials out")

    def say(line: str) -> None:
        click.echo(line, err=as_json)

    async def make(ims: ImsClient, found: Install) -> Connection:
        settings = AgentSettings(
            install=found.name,
            url=(agent_url or url).rstrip("/"),
            image=image,
            package=package,
            approval=approval,  # type: ignore[arg-type]  # click has checked it
            namespaces=allow_namespace,
        )
        return await _make(ims, found, cast("Target", target), output or Path(f"{found.name}-agent"), settings, registry)

    async def work(ims: ImsClient) -> Connection:
        found = await ims.call("GET", f"/v1/installs/{segment(install)}", answer=Install)
        if target is not None and _LOOPBACK.match(agent_url or url):
            say(f"Warning: {agent_url or url} leads nowhere from another machine; give the customer's way in --agent-url.")
        if target in _PULLING and "/" not in image:
            say(f"Warning: the image {image} names no registry; give one that the customer can pull from in --image.")
        if target is None:
            made = Connection(install=found.name, install_id=found.id)
        else:
            _refuse_second_agent(found)
            made = await make(ims, found)
            _tell(made, say, needs_registry=recipe is not None and not recipe.own_registry and registry is None)
        if wait:
            return await _wait(ims, made, wait_minutes * 60, say)
        return made

    try:
        registry = as_registry_file(registry_credentials.read_text()) if registry_credentials else None
        made = run(url, work)
    except (KitError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{error}.") from None
    if as_json:
        show_json(made)
    if wait and made.agent_id is None:
        sys.exit(1)


def _refuse_second_agent(found: Install) -> None:
    if found.agent_id is None:
        return
    seen = f"last heard of {found.agent_last_seen_at:%Y-%m-%d %H:%M:%SZ}" if found.agent_last_seen_at else "never heard of"
    raise click.ClickException(
        f"install {found.name} has an agent already: {found.agent_id}, {seen}.\n"
        "To upgrade it, change the image (or package) in its folder and run the same command again.\n"
        f"To replace it, stop it, run `exclave agents revoke {found.agent_id}`, and connect anew."
    )


async def _make(
    ims: ImsClient, found: Install, target: Target, folder: Path, settings: AgentSettings, registry: str | None
) -> Connection:
    """The folder, then the token: whatever is wrong with the folder costs none. Raises KitError; then nothing is left."""
    check_folder(folder)
    try:
        fill(folder, target, settings)
        if registry is not None:
            with open_private(folder / REGISTRY_FILE) as file:
                file.write(registry)
        with open_private(folder / TOKEN_FILE) as file:
            body = EnrollmentCreate(kind="install", install_id=found.id)
            token = await ims.call("POST", "/v1/agents/enrollments", body=body, answer=EnrollmentCreated)
            file.write(token.secret + "\n")
    except BaseException:
        shutil.rmtree(folder)
        raise
    (folder / "README.md").write_text(
        f"# The Exclave agent of install {found.name}\n"
        f"Run this, in this folder:\n\n    {RECIPES[target].run}\n\n"
        f"It starts the agent, which calls {settings.url} and nobody calls. The token in the file `{TOKEN_FILE}` works once, "
        f"until {token.expires_at:%Y-%m-%d %H:%M} UTC: until then, whoever reads it can take the agent's place.\n\n"
        + instructions(target, settings)
    )
    return Connection(
        install=found.name,
        install_id=found.id,
        target=target,
        folder=str(folder.absolute()),
        files=sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()),
        run=RECIPES[target].run,
        enrollment_id=token.id,
        expires_at=token.expires_at,
    )


def _tell(made: Connection, say: Callable[[str], None], *, needs_registry: bool) -> None:
    say(f"Made {made.folder} for the customer, who runs in it: {made.run}")
    if needs_registry:
        say(f"Before, the customer puts {REGISTRY_FILE} there, which says where their registry is; the README has examples.")
    say(f"The token in it works once, until {made.expires_at:%Y-%m-%d %H:%M:%SZ}. Hand it over so that nobody else reads it.")
    say(f"Then see the agent come: exclave installs connect {made.install} --wait")


async def _wait(ims: ImsClient, made: Connection, seconds: float, say: Callable[[str], None]) -> Connection:
    """Wait until the install's agent is there and has asked for work, and tell every step on the way."""
    give_up = asyncio.get_running_loop().time() + seconds
    say(f"Waiting for the agent of {made.install}, at most {seconds / 60:g} minutes.")
    enrolled: Agent | None = None
    while True:
        found = await _agent_of(ims, made)
        if found and enrolled is None:
            say(f"Agent {found.id} ({found.name}) has enrolled, on {found.platform}.")
        enrolled = found
        if found and _at_work(found):
            say(f"Agent {found.id} has signed in and waits for jobs. The install is connected.")
            return made.model_copy(update={"agent_id": found.id})
        late = asyncio.get_running_loop().time() >= give_up
        unused = found is None and made.expires_at is not None and made.expires_at <= datetime.now(UTC)
        if late or unused:
            for line in _what_to_look_at(made, found, expired=unused):
                click.echo(line, err=True)
            return made
        await asyncio.sleep(_LOOK_SECONDS)


async def _agent_of(ims: ImsClient, made: Connection) -> Agent | None:
    """The agent that has come: by the token that was made here, or else the install's."""
    if made.enrollment_id:
        enrollment = await ims.call("GET", f"/v1/agents/enrollments/{made.enrollment_id}", answer=Enrollment)
        agent_id = enrollment.agent_id
    else:
        agent_id = (await ims.call("GET", f"/v1/installs/{made.install_id}", answer=Install)).agent_id
    return await ims.call("GET", f"/v1/agents/{agent_id}", answer=Agent) if agent_id else None


def _at_work(agent: Agent) -> bool:
    """Whether it has been heard of since it enrolled: it has signed in, then."""
    return agent.status == "online" and (
        agent.load is not None or (agent.last_seen_at or agent.enrolled_at) > agent.enrolled_at
    )


def _what_to_look_at(made: Connection, found: Agent | None, *, expired: bool) -> list[str]:
    if found and found.status == "revoked":
        return [f"Agent {found.id} was revoked. Connect the install anew."]
    if found:
        return [
            f"Agent {found.id} has enrolled, but hasn't been heard of since {found.enrolled_at:%H:%M:%SZ}.",
            "Look whether it runs still, at what it says, and whether its clock is right: 5 minutes off are refused.",
        ]
    if expired:
        return ["The token has expired, and nobody used it. Make another: exclave installs connect … --target … again."]
    logs = RECIPES[cast("Target", made.target)].logs if made.target else "its log, as the README of its folder shows"
    return [
        f"No agent has enrolled for {made.install}. The customer can look at:",
        f"- what the agent says: {logs}",
        "- whether its machine reaches the IMS: curl ADDRESS/healthz, with HTTPS_PROXY if there is a proxy",
        "- whether the token is still good: it works once, and expires"
        + (f" at {made.expires_at:%Y-%m-%d %H:%M:%SZ}" if made.expires_at else ""),
        "- what else is in its way: exclave agent doctor beside the agent, as the README of its folder shows",
    ]
