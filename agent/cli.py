"""`exclave agent build`, `exclave agent install` and `exclave terraform`.

What the agents are made of is imported when one is started, so that `exclave terraform` and `--help` don't pay for it; the
commands of other modules when they are used, so that an agent that runs doesn't.
"""

import importlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar, Unpack

import click

from agent.engine.find import EngineNotFoundError, find_engine
from agent.options import AgentOptions

Command = TypeVar("Command", bound=Callable[..., None])

_ca_file = click.option(
    "--ca-file",
    envvar="EXCLAVE_CA_FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Authorities (PEM) to trust besides the usual ones, such as your proxy's.",
)


def _agent_options(command: Command) -> Command:
    for option in reversed(
        [
            click.option("--url", required=True, envvar="EXCLAVE_URL", help="The IMS's address."),
            click.option(
                "--token",
                envvar="EXCLAVE_AGENT_TOKEN",
                help="The enrolment token (or a service token with an agent's role), better as EXCLAVE_AGENT_TOKEN: "
                "arguments show in the process list.",
            ),
            click.option(
                "--token-file",
                type=click.Path(dir_okay=False, path_type=Path),
                help="A file with the one-time enrolment token, for the first start; - reads it from standard input.",
            ),
            click.option(
                "--home",
                required=True,
                type=click.Path(file_okay=False, path_type=Path),
                help="The agent's own folder: its key, its journal, and what it works on. Made if it isn't there.",
            ),
            click.option("--name", help="How the agent is shown; else made from this machine's name."),
            click.option("--engine", envvar="EXCLAVE_ENGINE", help="The Terraform or OpenTofu program; else found by itself."),
            click.option("--slots", type=click.IntRange(1, 64), default=4, show_default=True, help="Jobs at once."),
            click.option(
                "--rotate-key-days",
                type=click.FloatRange(1),
                default=90,
                show_default=True,
                help="Replace the agent's own key when it is so many days old.",
            ),
            click.option("--once", is_flag=True, help="Stop when there is nothing left to do."),
            click.option(
                "--stop-with-stdin",
                is_flag=True,
                help="Stop when standard input closes: for a parent that wants to leave no agent behind, however it ends.",
            ),
            _ca_file,
        ]
    ):
        command = option(command)
    return command


_ELSEWHERE = {
    "disconnect": "agent.disconnect:disconnect_command",
    "ledger": "agent.ledger.cli:ledger_command",
    "pause": "agent.policy.cli:pause_command",
    "policy": "agent.policy.cli:policy_command",
    "probe": "agent.update.cli:probe_command",
    "publish": "agent.update.cli:publish_command",
    "resume": "agent.policy.cli:resume_command",
    "state": "agent.state.cli:state_command",
    "trust": "agent.trust.cli:trust_command",
    "update": "agent.update.cli:update_command",
}


