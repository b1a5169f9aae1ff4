"""`exclave releases sign`: a release as a whole, signed where the vendor's key is and a person or the vendor's CI says so."""

import asyncio
import json
from pathlib import Path
from urllib.parse import quote

import click

from agent.airgap.cli import TOKEN_USER, run_command, service_token, vendor_registry
from agent.oci.client import RegistryClient
from agent.oci.kms_key import open_key
from agent.oci.signature import verify
from agent.oci.token import Credential
from agent.outbound import outbound_client
from agent.trust.claims import claims_of
from agent.trust.notices import fingerprint, read_revocations
from agent.trust.releases import ReleaseRefusedError, SignedRelease, changes, document_of, opened_release, signed_release
from api.client import ImsClient
from api.contract.base import Page
from api.contract.resources import Release
from api.contract.signed_releases import ReleaseContents, ReleaseDocument, StoredSignature

_LOOKED_BACK = 100
"""Releases among which the last one that was signed is looked for."""

_file = click.Path(dir_okay=False, path_type=Path)


@click.command("sign")
@click.argument("release")
@click.option("--url", required=True, envvar="EXCLAVE_URL", help="The IMS's address. An editor's token: EXCLAVE_TOKEN(_FILE).")
@click.option(
    "--signing-key",
    required=True,
    envvar="EXCLAVE_SIGNING_KEY",
    help="The vendor's key: a file such as the build agent's vendor.key, awskms:KEY, or gcpkms:projects/…",
)
@click.option(
    "--build-key",
    "build_keys",
    multiple=True,
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="The public key (PEM) with which the builds are signed, if it is another. May be given twice.",
)
@click.option("--revoked", type=_file, help="A file of digests that agents must not take any more, one a line.")
@click.option(
    "--registry-credentials", type=_file, help="url, username and password of the vendor's registry, if it isn't the IMS's."
)
@click.option("--yes", is_flag=True, help="Don't ask: for the vendor's CI.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def sign_command(
    release: str,
    url: str,
    signing_key: str,
    build_keys: tuple[Path, ...],
    revoked: Path | None,
    registry_credentials: Path | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Sign the release with the id RELEASE as a whole.

    Each artifact is checked first: a build must have been signed for this app, component and config. Then it is shown what the
    release changes against the last one that was signed, and asked.
    """
    token = service_token()
    writer = vendor_registry(registry_credentials)

    async def work() -> tuple[ReleaseDocument, StoredSignature]:
        path = f"/v1/releases/{quote(release, safe='')}"
        key = await asyncio.to_thread(open_key, signing_key, Path.cwd())
        keys = (key.public_pem, *(each.read_text() for each in build_keys))
        also = read_revocations(revoked) if revoked else ()
        async with ImsClient(url, token) as ims, outbound_client() as http:
            contents = await ims.call("GET", f"{path}/contents", answer=ReleaseContents)
            login = Credential(writer.username, writer.password) if writer else Credential(TOKEN_USER, token)
            await _check_builds(contents, RegistryClient(writer.url if writer else url, login, http), keys)
            document = document_of(contents, also)
            before = await _last_signed(ims, contents, keys)
            for line in _told(contents, document, before, key.public_pem):
                click.echo(line, err=as_json)
            if not yes:
                click.confirm("Sign it?", abort=True, err=as_json)
            signed = await asyncio.to_thread(signed_release, document, key)
            await ims.call("PUT", f"{path}/signature", body=signed, answer=Release)
            return document, await ims.call("GET", f"{path}/signature", answer=StoredSignature)

    document, stored = run_command(work)
    if as_json:
        said = {"app": document.app, "number": document.number, "document": stored.document, "signed_by": stored.signed_by}
        click.echo(json.dumps(said))
        return
    click.echo(f"{document.app} release {document.number} is signed: {stored.document}")


async def _check_builds(contents: ReleaseContents, registry: RegistryClient, keys: tuple[str, ...]) -> None:
    """Raises SignatureError unless a build was signed for exactly what the IMS says of each component."""
    for component, one in contents.components.items():
        await verify(registry, one.repository, one.digest, keys, claims_of(contents.app, component, one.config))


async def _last_signed(ims: ImsClient, contents: ReleaseContents, keys: tuple[str, ...]) -> SignedRelease | None:
    """The newest release before this one that one of the keys has signed."""
    params: dict[str, str | int] = {"app": contents.app, "order": "desc", "limit": _LOOKED_BACK}
    found = await ims.call("GET", "/v1/releases", answer=Page[Release], params=params)
    for one in found.items:
        if one.signed_by is None or one.number >= contents.number:
            continue
        kept = await ims.call("GET", f"/v1/releases/{one.id}/signature", answer=StoredSignature)
        try:
            signed = opened_release(kept.envelope, keys)
        except ReleaseRefusedError:
            continue
        if (signed.document.app, signed.document.number) == (contents.app, one.number):
            return signed
    return None


def _told(contents: ReleaseContents, document: ReleaseDocument, before: SignedRelease | None, key: str) -> list[str]:
    against = f"against release {before.document.number}, the last that is signed" if before else "the first that is signed"
    told = [f"{document.app} release {document.number}, {against}; the key is {fingerprint(key)}"]
    for name, change in changes(document, before.document if before else None).items():
        one = contents.components.get(name)
        told.append(f"  {name}: {change}" + (f"  {one.repository}@{one.digest}" if one else ""))
    return told + [f"  revokes {digest}" for digest in document.revoked]
