"""`verify` of an image: the build copies only what its maker has signed, by cosign's simple signing with a key."""

from dataclasses import dataclass
from pathlib import Path

import pytest
from build_job import Build, BuildAgent
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ed25519
from images import push_image, push_index
from pydantic import ValidationError
from registry_server import RegistryServer

from agent.failure import JobFailedError
from agent.oci.dsse import key_id
from agent.oci.signature import public_key_of, put_signature, sign, verify
from agent.oci.vendor_key import VendorKey
from api.contract.base import Failure
from api.contract.components import ContainerImageConfig, secret_texts
from api.contract.image_sources import ImageVerification, PublicImage

pytestmark = pytest.mark.anyio

WEB = "team/web"


@dataclass(frozen=True)
class Maker:
    """Who makes the image, and signs it in the source registry."""

    registry: RegistryServer
    key: VendorKey

    async def sign(self, digest: str, key: VendorKey | None = None) -> None:
        await sign(self.registry.client(), WEB, digest, key or self.key, WEB)

    def config(self, verification: ImageVerification | None = None, platforms: list[str] | None = None) -> ContainerImageConfig:
        image = PublicImage(image_url=f"{self.registry.url.removeprefix('http://')}/{WEB}", tag="1.0")
        wanted = verification or ImageVerification(key=self.key.public_pem)
        return ContainerImageConfig(public=image, verify=wanted, platforms=platforms or [])


@pytest.fixture
def maker(debian: RegistryServer, tmp_path: Path) -> Maker:
    return Maker(debian, VendorKey.load_or_create(tmp_path / "maker.pem"))


@pytest.fixture
def build(build_agent: BuildAgent) -> Build:
    return build_agent.builds("acme/web")


async def failure_of(build: Build, config: ContainerImageConfig, secrets: dict[str, str] | None = None) -> Failure:
    with pytest.raises(JobFailedError) as failed:
        await build(config, secrets=secrets)
    return failed.value.failure


async def test_a_signed_image_is_built_and_its_signature_travels(
    build: Build, maker: Maker, vendor: RegistryServer, key: VendorKey
) -> None:
    digest = (await push_image(maker.registry, WEB, "1.0"))["digest"]
    await maker.sign(digest)
    assert (await build(maker.config())).artifact.digest == digest
    for each in (maker.key, key):
        await verify(vendor.client(), "acme/web", digest, (each.public_pem,))


async def test_the_signature_of_an_index_covers_the_platforms_that_are_taken(build: Build, maker: Maker) -> None:
    digests = await push_index(maker.registry, WEB, "1.0", "linux/amd64", "linux/arm64")
    await maker.sign(digests["linux/arm64"])
    assert (await failure_of(build, maker.config(platforms=["linux/arm64"]))).code == "image_not_verified"
    await maker.sign(digests["index"])
    assert (await build(maker.config(platforms=["linux/arm64"]))).artifact.digest == digests["linux/arm64"]


@pytest.mark.parametrize(
    ("signed", "why"), [("not", "no signature"), ("by another", "another key"), ("another", "another digest")]
)
async def test_an_image_without_a_good_signature_is_refused_by_image_digest_and_key(
    signed: str, why: str, build: Build, maker: Maker, vendor: RegistryServer, tmp_path: Path
) -> None:
    digest = (await push_image(maker.registry, WEB, "1.0", content="new"))["digest"]
    if signed == "by another":
        await maker.sign(digest, VendorKey.load_or_create(tmp_path / "stranger.pem"))
    if signed == "another":
        old = (await push_image(maker.registry, WEB, "0.9", content="old"))["digest"]
        await maker.sign(old)
        # The old image's signature, at the place where that of the new one is looked for.
        place = f"{old.replace(':', '-')}.sig"
        found = await maker.registry.client().get_manifest(WEB, place)
        await maker.registry.client().put_manifest(WEB, f"{digest.replace(':', '-')}.sig", found.data, found.media_type)
    refused = await failure_of(build, maker.config())
    assert (refused.code, refused.field) == ("image_not_verified", "config.verify.key")
    assert f"{WEB}:1.0" in refused.message
    assert digest in refused.message
    assert key_id(public_key_of(maker.key.public_pem)) in refused.message
    assert why in refused.message
    assert await vendor.client().find_manifest("acme/web", digest) is None


async def test_one_good_signature_among_others_is_enough(build: Build, maker: Maker, tmp_path: Path) -> None:
    digest = (await push_image(maker.registry, WEB, "1.0"))["digest"]
    await maker.sign(digest)
    await maker.sign(digest, VendorKey.load_or_create(tmp_path / "stranger.pem"))
    assert (await build(maker.config())).artifact.digest == digest


async def test_a_payload_that_was_changed_after_it_was_signed_is_worth_nothing(build: Build, maker: Maker) -> None:
    digest = (await push_image(maker.registry, WEB, "1.0"))["digest"]
    other = (await push_image(maker.registry, WEB, "0.9", content="old"))["digest"]

    class Forger:
        """Signs one thing, and shows the signature with another."""

        public_pem, public_key = maker.key.public_pem, maker.key.public_key

        def sign(self, payload: bytes) -> bytes:
            return maker.key.sign(payload.replace(digest.encode(), other.encode()))

    await put_signature(maker.registry.client(), WEB, digest, Forger(), WEB)  # type: ignore[arg-type]
    assert (await failure_of(build, maker.config())).code == "image_not_verified"


async def test_the_key_may_be_a_secret(build: Build, maker: Maker) -> None:
    digest = (await push_image(maker.registry, WEB, "1.0"))["digest"]
    config = maker.config(ImageVerification(key_secret="cosign-key"))
    assert secret_texts(config) == {"verify.key_secret": "cosign-key"}
    refused = await failure_of(build, config, {"cosign-key": maker.key.public_pem})
    assert (refused.code, refused.field) == ("image_not_verified", "config.verify.key_secret")
    assert "cosign-key" in refused.message
    await maker.sign(digest)
    assert (await build(config, secrets={"cosign-key": maker.key.public_pem})).artifact.digest == digest
    assert (await failure_of(build, config)).code == "secret_missing"


@pytest.mark.parametrize("kind", ["nonsense", "ed25519", "private"])
async def test_what_is_no_key_is_said(kind: str, build: Build, maker: Maker) -> None:
    await push_image(maker.registry, WEB, "1.0")
    other = ed25519.Ed25519PrivateKey.generate()
    pem = {
        "nonsense": b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        "ed25519": other.public_key().public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo),
        "private": other.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ),
    }[kind].decode()
    refused = await failure_of(build, maker.config(ImageVerification(key=pem)))
    assert (refused.code, refused.field) == ("image_key_wrong", "config.verify.key")
    assert "PRIVATE" not in refused.message


def test_a_verification_names_one_key() -> None:
    for fields in ({}, {"key": "k", "key_secret": "s"}):
        with pytest.raises(ValidationError, match="exactly one of"):
            ImageVerification.model_validate(fields)