class _Group(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted([*super().list_commands(ctx), *_ELSEWHERE])

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _ELSEWHERE:
            return super().get_command(ctx, cmd_name)
        module, attribute = _ELSEWHERE[cmd_name].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


@click.group("agent", cls=_Group)
def agent_command() -> None:
    """Run a build agent (the vendor's) or an install agent (a customer's). Both make outbound calls only."""


@agent_command.command("build")
@_agent_options
@click.option(
    "--signing-key",
    envvar="EXCLAVE_SIGNING_KEY",
    help="The vendor's key: a file, awskms:KEY (ARN, id or alias), or gcpkms:projects/…/cryptoKeyVersions/N.  "
    "[default: vendor.key in --home, made at the first start]",
)
@click.option(
    "--allow-source",
    "allowed_sources",
    multiple=True,
    envvar="EXCLAVE_ALLOW_SOURCES",
    help="Build only from here: globs of git URLs, folders, REPOSITORY/CHART and images, and `manifest` for inline ones. In "
    "the variable, separated by spaces.  [default: from anywhere]",
)
@click.option(
    "--previous-key",
    help="As --signing-key: the key before it. It signs as well and vouches for the new one, until every install agent has "
    "heard of it.",
)
@click.option(
    "--revoked",
    type=click.Path(dir_okay=False, path_type=Path),
    help="A file of digests, of artifacts or keys (of their PEM), one a line: install agents run and trust them no more.",
)
def build_command(
    signing_key: str | None,
    allowed_sources: tuple[str, ...],
    previous_key: str | None,
    revoked: Path | None,
    **options: Unpack[AgentOptions],
) -> None:
    """Build components, sign and push them to the registry."""
    from api.contract.base import build_models_late

    build_models_late()
    from agent.build.start import start_build_agent

    start_build_agent(options, signing_key, allowed_sources, previous_key, revoked)


@agent_command.command("install")
@_agent_options
@click.option(
    "--registry-credentials",
    required=True,
    type=click.Path(dir_okay=False, path_type=Path),
    help="The writer's file that `exclave registry` makes: url, username and password of the customer's registry.",
)
@click.option(
    "--secrets-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="The only folder that `ref+file` references of the vendor may read; else `secrets` in --home.",
)
@click.option(
    "--secrets-env-prefix",
    default="EXCLAVE_SECRET_",
    show_default=True,
    help="The only environment variables that `ref+env` references may read begin so.",
)
@click.option(
    "--approval",
    type=click.Choice(["customer", "ims"]),
    help="`customer`: apply nothing that wasn't approved on this machine, whatever the IMS says; `ims`: ask only where the "
    "install's own setting does. Kept in the home folder for later starts.  [default: as before, at first ims]",
)
@click.option(
    "--kubeconfig",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The kubeconfig of the cluster for charts and manifests; else KUBECONFIG, else the pod's own service account. "
    "~/.kube/config is never looked at.",
)
@click.option("--kube-context", help="The kubeconfig's context to use.  [default: its current one]")
@click.option(
    "--policy",
    envvar="EXCLAVE_POLICY",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The customer's rules, read anew for each job; better a file that the agent can't write.  "
    "[default: policy.yaml in --home, if it is there]",
)
@click.option(
    "--state",
    envvar="EXCLAVE_AGENT_STATE",
    help="Where Terraform's state is kept, sealed: `home`, a folder, s3://BUCKET/PREFIX?region=…, or gs://BUCKET/PREFIX; or, "
    "by Terraform itself, in the backend of your own that backend:FILE names. Kept in the home folder for later starts.  "
    "[default: as before, at first home]",
)
@click.option(
    "--state-key",
    envvar="EXCLAVE_AGENT_STATE_KEY",
    help="The key that seals it: `file` (state.keys in --home), awskms:KEY, or gcpkms:projects/…/cryptoKeys/K. Kept as well.  "
    "[default: as before, at first file]",
)
@click.option(
    "--self-update",
    is_flag=True,
    envvar="EXCLAVE_SELF_UPDATE",
    help="Run under a small supervisor, so that versions of the agent that the vendor has signed can be tried, as your policy "
    "says (`updates`), and are put back if they don't hold. Not in a container, where the image is what is updated.",
)
def install_command(
    registry_credentials: Path,
    secrets_dir: Path | None,
    secrets_env_prefix: str,
    approval: Literal["customer", "ims"] | None,
    policy: Path | None,
    kubeconfig: Path | None,
    kube_context: str | None,
    state: str | None,
    state_key: str | None,
    self_update: bool,
    **options: Unpack[AgentOptions],
) -> None:
    """Bring deploys into the customer's account, from inside."""
    if self_update and "EXCLAVE_SUPERVISOR" not in os.environ:
        from agent.update.cli import become_supervisor

        become_supervisor(options)
    from api.contract.base import build_models_late

    build_models_late()
    from agent.install.start import start_install_agent

    start_install_agent(
        options,
        registry_credentials,
        approval,
        secrets_dir,
        secrets_env_prefix,
        policy,
        kubeconfig,
        kube_context,
        state=state,
        state_key=state_key,
    )


@agent_command.command("approve")
@click.argument("deploy", required=False)
@click.option("--url", required=True, envvar="EXCLAVE_URL", help="The IMS's address.")
@click.option(
    "--home",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder of the install agent, which may be running.",
)
@click.option("--component", help="Only the plan of this component.")
@click.option("--reject", is_flag=True, help="Say no instead.")
@click.option("--note", default="", help="Why; the vendor sees it.")
@click.option("--yes", is_flag=True, help="Don't ask.")
@_ca_file
def approve_command(
    deploy: str | None,
    url: str,
    home: Path,
    component: str | None,
    reject: bool,
    note: str,
    yes: bool,
    ca_file: Path | None,
) -> None:
    """Approve the plans that wait for the customer.

    Run it on the machine of the install agent; without DEPLOY, it is about the plans of all deploys.
    """
    from agent.approve import approve

    approve(url, home, deploy=deploy, component=component, reject=reject, note=note, yes=yes, ca_file=ca_file)


@agent_command.command("rotate-key")
@click.option("--url", required=True, envvar="EXCLAVE_URL", help="The IMS's address.")
@click.option(
    "--home", required=True, type=click.Path(file_okay=False, path_type=Path), help="The folder of the agent, which is stopped."
)
@_ca_file
def rotate_key_command(url: str, home: Path, ca_file: Path | None) -> None:
    """Replace the key of an agent that is stopped, now.

    For when somebody may have seen it; a running agent does it by itself in time.
    """
    from agent.start import rotate_agent_key

    rotate_agent_key(url, home, ca_file)


@agent_command.command("doctor")
@click.option("--url", envvar="EXCLAVE_URL", help="The IMS's address.")
@click.option("--home", type=click.Path(file_okay=False, path_type=Path), help="The agent's folder, there already or not yet.")
@click.option(
    "--registry-credentials",
    type=click.Path(dir_okay=False, path_type=Path),
    help="An install agent's file for the customer's registry: a small blob is pushed, pulled and removed.",
)
@click.option(
    "--kubeconfig",
    type=click.Path(dir_okay=False, path_type=Path),
    help="As the agent has it; else KUBECONFIG, else the pod's.",
)
@click.option("--kube-context", help="The kubeconfig's context to use.  [default: its current one]")
@click.option(
    "--state",
    envvar="EXCLAVE_AGENT_STATE",
    help="Where the agent is to keep state: a small object is written, read and removed there.  "
    "[default: where the agent in --home keeps it]",
)
@click.option("--engine", envvar="EXCLAVE_ENGINE", help="The Terraform or OpenTofu program; else found by itself.")
@click.option(
    "--timeout", type=click.FloatRange(0.1, 600), default=15, show_default=True, help="Seconds for all checks together."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_ca_file
def doctor_command(
    url: str | None,
    home: Path | None,
    registry_credentials: Path | None,
    kubeconfig: Path | None,
    kube_context: str | None,
    state: str | None,
    engine: str | None,
    timeout: float,
    as_json: bool,
    ca_file: Path | None,
) -> None:
    """Check whether this machine has all that an agent needs.

    With a remedy for each thing that FAILED. What isn't given is SKIPPED. Give the options, and the environment, that the agent
    has or will have. Exit codes: 0 nothing failed, 1 something failed, 2 wrong options.
    """
    from agent.doctor.command import doctor
    from agent.doctor.doctor import Patient

    patient = Patient(url, home, registry_credentials, engine, kubeconfig, kube_context, state)
    doctor(patient, timeout, ca_file, as_json=as_json)


@agent_command.command("support-bundle")
@click.option(
    "--home",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder of the agent, which may be running.",
)
@click.option("--url", envvar="EXCLAVE_URL", help="The IMS's address; without it, nothing is said of the way there.")
@click.option(
    "--registry-credentials",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file that the agent has for its registry.",
)
@click.option(
    "--secrets-dir",
    type=click.Path(file_okay=False, path_type=Path),
    help="As the agent was given it: its contents are redacted.",
)
@click.option("--engine", envvar="EXCLAVE_ENGINE", help="The Terraform or OpenTofu program; else found by itself.")
@click.option(
    "--output",
    type=click.Path(dir_okay=False, path_type=Path),
    help="The file to write.  [default: exclave-support-TIME.tar.gz]",
)
@click.option("--timeout", type=click.FloatRange(0.1, 600), default=15, show_default=True, help="Seconds for the doctor.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@_ca_file
def support_bundle_command(
    home: Path,
    url: str | None,
    registry_credentials: Path | None,
    secrets_dir: Path | None,
    engine: str | None,
    output: Path | None,
    timeout: float,
    as_json: bool,
    ca_file: Path | None,
) -> None:
    """Write one file for whoever helps.

    Versions, logs, the doctor's answers. Secrets are left out: keys, state, plans and outputs don't go in, and every text is
    redacted. Nothing is sent anywhere.
    """
    from agent.support.collect import Subject
    from agent.support.command import write_bundle

    subject = Subject(home, url, registry_credentials, engine, [secrets_dir] if secrets_dir else [])
    write_bundle(subject, output, timeout, ca_file, as_json=as_json)


@click.command("terraform", context_settings={"ignore_unknown_options": True})
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def terraform_command(arguments: tuple[str, ...]) -> None:
    """Run the Terraform engine that Exclave found, for machines that have none on PATH: `exclave terraform -- ARGS`."""
    try:
        command = [*find_engine(None, os.environ).argv(), *arguments]
    except EngineNotFoundError as error:
        raise click.ClickException(f"{error}. {error.remedy}") from None
    os.execv(command[0], command)  # noqa: S606 - no shell is wanted
