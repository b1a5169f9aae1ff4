"""`exclave agent disconnect`: the clean end of an agent, on its own machine.

It is stopped and owes nothing; the IMS takes its key no more, and the key is removed. What it has deployed stays.
"""

import asyncio
import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from agent.identity import Home


@click.command("disconnect")
@click.option("--url", required=True, envvar="EXCLAVE_URL", help="The IMS's address.")
@click.option(
    "--home",
    required=True,
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder of the agent, which is stopped.",
)
@click.option("--yes", is_flag=True, help="Don't ask.")
@click.option(
    "--ca-file",
    envvar="EXCLAVE_CA_FILE",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Authorities (PEM) to trust besides the usual ones, such as your proxy's.",
)
def disconnect_command(url: str, home: Path, yes: bool, ca_file: Path | None) -> None:
    """End an agent that is stopped, for good.

    Its key is revoked and removed. What it has deployed stays: if it shall go, have the vendor tear it down first.
    """
    from agent.failure import CodedError
    from agent.identity import HomeInUseError, IdentityError
    from agent.outbound import OutboundError, settle_environment
    from api.client import ApiError, UnreachableError

    try:
        settle_environment(os.environ, ca_file, home.absolute())
        _disconnect(url, home, yes=yes)
    except HomeInUseError:
        raise click.ClickException(
            f"An agent runs on {home}. Stop it first: it takes no more jobs then, and ends those that it has."
        ) from None
    except (IdentityError, OutboundError) as error:
        raise click.ClickException(str(error)) from None
    except ApiError as error:
        raise click.ClickException(f"{error}. {error.problem.remedy}".strip()) from None
    except UnreachableError as error:
        raise click.ClickException(f"{error}. {error.remedy}") from None
    except CodedError as error:
        raise click.ClickException(f"{error}. {error.failure.remedy}") from None


def _disconnect(url: str, folder: Path, *, yes: bool) -> None:
    from agent.identity import Home
    from agent.install.workspace import Components
    from agent.journal import Journal
    from agent.ledger.ledger import Ledger

    home = Home(folder, make=False)
    with home.occupied():
        identity = home.identity()
        if identity is None:
            raise click.ClickException(f"--home {folder} is not the folder of an agent that has enrolled.")
        who = identity.enrolled
        if owed := Journal(home.folder / "journal").entries():
            raise click.ClickException(
                f"The agent still owes the IMS {len(owed)} reports. Start it once more with --once: it sends them, and ends."
            )
        stays = Components(home.folder, sweep=False).deployed() if who.kind == "install" else []
        if stays:
            click.echo(f"Deployed in your account, and managed by nobody from now on: {', '.join(stays)}.")
            click.echo("If they shall go, leave it as it is, and have the vendor run: exclave deploys teardown INSTALL")
        if not yes and not click.confirm(f"End agent {who.agent_id} for good?"):
            click.echo("Left as it is.")
            return
        asyncio.run(_revoke(url, home))
        if who.kind == "install":
            Ledger(home.folder).append("agent.disconnected", agent=who.agent_id, install=who.install_id, stays=stays)
        home.forget()
        click.echo(f"Agent {who.agent_id} is disconnected; its key is revoked, and gone.")
        if who.kind == "install":
            click.echo(f"What stays: {_kept(home.folder)}")


async def _revoke(url: str, home: "Home") -> None:
    """Have the IMS take the key no more. That it doesn't already, because an earlier try was cut off, is as good."""
    from agent.outbound import calls_client
    from agent.session import Session
    from api.client import ApiError
    from api.contract.problems import AgentRevokedError

    identity = home.identity()
    assert identity
    async with calls_client() as http:
        try:
            await Session(url, identity, http).disconnect()
        except ApiError as error:
            if error.code != AgentRevokedError.code:
                raise


def _kept(folder: Path) -> str:
    from agent.state.place import Place, remembered

    place = remembered(folder) or Place()
    where = f"{folder}/states" if place.state == "home" else place.state
    return (
        f"states in {where}, the keys that seal them and the ledger in {folder}, artifacts in your registry. A new agent "
        "that is enrolled for the same install with this --home goes on with them."
    )
