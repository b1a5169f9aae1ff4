"""The command `exclave`. Each part's commands are loaded only when they are used, by the name of their module."""

import importlib
import sys

import click

_COMMANDS = {
    "up": ("api.cli.up:up_command", "Start an IMS on this machine, with a build agent beside it."),
    "config": ("api.cli.config:config_command", "Check and show the settings of the IMS."),
    "db": ("api.cli.db:db_command", "Check and upgrade the database's schema."),
    "backup": ("api.cli.backup:backup_command", "Copy everything an IMS needs, while it runs."),
    "restore": ("api.cli.backup:restore_command", "Make a data folder of a backup."),
    "apps": ("api.cli.apps:apps_command", "Read apps."),
    "installs": ("api.cli.installs:installs_command", "Read installs, connect their accounts, find drift."),
    "releases": ("api.cli.releases:releases_command", "Read releases and their builds, and sign them."),
    "deploys": ("api.cli.deploys:deploys_command", "Follow, approve, retry, cancel and tear down deploys."),
    "tokens": ("api.cli.tokens:tokens_command", "Make, list and revoke service tokens."),
    "sessions": ("api.cli.sessions:sessions_command", "List and end the logins of people."),
    "login": ("api.cli.login:login_command", "Log in with your browser."),
    "logout": ("api.cli.login:logout_command", "End the login."),
    "whoami": ("api.cli.login:whoami_command", "Say who you are to the IMS, and what you may do."),
    "secrets": ("api.cli.secrets:secrets_command", "Set, list, delete and rotate secrets."),
    "agents": ("api.cli.agents:agents_command", "Enrol, list, update and revoke agents."),
    "jobs": ("api.cli.jobs:jobs_command", "Read jobs and their logs."),
    "events": ("api.cli.events:events_command", "Read, follow, export and verify the history."),
    "webhooks": ("api.cli.webhooks:webhooks_command", "Send events to an address of yours."),
    "openapi": ("api.cli.openapi:openapi_command", "Print the REST API's OpenAPI document."),
    "agent": ("agent.cli:agent_command", "Run a build agent or an install agent."),
    "bundle": ("agent.airgap.cli:bundle_command", "Carry a release as one file to where no network leads."),
    "registry": ("api.cli.registry:registry_command", "Run a registry alone, as a customer's; collect what nothing needs."),
    "provider": ("provider_bridge.cli:provider_command", "Install the Terraform provider, or make packages of it."),
    "terraform": ("api.cli.terraform:terraform_command", "Write a definition of what is there; run the engine."),
}


class _LazyGroup(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module, attribute = _COMMANDS[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text) in _COMMANDS.items()])


@click.command(cls=_LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="exclave")
def exclave() -> None:
    """Run your product inside your customers' clouds.

    Commands that talk to an IMS take its address from --url or EXCLAVE_URL, and its token from EXCLAVE_TOKEN, the file that
    EXCLAVE_TOKEN_FILE names, or `exclave login`. Errors are plain words on stderr, also with --json. Exit codes: 0 done,
    1 failed, 2 wrong usage, 4 not found, 5 not signed in or not allowed.
    """


def main() -> None:
    """The console script."""
    sys.exit(exclave.main(prog_name="exclave", standalone_mode=True))
