import asyncio
import io
import json
import shutil
import stat
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from registry_server import RegistryServer, sha256

from agent.bundle.hcl import read_blocks
from agent.bundle.manifest import ARTIFACT_TYPE, CONFIG_TYPE, SOURCE_TYPE, BundleConfig
from agent.bundle.module import interface_of
from agent.bundle.pack import Bundle, Contents, engine_travels, pack
from agent.bundle.platform import Platform, current_platform
from agent.bundle.providers import ProviderPackage
from agent.bundle.unpack import NotABundleError, WrongPlatformError, fetch_bundle
from agent.bundle.zip import PackedFile, UnsafeZipError
from agent.bundle.zip_store import ZipStore
from agent.engine.find import Engine
from agent.oci.errors import DigestMismatchError
from agent.oci.manifest import IMAGE_MANIFEST, canonical_json
from agent.oci.push import push_bytes, push_file

pytestmark = pytest.mark.anyio

MAIN = 'variable "cidr" { type = string }\noutput "cidr" { value = var.cidr }\n'
Packer = Callable[..., Bundle]


def source(folder: Path) -> Path:
    """A module with an empty file and an executable one."""
    (folder / "scripts").mkdir(parents=True)
    (folder / "main.tf").write_text(MAIN)
    (folder / "empty.txt").write_bytes(b"")
    (folder / "scripts" / "run.sh").write_text("#!/bin/sh\n")
    (folder / "scripts" / "run.sh").chmod(0o755)
    return folder


def files_of(folder: Path) -> dict[str, tuple[bytes, bool]]:
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), bool(path.stat().st_mode & stat.S_IXUSR))
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def packer(tmp_path: Path) -> Packer:
    """Packs a folder; each call works in a folder of its own."""
    engine_file = tmp_path / "engine"
    engine_file.write_bytes(b"#!/bin/sh\necho engine\n")
    count = iter(range(100))

    def make(
        folder: Path, *, name: str = "terraform", bundle_engine: str = "auto", kind: str = "binary", **more: object
    ) -> Bundle:
        work = tmp_path / f"work{next(count)}"
        work.mkdir()
        contents = {
            "source": folder,
            "interface": interface_of(read_blocks(folder)),
            "providers": (),
            "engine": Engine(kind, engine_file, name, "1.11.4"),  # type: ignore[arg-type]
            "bundle_engine": bundle_engine,
            "platform": current_platform(),
            "revision": "sha256:" + "0" * 64,
        }
        return pack(Contents(**(contents | more)), work, ZipStore(work / "store"))  # type: ignore[arg-type]

    return make


def dummy_provider(folder: Path) -> ProviderPackage:
    program = folder / "terraform-provider-dummy_v1.0.0"
    program.write_bytes(b"#!/bin/sh\nexit 1\n")
    address = "example.com/acme/dummy"
    title = f"providers/{address}/terraform-provider-dummy_1.0.0_{current_platform()}.zip"
    return ProviderPackage(address, "1.0.0", title, (PackedFile(program.name, program, executable=True),))


async def push(server: RegistryServer, bundle: Bundle) -> None:
    client = server.client()
    for layer in bundle.layers:
        await push_file(client, "acme/app", layer.path, layer.entry.digest, layer.entry.size)
    await push_bytes(client, "acme/app", bundle.config.blob())
    await client.put_manifest("acme/app", bundle.digest, bundle.manifest, IMAGE_MANIFEST)


async def push_raw(server: RegistryServer, bundle: Bundle, layers: dict[str, tuple[str, bytes]]) -> str:
    """Push a bundle whose layers were exchanged, with a config that agrees: what a vendor with bad intentions could sign."""
    client = server.client()
    config = json.loads(bundle.config.blob()) | {"layers": {title: sha256(data) for title, (_, data) in layers.items()}}
    blob = canonical_json(config)
    manifest = json.loads(bundle.manifest)
    manifest["config"] |= {"digest": sha256(blob), "size": len(blob)}
    manifest["layers"] = [
        {
            "mediaType": media_type,
            "digest": sha256(data),
            "size": len(data),
            "annotations": {"org.opencontainers.image.title": title},
        }
        for title, (media_type, data) in layers.items()
    ]
    for data in [blob, *(data for _, data in layers.values())]:
        await push_bytes(client, "acme/app", data)
    content = canonical_json(manifest)
    await client.put_manifest("acme/app", sha256(content), content, IMAGE_MANIFEST)
    return sha256(content)


