"""A release as one file: made, checked, pushed; and every file that isn't what its vendor signed is refused."""

import asyncio
import io
import json
import shutil
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest
from artifacts import image
from click.testing import CliRunner
from made_bundles import SAME, Files, opened, push_all, release, rewritten, silent
from registry_server import RegistryServer, sha256

from agent.airgap.bundle import BadBundleError, check, create
from agent.airgap.cli import bundle_command
from agent.airgap.layout import BadLayoutError, LayoutReader
from agent.failure import JobFailedError
from agent.oci.digest import hex_of
from agent.oci.errors import DigestMismatchError
from agent.oci.provenance import read_provenance
from agent.oci.signature import SignatureError, verify
from agent.oci.vendor_key import VendorKey

pytestmark = pytest.mark.anyio


@pytest.fixture
def key(tmp_path: Path) -> VendorKey:
    return VendorKey.load_or_create(tmp_path / "vendor.key")


@pytest.fixture
def other_key(tmp_path: Path) -> VendorKey:
    return VendorKey.load_or_create(tmp_path / "other.key")


async def test_a_release_travels_in_a_file(
    tmp_path: Path, key: VendorKey, vendor: RegistryServer, target: RegistryServer
) -> None:
    described = await release(vendor.client(), key)
    await create(tmp_path / "release.tar", described, vendor.client(), key, log=silent)
    await push_all(tmp_path / "release.tar", key, target.client())
    there = target.client()
    for one in described.artifacts:
        repository = f"mirror/{one.repository}"
        await verify(there, repository, one.digest, (key.public_pem,))
        assert (await there.get_manifest(repository, one.tag)).digest == one.digest
    assert await read_provenance(there, "mirror/shop/db", described.artifacts[1].digest, (key.public_pem,))
    assert await push_all(tmp_path / "release.tar", key, target.client()) == 0
    assert not list(tmp_path.glob(".*.partial"))


async def test_a_delta_has_only_what_is_new(
    tmp_path: Path, key: VendorKey, vendor: RegistryServer, customer: RegistryServer
) -> None:
    first, second = tmp_path / "1.tar", tmp_path / "2.tar"
    head = await create(first, await release(vendor.client(), key), vendor.client(), key, log=silent)
    newer = await release(vendor.client(), key, 2, b"second")
    await create(second, newer, vendor.client(), key, since=first, log=silent)
    async with opened(second) as layout:
        checked = await check(layout, (key.public_pem,))
        assert checked.release.base == head
        assert sha256(b"second") in layout.blobs
        assert sha256(SAME) not in layout.blobs
    with pytest.raises(BadBundleError, match="leaves out") as refused:
        await push_all(second, key, customer.client())
    assert head in refused.value.failure.remedy
    await push_all(first, key, customer.client())
    await push_all(second, key, customer.client())
    await verify(customer.client(), "mirror/shop/db", newer.artifacts[1].digest, (key.public_pem,))


async def test_a_tool_rides_along(tmp_path: Path, key: VendorKey, vendor: RegistryServer) -> None:
    (tmp_path / "exclave.whl").write_bytes(b"a wheel")
    path = tmp_path / "release.tar"
    await create(path, await release(vendor.client(), key), vendor.client(), key, tools=[tmp_path / "exclave.whl"], log=silent)
    async with opened(path) as layout:
        await check(layout, (key.public_pem,))
        assert sha256(b"a wheel") in layout.blobs


@pytest.mark.skipif(shutil.which("skopeo") is None, reason="skopeo is not installed")
async def test_skopeo_reads_the_layout(tmp_path: Path, key: VendorKey, vendor: RegistryServer, debian: RegistryServer) -> None:
    described = await release(vendor.client(), key)
    path = tmp_path / "release.tar"
    await create(path, described, vendor.client(), key, log=silent)
    one = described.artifacts[1]  # the other one has an index in an index, which skopeo doesn't copy from anywhere
    host = debian.url.removeprefix("http://")
    arguments = ("copy", "-q", "--all", "--preserve-digests", "--dest-tls-verify=false")
    ends = (f"oci-archive:{path}:{one.repository}:{one.tag}", f"docker://{host}/by-skopeo:v1")
    environment = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "TMPDIR": str(tmp_path)}
    skopeo = await asyncio.create_subprocess_exec(
        "skopeo", "--insecure-policy", *arguments, *ends, env=environment, stderr=asyncio.subprocess.PIPE
    )
    _, said = await skopeo.communicate()
    assert skopeo.returncode == 0, said.decode()
    assert (await debian.client().get_manifest("by-skopeo", "v1")).digest == one.digest


async def test_an_artifact_that_is_not_signed_never_gets_into_a_bundle(
    tmp_path: Path, key: VendorKey, vendor: RegistryServer
) -> None:
    described = await release(vendor.client(), key)
    stranger = await image(vendor.client(), "shop/web", b"stranger")
    bad = described.artifacts[0].model_copy(update={"digest": stranger["digest"]})
    with pytest.raises(SignatureError):
        await create(tmp_path / "x.tar", described.model_copy(update={"artifacts": [bad]}), vendor.client(), key, log=silent)
    assert list(tmp_path.glob("*.tar")) == []
    assert list(tmp_path.glob(".*.partial")) == []


