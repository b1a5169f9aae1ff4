"""Start an install agent from what its user typed."""

import os
from functools import partial
from pathlib import Path

import click

from agent.identity import VERSION
from agent.install.approvals import Approvals, Mode
from agent.install.executor import InstallExecutor
from agent.install.registries import CustomerRegistry, cloud_of, read_writer
from agent.install.site import Site
from agent.install.workspace import Components
from agent.job import Executor
from agent.options import AgentOptions
from agent.policy.document import PolicyFileError
from agent.secrets.resolve import ENV_PREFIX, Resolver
from agent.serve import Machine
from agent.start import run_agent
from agent.state.backend import read_backend
from agent.state.place import chosen, open_states
from agent.update.supervised import Supervised
from agent.update.updates import Updates, note_end
from agent.update.versions import Versions


def start_install_agent(
    options: AgentOptions,
    registry_credentials: Path,
    approval: Mode | None,
    secrets_dir: Path | None = None,
    secrets_env_prefix: str = ENV_PREFIX,
    policy: Path | None = None,
    kubeconfig: Path | None = None,
    kube_context: str | None = None,
    state: str | None = None,
    state_key: str | None = None,
) -> None:
    """Run an install agent until it is told to stop. `approval`, `state` and `state_key` None keep what an earlier start said.

    A policy that can't be used doesn't keep the agent from starting: each job fails and says why, until it can.
    Raises click.ClickException.
    """
    try:
        writer = read_writer(registry_credentials)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it isn't such a file"
        raise click.ClickException(
            f"--registry-credentials {registry_credentials} can't be read: {reason}. "
            "Give the writer.json in the data folder of `exclave registry`, or a file that names your cloud's registry."
        ) from None

    def executor(machine: Machine) -> Executor:
        enrolled = machine.identity.enrolled
        approvals = Approvals(machine.home.folder)
        if approval:
            approvals.choose(approval)
        folder, install = machine.home.folder, enrolled.install_id or ""
        place = chosen(folder, install, enrolled.agent_id, state, state_key)
        site = Site(
            install_id=install,
            app_name=enrolled.app_name or "",  # an install has one; no name at all fits no signature
            components=Components(machine.home.folder),
            registry=CustomerRegistry(writer, machine.registries, cloud_of(writer)),
            vendor_keys=tuple(enrolled.vendor_keys),
            engine=options["engine"],
            env=os.environ,
            http=machine.registries,
            approvals=approvals,
            sealing_key=machine.identity.sealing_key,
            resolver=Resolver(os.environ, secrets_env_prefix, secrets_dir or machine.home.folder / "secrets"),
            states=None if place.backend else open_states(place, folder, install, enrolled.agent_id),
            backend=read_backend(place.backend, install) if place.backend else None,
            policy_file=policy.absolute() if policy else None,
            kubeconfig=kubeconfig.absolute() if kubeconfig else None,
            kube_context=kube_context,
        )
        _say_rules(site)
        site.ledger.append("agent.started", agent=enrolled.agent_id, install=enrolled.install_id, version=VERSION)
        updates = Updates(Versions(folder), supervised)
        note_end(updates.versions, site.ledger)
        if supervised:
            supervised.when_held = partial(note_end, updates.versions, site.ledger)
        return InstallExecutor(site, updates)

    supervised = Supervised.of_environment(os.environ)
    run_agent("install", options, lambda _: None, executor, supervised)


def _say_rules(site: Site) -> None:
    try:
        policy = site.rules.load()
    except PolicyFileError as error:
        click.echo(f"Policy: {error}\nNothing runs until it is right. {error.failure.remedy}", err=True)
        return
    click.echo(
        f"Policy: {site.rules.path} is {policy.digest}" if policy.digest else "Policy: none; all that is signed may run."
    )
    if policy.paused:
        click.echo(f"The agent is {policy.paused}. Nothing begins until `exclave agent resume`.")