def zipped(*entries: tuple[str | zipfile.ZipInfo, bytes]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries:
            archive.writestr(name, content)
    return buffer.getvalue()


def test_the_same_source_packs_to_the_same_digest_in_any_folder(tmp_path: Path, packer: Packer) -> None:
    first = packer(source(tmp_path / "a"), bundle_engine="always")
    again = packer(tmp_path / "a", bundle_engine="always")
    elsewhere = packer(source(tmp_path / "deep" / "b"), bundle_engine="always")
    assert first.digest == again.digest == elsewhere.digest


def test_another_source_packs_to_another_digest(tmp_path: Path, packer: Packer) -> None:
    first = packer(source(tmp_path / "a"))
    (tmp_path / "a" / "main.tf").write_text(MAIN + "\n")
    assert packer(tmp_path / "a").digest != first.digest


def test_the_manifest_is_one_that_opentofu_takes_as_a_module(tmp_path: Path, packer: Packer) -> None:
    bundle = packer(source(tmp_path / "a"), name="tofu", providers=(dummy_provider(tmp_path),))
    manifest = json.loads(bundle.manifest)
    assert manifest["mediaType"] == IMAGE_MANIFEST
    assert manifest["artifactType"] == ARTIFACT_TYPE == "application/vnd.opentofu.modulepkg"
    assert manifest["config"]["mediaType"] == CONFIG_TYPE
    assert [layer["mediaType"] for layer in manifest["layers"]].count("archive/zip") == 1
    assert manifest["annotations"]["org.opencontainers.image.created"] == "1980-01-01T00:00:00Z"


def test_the_config_says_what_is_inside(tmp_path: Path, packer: Packer) -> None:
    config = packer(source(tmp_path / "a")).config
    assert [variable.name for variable in config.variables] == ["cidr"]
    assert [output.name for output in config.outputs] == ["cidr"]
    assert (config.engine.name, config.engine.version, config.engine.file) == ("terraform", "1.11.4", None)
    assert BundleConfig.model_validate_json(config.blob()) == config


@pytest.mark.parametrize(
    ("name", "choice", "travels"),
    [
        ("tofu", "auto", True),
        ("terraform", "auto", False),
        ("terraform", "always", True),
        ("tofu", "never", False),
    ],
)
def test_terraform_travels_only_if_the_vendor_says_so(name: str, choice: str, travels: bool) -> None:
    engine = Engine("binary", Path("/x"), name, "1.11.4")  # type: ignore[arg-type]
    assert engine_travels(engine, choice) is travels  # type: ignore[arg-type]


async def test_a_bundle_comes_out_as_it_went_in(tmp_path: Path, packer: Packer, vendor: RegistryServer) -> None:
    provider = dummy_provider(tmp_path)
    bundle = packer(source(tmp_path / "a"), bundle_engine="always", providers=(provider,))
    await push(vendor, bundle)

    unpacked = await fetch_bundle(vendor.client(), "acme/app", bundle.digest, tmp_path / "into")

    assert files_of(unpacked.source) == files_of(tmp_path / "a")
    assert [path.relative_to(unpacked.mirror.parent).as_posix() for path in unpacked.mirror.rglob("*.zip")] == [provider.title]
    assert unpacked.config == bundle.config
    assert unpacked.engine is not None
    assert files_of(unpacked.engine.parent) == {"terraform": (b"#!/bin/sh\necho engine\n", True)}


async def test_a_bundled_library_is_recognised_as_one(tmp_path: Path, packer: Packer, vendor: RegistryServer) -> None:
    bundle = packer(source(tmp_path / "a"), bundle_engine="always", kind="library")
    await push(vendor, bundle)
    unpacked = await fetch_bundle(vendor.client(), "acme/app", bundle.digest, tmp_path / "into")
    assert unpacked.config.engine.kind == "library"
    assert unpacked.engine is not None
    assert unpacked.engine.suffix == ".so"


async def test_without_an_engine_layer_there_is_no_engine(tmp_path: Path, packer: Packer, vendor: RegistryServer) -> None:
    bundle = packer(source(tmp_path / "a"))
    await push(vendor, bundle)
    unpacked = await fetch_bundle(vendor.client(), "acme/app", bundle.digest, tmp_path / "into")
    assert unpacked.engine is None
    assert list(unpacked.mirror.iterdir()) == []


async def test_a_finished_folder_is_used_again(tmp_path: Path, packer: Packer, vendor: RegistryServer) -> None:
    bundle = packer(source(tmp_path / "a"))
    await push(vendor, bundle)
    first = await fetch_bundle(vendor.client(), "acme/app", bundle.digest, tmp_path / "into")
    vendor.tamper(bundle.digest)
    assert await fetch_bundle(vendor.client(), "acme/app", bundle.digest, tmp_path / "into") == first


async def test_two_fetches_at_once_give_the_same_folder(tmp_path: Path, packer: Packer, vendor: RegistryServer) -> None:
    bundle = packer(source(tmp_path / "a"))
    await push(vendor, bundle)
    client = vendor.client()
    both = await asyncio.gather(*(fetch_bundle(client, "acme/app", bundle.digest, tmp_path / "into") for _ in range(2)))
    assert both[0] == both[1]
    assert [path.name for path in (tmp_path / "into").iterdir()] == [bundle.digest.removeprefix("sha256:")]


@pytest.mark.parametrize("part", ["manifest", "config", "source"])
async def test_a_changed_byte_is_never_unpacked(part: str, tmp_path: Path, packer: Packer, vendor: RegistryServer) -> None:
    bundle = packer(source(tmp_path / "a"))
    await push(vendor, bundle)
    digests = {"manifest": bundle.digest, "config": sha256(bundle.config.blob()), "source": bundle.layers[0].entry.digest}
    vendor.tamper(digests[part])
    with pytest.raises(DigestMismatchError):
        await fetch_bundle(vendor.client(), "acme/app", bundle.digest, tmp_path / "into")
    assert list((tmp_path / "into").iterdir()) == []


LINK = zipfile.ZipInfo("d/link")
LINK.create_system = 3
LINK.external_attr = (stat.S_IFLNK | 0o777) << 16


@pytest.mark.parametrize(
    "archive",
    [
        zipped(("main.tf", b""), ("../../../evil", b"x")),
        zipped(("/evil", b"x")),
        zipped((LINK, b"/"), ("d/link/evil", b"x")),
        zipped(("zeros", bytes(64 * 1024 * 1024))),
    ],
    ids=["path traversal", "absolute path", "symlink", "zip bomb"],
)
async def test_an_archive_that_could_do_harm_is_refused(
    archive: bytes, tmp_path: Path, packer: Packer, vendor: RegistryServer
) -> None:
    bundle = packer(source(tmp_path / "a"))
    digest = await push_raw(vendor, bundle, {"source.zip": (SOURCE_TYPE, archive)})
    with pytest.raises(UnsafeZipError):
        await fetch_bundle(vendor.client(), "acme/app", digest, tmp_path / "into")
    assert list((tmp_path / "into").iterdir()) == []
    assert not list(tmp_path.rglob("evil"))


@pytest.mark.parametrize("title", ["providers/../../../evil.zip", "/evil.zip", "providers/a/b/c/../x.zip"])
async def test_a_provider_outside_of_the_mirror_is_refused(
    title: str, tmp_path: Path, packer: Packer, vendor: RegistryServer
) -> None:
    bundle = packer(source(tmp_path / "a"))
    layers = {
        "source.zip": (SOURCE_TYPE, zipped(("main.tf", b""))),
        title: ("application/vnd.exclave.terraform.provider.v1+zip", zipped(("x", b"x"))),
    }
    with pytest.raises(NotABundleError, match="has a layer"):
        await fetch_bundle(vendor.client(), "acme/app", await push_raw(vendor, bundle, layers), tmp_path / "into")


async def test_another_artifact_is_not_a_bundle(tmp_path: Path, vendor: RegistryServer) -> None:
    await push_bytes(vendor.client(), "acme/app", b"{}")
    empty = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": sha256(b"{}"), "size": 2}
    manifest = canonical_json({"schemaVersion": 2, "mediaType": IMAGE_MANIFEST, "config": empty, "layers": [empty]})
    await vendor.client().put_manifest("acme/app", sha256(manifest), manifest, IMAGE_MANIFEST)
    with pytest.raises(NotABundleError, match="not a Terraform bundle"):
        await fetch_bundle(vendor.client(), "acme/app", sha256(manifest), tmp_path / "into")


async def test_a_bundle_for_another_platform_is_refused(tmp_path: Path, packer: Packer, vendor: RegistryServer) -> None:
    other = Platform(os="plan9", architecture="mips")
    with_engine = packer(source(tmp_path / "a"), bundle_engine="always", platform=other)
    await push(vendor, with_engine)
    with pytest.raises(WrongPlatformError, match="plan9_mips"):
        await fetch_bundle(vendor.client(), "acme/app", with_engine.digest, tmp_path / "into")
    source_alone = packer(tmp_path / "a", platform=other)
    await push(vendor, source_alone)
    assert (await fetch_bundle(vendor.client(), "acme/app", source_alone.digest, tmp_path / "into")).source.is_dir()


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed (apt-get install skopeo)")
async def test_skopeo_copies_a_bundle_with_its_digest(
    tmp_path: Path, packer: Packer, vendor: RegistryServer, debian: RegistryServer
) -> None:
    bundle = packer(source(tmp_path / "a"), bundle_engine="always", providers=(dummy_provider(tmp_path),))
    await push(vendor, bundle)
    vendor.ticket("once")
    origin = vendor.url.removeprefix("http://")
    target = debian.url.removeprefix("http://")
    copying = await asyncio.create_subprocess_exec(
        "skopeo", "--insecure-policy", "copy", "--all", "--preserve-digests", "--src-tls-verify=false",
        "--dest-tls-verify=false", "--src-creds=ticket:once", f"docker://{origin}/acme/app@{bundle.digest}",
        f"docker://{target}/mirror/app:v1",
        stdout=sys.stderr,
    )  # fmt: skip
    assert await copying.wait() == 0
    assert await debian.client().manifest_digest("mirror/app", "v1") == bundle.digest


def test_the_store_makes_each_zip_once_and_drops_the_unused(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    now = 1_700_000_000.0
    store = ZipStore(tmp_path / "store", clock=lambda: now)
    files = [PackedFile("name", tmp_path / "file")]
    first = store.zip_of(files)
    inode = first.stat().st_ino
    assert store.zip_of(files).stat().st_ino == inode
    now += 31 * 24 * 3600
    other = store.zip_of([PackedFile("other", tmp_path / "file")])
    assert list((tmp_path / "store").iterdir()) == [other]