async def test_a_bundle_by_another_key_is_refused(
    tmp_path: Path, key: VendorKey, other_key: VendorKey, vendor: RegistryServer
) -> None:
    path = tmp_path / "release.tar"
    await create(path, await release(vendor.client(), key), vendor.client(), key, log=silent)
    async with opened(path) as layout:
        with pytest.raises(SignatureError) as refused:
            await check(layout, (other_key.public_pem,))
        assert refused.value.reason == "other_key"


def changed(files: Files) -> None:
    name = f"blobs/sha256/{hex_of(sha256(b'first'))}"
    files[name] = b"First"


def shorter(files: Files) -> None:
    files[f"blobs/sha256/{hex_of(sha256(b'first'))}"] = b"firs"


def missing(files: Files) -> None:
    del files[f"blobs/sha256/{hex_of(sha256(b'first'))}"]


def smuggled(files: Files) -> None:
    files[f"blobs/sha256/{hex_of(sha256(b'stowaway'))}"] = b"stowaway"


def without_signatures(files: Files) -> None:
    document = json.loads(files["index.json"])
    document["manifests"] = [
        each
        for each in document["manifests"]
        if not each["annotations"].get("org.opencontainers.image.ref.name", "").endswith(".sig")
    ]
    files["index.json"] = json.dumps(document).encode()


def two_heads(files: Files) -> None:
    document = json.loads(files["index.json"])
    head = next(
        each
        for each in document["manifests"]
        if each["annotations"].get("org.opencontainers.image.ref.name") == "exclave/release:shop-1"
    )
    other = {**head, "annotations": {"org.opencontainers.image.ref.name": "exclave/release:shop-2"}}
    document["manifests"].append(other)
    files["index.json"] = json.dumps(document).encode()


def other_head(files: Files) -> None:
    """Another release document, with the signature of the real one."""
    document = json.loads(files["index.json"])
    head = next(
        each
        for each in document["manifests"]
        if each["annotations"].get("org.opencontainers.image.ref.name") == "exclave/release:shop-1"
    )
    content = files[f"blobs/sha256/{hex_of(head['digest'])}"] + b" "
    digest = sha256(content)
    files[f"blobs/sha256/{hex_of(digest)}"] = content
    signature = next(
        each
        for each in document["manifests"]
        if each["annotations"].get("org.opencontainers.image.ref.name", "").startswith("exclave/release:sha256-")
    )
    signature["annotations"]["org.opencontainers.image.ref.name"] = f"exclave/release:sha256-{hex_of(digest)}.sig"
    head.update(digest=digest, size=len(content))
    files["index.json"] = json.dumps(document).encode()


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (changed, DigestMismatchError),
        (shorter, DigestMismatchError),
        (missing, BadBundleError),
        (smuggled, BadBundleError),
        (without_signatures, SignatureError),
        (two_heads, BadBundleError),
        (other_head, SignatureError),
    ],
)
async def test_a_bundle_that_was_tampered_with_is_refused(
    change: Callable[[Files], None], error: type[JobFailedError], tmp_path: Path, key: VendorKey, vendor: RegistryServer
) -> None:
    path = tmp_path / "release.tar"
    await create(path, await release(vendor.client(), key), vendor.client(), key, log=silent)
    async with opened(rewritten(path, change)) as layout:
        with pytest.raises(error):
            await check(layout, (key.public_pem,))


