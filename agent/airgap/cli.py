"""`exclave bundle`: a release as one file, for accounts that no network leads to."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import click
from pydantic import ValidationError

from agent.airgap.bundle import BundledArtifact, BundledRelease, Checked, check, create, push
from agent.airgap.layout import LayoutReader
from agent.airgap.rules import Rules
from agent.failure import JobFailedError
from agent.install.registries import CustomerRegistry, EcrWriter, GarWriter, RegistryWriter, cloud_of, read_writer
from agent.oci.client import RegistryClient
from agent.oci.kms_key import open_key
from agent.oci.token import Credential
from agent.outbound import OutboundError, outbound_client
from agent.trust.notices import fingerprint
from api.client import ApiError, ImsClient, UnreachableError
from api.contract.resources import App, Build, Release
from api.contract.signed_releases import StoredSignature

T = TypeVar("T")

TOKEN_USER = "token"  # noqa: S105 - a name
"""The user name with which the IMS's registry takes a service token."""

_file = click.Path(dir_okay=False, path_type=Path)
_vendor_key = click.option(
    "--vendor-key",
    "vendor_keys",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The vendor's public key (PEM), which you have from elsewhere than the bundle. May be given twice. Left out: the keys "
    "that the agent of --home trusts.",
)
_home = click.option(
    "--home",
    envvar="EXCLAVE_AGENT_HOME",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    help="The folder of the install agent, which may be running: its policy, and what it knows to be revoked, hold here, too.",
)
_policy = click.option(
    "--policy",
    envvar="EXCLAVE_POLICY",
    type=_file,
    help="The customer's policy file, if it isn't policy.yaml in --home.",
)


@click.group("bundle")
def bundle_command() -> None:
    """Carry a release as one signed file to where no network leads: an OCI image layout in a tar."""


@bundle_command.command("create")
@click.argument("release")
@click.option("--url", required=True, envvar="EXCLAVE_URL", help="The IMS's address. Its token: EXCLAVE_TOKEN(_FILE).")
@click.option("--output", required=True, type=_file, help="The file to write.")
@click.option(
    "--signing-key",
    required=True,
    envvar="EXCLAVE_SIGNING_KEY",
    help="The vendor's key: a file such as the build agent's vendor.key, awskms:KEY, or gcpkms:projects/…",
)
@click.option("--since", type=_file, help="An earlier bundle, which the receiver has pushed: what it has is left out.")
@click.option(
    "--tool", "tools", multiple=True, type=click.Path(exists=True, dir_okay=False, path_type=Path), help="A file to add."
)
@click.option(
    "--registry-credentials", type=_file, help="url, username and password of the vendor's registry, if it isn't the IMS's."
)
def create_command(
    release: str,
    url: str,
    output: Path,
    signing_key: str,
    since: Path | None,
    tools: tuple[Path, ...],
    registry_credentials: Path | None,
) -> None:
    """Write the release with the id RELEASE as a file."""
    token = service_token()
    writer = vendor_registry(registry_credentials)

    async def work() -> str:
        async with ImsClient(url, token) as ims, outbound_client() as http:
            described = await _described(ims, release)
            login = Credential(writer.username, writer.password) if writer else Credential(TOKEN_USER, token)
            source = RegistryClient(writer.url if writer else url, login, http)
            key = await asyncio.to_thread(open_key, signing_key, Path.cwd())
            signature = await _signature(ims, release)
            if signature is None:
                click.echo("The release isn't signed as a whole: customers who ask for that won't take it.")
            return await create(output, described, source, key, signature=signature, since=since, tools=tools, log=click.echo)

    head = run_command(work)
    click.echo(f"{output}: {output.stat().st_size} bytes, {head}")


@bundle_command.command("verify")
@click.argument("file", type=_file)
@_vendor_key
@_home
@_policy
def verify_command(file: Path, vendor_keys: tuple[Path, ...], home: Path | None, policy: Path | None) -> None:
    """Check every signature and every byte of FILE.

    And the customer's own rules, if they are given. Needs no network.
    """

    async def work(layout: LayoutReader) -> None:
        checked, _ = await _admitted(layout, vendor_keys, home, policy)
        click.echo(f"{checked.release.app} release {checked.release.number} ({checked.release.release_id}), {checked.head}")
        for one in checked.release.artifacts:
            click.echo(f"  {one.component}: {one.repository}@{one.digest}")
        if checked.signed:
            click.echo(f"Signed as a whole: {checked.signed.digest}, by {fingerprint(checked.signed.key)}.")
        else:
            click.echo(f"Not signed as a whole: {checked.unsigned}.")
        if checked.release.base:
            click.echo(f"A delta: push the bundle {checked.release.base} before it.")

    _with_layout(file, work)


