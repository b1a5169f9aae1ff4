"""`exclave agent trust`: whom an install agent trusts, and what the customer themselves changes in that."""

import getpass
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from agent.trust.store import TrustStore

_home = click.option(
    "--home",
    required=True,
    envvar="EXCLAVE_AGENT_HOME",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder of the install agent, which may be running.",
)


@click.group("trust")
def trust_command() -> None:
    """Show and change whose signatures an install agent takes."""


@trust_command.command("show")
@_home
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show_command(home: Path, as_json: bool) -> None:
    """Show the keys that it trusts, and what is revoked."""
    from agent.trust.notices import fingerprint

    with _store(home) as store:
        keys, revoked, highest = store.keys(), store.revoked(), store.highest_release()
    if as_json:
        shown = [{"fingerprint": fingerprint(key), "pem": key} for key in keys]
        click.echo(json.dumps({"keys": shown, "revoked": revoked, "highest_release": highest}))
        return
    for key in keys:
        click.echo(f"trusts  {fingerprint(key)}{'' if key in store.pinned else '  (learnt since enrolment)'}")
    for digest in revoked:
        click.echo(f"revoked {digest}")
    if highest:
        click.echo(f"applied signed releases up to {highest}")


@trust_command.command("add")
@click.argument("key", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_home
def add_command(key: Path, home: Path) -> None:
    """Trust a vendor's key from now on. KEY is its public half, in PEM."""
    from agent.oci.signature import public_key_of
    from agent.trust.notices import fingerprint

    try:
        pem = key.read_text()
        public_key_of(pem)
    except ValueError as error:
        raise click.ClickException(f"{key} is no public key in PEM that a vendor can have: {error}") from None
    with _store(home) as store:
        added = store.add([pem], [])
    _note(home, keys=[fingerprint(each) for each in added.keys], revoked=[])
    click.echo(f"Trusts {fingerprint(pem)}.")


@trust_command.command("revoke")
@click.argument("digests", nargs=-1, required=True)
@_home
def revoke_command(digests: tuple[str, ...], home: Path) -> None:
    """Trust a key, or run an artifact, never again. DIGESTS are fingerprints of keys, or digests of artifacts."""
    from agent.trust.notices import is_digest

    for digest in digests:
        if not is_digest(digest):
            raise click.ClickException(
                f"{digest!r} is no digest: write sha256: and 64 hex digits, as `exclave agent trust show` does"
            )
    with _store(home) as store:
        added = store.add([], digests)
        left = store.keys()
    _note(home, keys=[], revoked=list(added.revoked))
    click.echo("Revoked." if left else "Revoked. No key is trusted any more: nothing runs until `exclave agent trust add`.")


@contextmanager
def _store(home: Path) -> "Iterator[TrustStore]":
    from agent.identity import Home, IdentityError
    from agent.trust.store import TrustFileError, TrustStore

    try:
        identity = Home(home, make=False).identity()
        if identity is None or identity.enrolled.kind != "install":
            raise click.ClickException(f"--home {home} is not the folder of an install agent that has enrolled.")
        yield TrustStore(home.absolute(), tuple(identity.enrolled.vendor_keys))
    except IdentityError as error:
        raise click.ClickException(str(error)) from None
    except TrustFileError as error:
        raise click.ClickException(f"{error}. {error.failure.remedy}") from None


def _note(home: Path, keys: list[str], revoked: list[str]) -> None:
    from agent.ledger.ledger import Ledger, LedgerUnwritableError

    if not keys and not revoked:
        return
    try:
        Ledger(home.absolute()).append("trust.changed", keys=keys, revoked=revoked, by=getpass.getuser())
    except LedgerUnwritableError as error:
        click.echo(f"Warning: {error}", err=True)