async def test_a_truncated_bundle_is_refused(tmp_path: Path, key: VendorKey, vendor: RegistryServer) -> None:
    path = tmp_path / "release.tar"
    await create(path, await release(vendor.client(), key), vendor.client(), key, log=silent)
    content = path.read_bytes()
    for length in (0, 100, 512, len(content) // 2, len(content) - 11_000):
        path.write_bytes(content[:length])
        with pytest.raises(JobFailedError):
            LayoutReader.open(path)


def member(name: str, kind: bytes = tarfile.REGTYPE, content: bytes = b"", link: str = "") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname, info.size = kind, link, len(content)
    return info, content


LAYOUT = member("oci-layout", content=b'{"imageLayoutVersion":"1.0.0"}')
INDEX = member("index.json", content=b'{"schemaVersion":2,"manifests":[]}')
BLOB = "blobs/sha256/" + "0" * 64


@pytest.mark.parametrize(
    "members",
    [
        [LAYOUT, INDEX, member("../escape", content=b"x")],
        [LAYOUT, INDEX, member("/etc/cron.d/x", content=b"x")],
        [LAYOUT, INDEX, member("blobs/sha256/../../../escape", content=b"x")],
        [LAYOUT, INDEX, member(BLOB, tarfile.SYMTYPE, link="/etc/shadow")],
        [LAYOUT, INDEX, member(BLOB, tarfile.LNKTYPE, link="index.json")],
        [LAYOUT, INDEX, member(BLOB, tarfile.CHRTYPE)],
        [LAYOUT, INDEX, member(BLOB, tarfile.FIFOTYPE)],
        [LAYOUT, INDEX, member("blobs", tarfile.SYMTYPE, link="/tmp")],
        [LAYOUT, INDEX, member(BLOB), member(BLOB)],
        [LAYOUT, INDEX, INDEX],
        [LAYOUT],
        [INDEX],
        [member("oci-layout", content=b"[]"), INDEX],
        [member("oci-layout", content=b'{"imageLayoutVersion":"9"}'), INDEX],
        [LAYOUT, member("index.json", content=b" " * (4 * 1024 * 1024 + 1))],
        [LAYOUT, member("index.json", content=b'{"manifests":[{"digest":"sha256:../../x","size":1}]}')],
    ],
    ids=[
        "dots",
        "absolute",
        "dots below blobs",
        "symlink",
        "hard link",
        "device",
        "fifo",
        "folder that is a link",
        "blob twice",
        "index twice",
        "no index",
        "no layout",
        "layout that is a list",
        "other version",
        "large index",
        "odd digest",
    ],
)
def test_a_file_that_is_no_plain_layout_is_refused(members: list[tuple[tarfile.TarInfo, bytes]], tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for info, content in members:
            tar.addfile(info, io.BytesIO(content))
    with pytest.raises(JobFailedError):
        LayoutReader.open(tmp_path / "x.tar")


def test_a_compressed_file_is_no_bundle(tmp_path: Path) -> None:
    """So nothing in it can unpack to more than it is: a bomb isn't possible."""
    with tarfile.open(tmp_path / "x.tar", "w:gz") as tar:
        for info, content in (LAYOUT, INDEX, member(BLOB, content=bytes(10_000_000))):
            tar.addfile(info, io.BytesIO(content))
    with pytest.raises(BadLayoutError):
        LayoutReader.open(tmp_path / "x.tar")


async def test_the_command_checks_and_pushes_without_an_ims(
    tmp_path: Path, key: VendorKey, vendor: RegistryServer, customer: RegistryServer
) -> None:
    path = tmp_path / "release.tar"
    described = await release(vendor.client(), key)
    await create(path, described, vendor.client(), key, log=silent)
    (tmp_path / "vendor.pub").write_text(key.public_pem)
    login = {"url": customer.url, "username": "writer", "password": "secret", "prefix": "mirror"}
    (tmp_path / "registry.json").write_text(json.dumps(login))
    arguments = ["push", str(path), "--vendor-key", str(tmp_path / "vendor.pub")]
    arguments += ["--registry-credentials", str(tmp_path / "registry.json")]
    command = "import sys; from agent.airgap.cli import bundle_command; bundle_command(sys.argv[1:])"
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", command, *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    said, _ = await process.communicate()
    assert process.returncode == 0, said.decode()
    for one in described.artifacts:
        await verify(customer.client(), f"mirror/{one.repository}", one.digest, (key.public_pem,))


def test_the_command_says_what_is_wrong(tmp_path: Path, key: VendorKey) -> None:
    (tmp_path / "vendor.pub").write_text(key.public_pem)
    (tmp_path / "x.tar").write_bytes(b"no tar")
    said = CliRunner().invoke(bundle_command, ["verify", str(tmp_path / "x.tar"), "--vendor-key", str(tmp_path / "vendor.pub")])
    assert said.exit_code == 1
    assert "isn't an image layout" in said.output
    assert "Traceback" not in said.output


def with_header(size: int) -> bytes:
    """A tar whose extended header says that it has so many bytes."""
    header = tarfile.TarInfo("oci-layout")
    header.type, header.size = tarfile.XHDTYPE, size
    return header.tobuf(tarfile.USTAR_FORMAT)


@pytest.mark.parametrize(
    ("name", "content"), [("oci-layout", b"[" * 200_000), ("oci-layout", b"3"), ("index.json", b"[" * 200_000)]
)
def test_a_layout_nested_without_an_end_is_refused(tmp_path: Path, name: str, content: bytes) -> None:
    with tarfile.open(tmp_path / "x.tar", "w") as tar:
        for each, good in {"oci-layout": b'{"imageLayoutVersion":"1.0.0"}', "index.json": b"{}"}.items():
            info = tarfile.TarInfo(each)
            data = content if each == name else good
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    with pytest.raises(JobFailedError):
        LayoutReader.open(tmp_path / "x.tar")


def test_a_header_as_large_as_the_memory_is_refused(tmp_path: Path) -> None:
    """tarfile reads an extended header in one piece."""
    with (tmp_path / "x.tar").open("wb") as file:
        file.write(with_header(8 * 1024 * 1024 * 1024 - 1))
        file.truncate(9 * 1024 * 1024 * 1024)
    with pytest.raises(BadLayoutError, match="header"):
        LayoutReader.open(tmp_path / "x.tar")