@bundle_command.command("push")
@click.argument("file", type=_file)
@_vendor_key
@_home
@_policy
@click.option(
    "--registry-credentials", required=True, type=_file, help="The file that the install's agent has for the registry."
)
def push_command(
    file: Path, vendor_keys: tuple[Path, ...], home: Path | None, policy: Path | None, registry_credentials: Path
) -> None:
    """Check FILE, and bring its artifacts into a registry.

    It is checked as by `verify`; signatures and referrers go along. Needs no IMS.
    """
    writer = _writer(registry_credentials)

    async def work(layout: LayoutReader) -> None:
        checked, rules = await _admitted(layout, vendor_keys, home, policy)
        await asyncio.to_thread(rules.learn, checked)
        async with outbound_client() as http:
            registry = CustomerRegistry(writer, http, cloud_of(writer))
            for one in checked.release.artifacts:
                await registry.make_ready(one.repository)
                own = registry.repository(one.repository)
                report = await push(layout, checked, one, await registry.client(), own)
                click.echo(f"{one.component}: {own}@{one.digest}, {report.copied_bytes} bytes sent")

    _with_layout(file, work)


async def _described(ims: ImsClient, release_id: str) -> BundledRelease:
    release = await ims.call("GET", f"/v1/releases/{quote(release_id, safe='')}", answer=Release)
    if release.status != "ready":
        raise click.ClickException(f"release {release.number} is {release.status}; wait until it is ready")
    app = await ims.call("GET", f"/v1/apps/{release.app_id}", answer=App)
    artifacts = []
    for listed in release.builds:
        build = await ims.call("GET", f"/v1/builds/{listed.build_id}", answer=Build)
        assert build.artifact, "a ready release has built everything"
        artifacts.append(
            BundledArtifact(
                component=listed.component, repository=build.artifact.repository, digest=build.artifact.digest, tag=build.id
            )
        )
    return BundledRelease(app=app.name, release_id=release.id, number=release.number, artifacts=artifacts)


def service_token() -> str:
    """The token of whoever calls, from the environment. Raises click.ClickException."""
    if token := os.environ.get("EXCLAVE_TOKEN"):
        return token
    if file := os.environ.get("EXCLAVE_TOKEN_FILE"):
        try:
            return Path(file).read_text().strip()
        except OSError as error:
            raise click.ClickException(f"EXCLAVE_TOKEN_FILE: {file} can't be read: {error.strerror}") from None
    raise click.ClickException("No token. Set EXCLAVE_TOKEN to a service token, or EXCLAVE_TOKEN_FILE to a file that has one.")


def vendor_registry(file: Path | None) -> RegistryWriter | None:
    """The login of the vendor's registry, if it isn't the IMS's. Raises click.ClickException."""
    writer = _writer(file) if file else None
    if writer is not None and not isinstance(writer, RegistryWriter):
        raise click.UsageError("--registry-credentials needs a file with url, username and password here")
    return writer


def _writer(file: Path) -> RegistryWriter | EcrWriter | GarWriter:
    try:
        return read_writer(file)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, each['loc'])) or 'the file'}: {each['msg']}" for each in error.errors())
        raise click.ClickException(f"--registry-credentials {file} can't be used: {wrong}") from None
    except OSError as error:
        raise click.ClickException(f"--registry-credentials {file} can't be read: {error.strerror}") from None


async def _signature(ims: ImsClient, release_id: str) -> StoredSignature | None:
    try:
        return await ims.call("GET", f"/v1/releases/{quote(release_id, safe='')}/signature", answer=StoredSignature)
    except ApiError as error:
        if error.code == "not_found":
            return None
        raise


async def _admitted(
    layout: LayoutReader, vendor_keys: tuple[Path, ...], home: Path | None, policy: Path | None
) -> tuple[Checked, Rules]:
    """What is in the bundle, once it is the vendor's and the customer's rules take it; and these rules."""
    if not vendor_keys and home is None:
        raise click.UsageError(
            "give --vendor-key, the vendor's public key, or --home, the folder of an agent that has pinned it"
        )
    keys = tuple(file.read_text() for file in vendor_keys)
    rules = await asyncio.to_thread(Rules.of, home, policy, keys)
    checked = await check(layout, rules.keys)
    await asyncio.to_thread(rules.check, checked, datetime.now(UTC))
    return checked, rules


def _with_layout(file: Path, work: Callable[[LayoutReader], Awaitable[None]]) -> None:
    async def within() -> None:
        layout = await asyncio.to_thread(LayoutReader.open, file)
        try:
            await work(layout)
        finally:
            layout.close()

    run_command(within)


def run_command(work: Callable[[], Awaitable[T]]) -> T:
    """Run what a command does; what can go wrong ends it with a plain message."""

    async def within() -> T:
        return await work()

    try:
        return asyncio.run(within())
    except JobFailedError as error:
        raise click.ClickException(f"{error}. {error.failure.remedy}".strip()) from None
    except ApiError as error:
        raise click.ClickException(f"{error}. {error.problem.remedy}".strip()) from None
    except UnreachableError as error:
        raise click.ClickException(f"{error}. {error.remedy}") from None
    except OutboundError as error:
        raise click.ClickException(str(error)) from None
    except ValueError as error:
        raise click.ClickException(f"a key can't be read: {error}") from None
