import asyncio
import base64
import json
import shutil
import stat
from pathlib import Path

import pytest
from artifacts import image
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from registry_server import RegistryServer

from agent.oci.client import RegistryClient
from agent.oci.errors import DigestMismatchError
from agent.oci.signature import SignatureError, sign, verify
from agent.oci.signature_manifest import SIGNATURE_ANNOTATION
from agent.oci.vendor_key import VendorKey, VendorKeyError

pytestmark = pytest.mark.anyio


@pytest.fixture
def key(tmp_path: Path) -> VendorKey:
    return VendorKey.load_or_create(tmp_path / "key.pem")


@pytest.fixture
def other_key(tmp_path: Path) -> VendorKey:
    return VendorKey.load_or_create(tmp_path / "other.pem")


async def signed(client: RegistryClient, key: VendorKey, content: bytes = b"x") -> str:
    digest: str = (await image(client, "acme/app", content))["digest"]
    assert await sign(client, "acme/app", digest, key, "registry.test/acme/app")
    return digest


async def test_a_signature_verifies_with_the_pinned_key(vendor: RegistryServer, key: VendorKey, other_key: VendorKey) -> None:
    client = vendor.client()
    digest = await signed(client, key)
    await verify(client, "acme/app", digest, (other_key.public_pem, key.public_pem))


async def test_no_signature_is_refused(vendor: RegistryServer, key: VendorKey) -> None:
    digest = (await image(vendor.client(), "acme/app"))["digest"]
    with pytest.raises(SignatureError, match="no signature") as refused:
        await verify(vendor.client(), "acme/app", digest, (key.public_pem,))
    assert (refused.value.reason, refused.value.failure.code) == ("unsigned", "signature_refused")


async def test_a_signature_by_another_key_is_refused(vendor: RegistryServer, key: VendorKey, other_key: VendorKey) -> None:
    digest = await signed(vendor.client(), other_key)
    with pytest.raises(SignatureError, match="with another") as refused:
        await verify(vendor.client(), "acme/app", digest, (key.public_pem,))
    assert refused.value.reason == "other_key"


async def test_a_signature_of_another_artifact_is_refused(vendor: RegistryServer, key: VendorKey) -> None:
    client = vendor.client()
    good = await signed(client, key, b"good")
    bad = (await image(client, "acme/app", b"bad"))["digest"]
    stolen = await client.get_manifest("acme/app", good.replace(":", "-") + ".sig")
    await client.put_manifest("acme/app", bad.replace(":", "-") + ".sig", stolen.data, stolen.media_type)
    with pytest.raises(SignatureError, match="another digest") as refused:
        await verify(client, "acme/app", bad, (key.public_pem,))
    assert refused.value.reason == "other_digest"


async def test_no_pinned_key_verifies_nothing(vendor: RegistryServer, key: VendorKey) -> None:
    digest = await signed(vendor.client(), key)
    with pytest.raises(SignatureError):
        await verify(vendor.client(), "acme/app", digest, ())


async def test_a_changed_payload_is_refused(vendor: RegistryServer, key: VendorKey) -> None:
    client = vendor.client()
    digest = await signed(client, key)
    manifest = await client.get_manifest("acme/app", digest.replace(":", "-") + ".sig")
    vendor.tamper(manifest.body().layers[0].digest)
    with pytest.raises(DigestMismatchError):
        await verify(client, "acme/app", digest, (key.public_pem,))


async def test_signing_again_adds_nothing(vendor: RegistryServer, key: VendorKey) -> None:
    client = vendor.client()
    digest = await signed(client, key)
    tag = digest.replace(":", "-") + ".sig"
    before = await client.manifest_digest("acme/app", tag)
    assert not await sign(client, "acme/app", digest, key, "registry.test/acme/app")
    assert await client.manifest_digest("acme/app", tag) == before


async def test_a_second_key_signs_beside_the_first(vendor: RegistryServer, key: VendorKey, other_key: VendorKey) -> None:
    client = vendor.client()
    digest = await signed(client, key)
    assert await sign(client, "acme/app", digest, other_key, "registry.test/acme/app")
    await verify(client, "acme/app", digest, (key.public_pem,))
    await verify(client, "acme/app", digest, (other_key.public_pem,))


async def test_signing_at_once_for_two_configs_loses_neither(target: RegistryServer, key: VendorKey) -> None:
    """docker-registry doesn't keep to If-Match: there it is the lock in this process that does it."""
    digest: str = (await image(target.client(), "acme/app", b"x"))["digest"]
    claims = [{"config": str(number)} for number in range(8)]
    await asyncio.gather(*(sign(target.client(), "acme/app", digest, key, "registry.test/acme/app", each) for each in claims))
    for each in claims:
        await verify(target.client(), "acme/app", digest, (key.public_pem,), each)


async def test_the_signature_is_what_cosign_expects(vendor: RegistryServer, key: VendorKey) -> None:
    client = vendor.client()
    digest = await signed(client, key)
    body = (await client.get_manifest("acme/app", digest.replace(":", "-") + ".sig")).body()
    (layer,) = body.layers
    payload = await client.read_blob("acme/app", layer.digest, layer.size)
    public = serialization.load_pem_public_key(key.public_pem.encode())
    assert isinstance(public, ec.EllipticCurvePublicKey)
    public.verify(base64.b64decode(layer.annotations[SIGNATURE_ANNOTATION]), payload, ec.ECDSA(hashes.SHA256()))
    assert layer.media_type == "application/vnd.dev.cosign.simplesigning.v1+json"
    assert json.loads(payload) == {
        "critical": {
            "identity": {"docker-reference": "registry.test/acme/app"},
            "image": {"docker-manifest-digest": digest},
            "type": "cosign container image signature",
        },
        "optional": None,
    }
    assert body.config is not None
    config = json.loads(await client.read_blob("acme/app", body.config.digest, body.config.size))
    assert config["rootfs"]["diff_ids"] == [layer.digest]


@pytest.mark.service
@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed")
async def test_openssl_agrees_with_the_signature(key: VendorKey, tmp_path: Path) -> None:
    files = {"pub.pem": key.public_pem.encode(), "sig": key.sign(b"payload"), "payload": b"payload"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    arguments = ("dgst", "-sha256", "-verify", "pub.pem", "-signature", "sig", "payload")
    openssl = await asyncio.create_subprocess_exec("openssl", *arguments, cwd=tmp_path, stdout=asyncio.subprocess.DEVNULL)
    assert await openssl.wait() == 0


def test_the_key_is_made_once_and_only_for_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "vendor.pem"
    first = VendorKey.load_or_create(path)
    assert VendorKey.load_or_create(path).public_pem == first.public_pem
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [each.name for each in path.parent.iterdir()] == ["vendor.pem"]
    assert "private" not in repr(first).lower()


@pytest.mark.parametrize(
    "content",
    [
        b"no key",
        ec.generate_private_key(ec.SECP384R1()).private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    ],
)
def test_a_key_of_another_kind_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "key.pem").write_bytes(content)
    with pytest.raises(VendorKeyError) as refused:
        VendorKey.load_or_create(tmp_path / "key.pem")
    assert refused.value.failure.remedy
