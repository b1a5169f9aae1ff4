"""`exclave bundle`: a release as one file, for accounts that no network leads to."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar
from urllib.parse import quote

import click

from agent.airgap.bundle import BundledArtifact, BundledRelease, check, create, push
from agent.airgap.layout import LayoutReader
from agent.failure import JobFailedError
from agent.install.registries import CustomerRegistry, RegistryWriter, cloud_of, read_writer
from agent.oci.client import RegistryClient
from agent.oci.kms_key import open_key
from agent.oci.token import Credential
from agent.outbound import OutboundError, outbound_client
from api.client import ApiError, ImsClient, UnreachableError
from api.contract.resources import App, Build, Release

T = TypeVar("T")

TOKEN_USER = "token"  # noqa: S105 - a name
"""The user name with which the IMS's registry takes a service token."""

_file = click.Path(dir_okay=False, path_type=Path)
_vendor_key = click.option(
    "--vendor-key",
    "vendor_keys",
    multiple=True,
    required=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The vendor's public key (PEM), which you have from elsewhere than the bundle. May be given twice.",
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
    writer = read_writer(registry_credentials) if registry_credentials else None
    if writer is not None and not isinstance(writer, RegistryWriter):
        raise click.UsageError("--registry-credentials needs a file with url, username and password here")

    async def work() -> str:
        async with ImsClient(url, token) as ims, outbound_client() as http:
            described = await _described(ims, release)
            login = Credential(writer.username, writer.password) if writer else Credential(TOKEN_USER, token)
            source = RegistryClient(writer.url if writer else url, login, http)
            key = await asyncio.to_thread(open_key, signing_key, Path.cwd())
            return await create(output, described, source, key, since=since, tools=tools, log=click.echo)

    head = run_command(work)
    click.echo(f"{output}: {output.stat().st_size} bytes, {head}")


@bundle_command.command("verify")
@click.argument("file", type=_file)
@_vendor_key
def verify_command(file: Path, vendor_keys: tuple[Path, ...]) -> None:
    """Check every signature and every byte of FILE. Needs no network."""

    async def work(layout: LayoutReader) -> None:
        checked = await check(layout, _keys(vendor_keys))
        click.echo(f"{checked.release.app} release {checked.release.number} ({checked.release.release_id}), {checked.head}")
        for one in checked.release.artifacts:
            click.echo(f"  {one.component}: {one.repository}@{one.digest}")
        if checked.release.base:
            click.echo(f"A delta: push the bundle {checked.release.base} before it.")

    _with_layout(file, work)


@bundle_command.command("push")
@click.argument("file", type=_file)
@_vendor_key
@click.option(
    "--registry-credentials", required=True, type=_file, help="The file that the install's agent has for the registry."
)
def push_command(file: Path, vendor_keys: tuple[Path, ...], registry_credentials: Path) -> None:
    """Check FILE, and bring its artifacts into a registry.

    With their signatures and referrers. Needs no IMS.
    """
    try:
        writer = read_writer(registry_credentials)
    except (OSError, ValueError) as error:
        raise click.ClickException(f"--registry-credentials {registry_credentials} can't be used: {error}") from None

    async def work(layout: LayoutReader) -> None:
        checked = await check(layout, _keys(vendor_keys))
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


def _keys(files: tuple[Path, ...]) -> tuple[str, ...]:
    return tuple(file.read_text() for file in files)


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
