"""Other people's programs against the registry and its tokens. Skipped where they aren't installed."""

import json
import shutil
import subprocess
import time
from pathlib import Path

import httpx
import pytest
from free_port import free_port

from api.registry.access import Access, Grant
from api.registry.manifests import INDEX_MEDIA_TYPE, MANIFEST_MEDIA_TYPE, digest_of
from api.registry.tokens import TokenSigner

PULL, PUSH = frozenset({"pull"}), frozenset({"pull", "push"})


def _program(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not on PATH")
    return path


class Layout:
    """An OCI image layout folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "blobs" / "sha256").mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def add(self, content: bytes, media_type: str) -> dict[str, object]:
        digest = digest_of(content)
        (self.folder / "blobs" / digest.replace(":", "/")).write_bytes(content)
        return {"mediaType": media_type, "digest": digest, "size": len(content)}

    def add_image(self, layer: bytes, **more: object) -> dict[str, object]:
        fields = {
            "schemaVersion": 2,
            "config": self.add(b"{}", "application/vnd.test.config.v1+json"),
            "layers": [self.add(layer, "archive/zip")],
            **more,
        }
        return self.add(json.dumps(fields, indent=3).encode(), MANIFEST_MEDIA_TYPE)

    def tag(self, name: str, descriptor: dict[str, object]) -> None:
        tagged = {**descriptor, "annotations": {"org.opencontainers.image.ref.name": name}}
        (self.folder / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [tagged]}))


@pytest.mark.parametrize("shape", ["image", "artifact", "index"])
def test_skopeo_copies_there_and_back_with_the_same_digests(registry, repository, tmp_path, shape) -> None:
    skopeo = _program("skopeo")
    registry.credentials.grants = {"agent": Grant("agent", (Access(repository, PUSH),))}
    source = Layout(tmp_path / "source")
    if shape == "index":
        children = [
            {**source.add_image(arch.encode()), "platform": {"os": "linux", "architecture": arch}}
            for arch in ("amd64", "arm64")
        ]
        content = json.dumps({"schemaVersion": 2, "mediaType": INDEX_MEDIA_TYPE, "manifests": children}).encode()
        descriptor = source.add(content, INDEX_MEDIA_TYPE)
    else:
        more = {"artifactType": "application/vnd.opentofu.modulepkg", "mediaType": MANIFEST_MEDIA_TYPE}
        descriptor = source.add_image(b"layer", **(more if shape == "artifact" else {}))
    source.tag("v1", descriptor)
    remote = f"docker://{registry.url.removeprefix('http://')}/{repository}:v1"
    common = [skopeo, "--insecure-policy", "copy", "--quiet", "--all", "--preserve-digests"]

    push = ["--dest-tls-verify=false", "--dest-creds=agent:secret", f"oci:{source.folder}:v1", remote]
    subprocess.run([*common, *push], check=True)
    stored = registry.storage.manifest(repository, "v1")
    assert stored is not None
    assert stored.digest == descriptor["digest"]

    pull = ["--src-tls-verify=false", "--src-creds=agent:secret", remote, f"oci:{tmp_path / 'back'}:v1"]
    subprocess.run([*common, *pull], check=True)
    listed = json.loads((tmp_path / "back" / "index.json").read_text())
    assert listed["manifests"][0]["digest"] == descriptor["digest"]
    blobs = Path("blobs", "sha256")
    assert {path.name for path in (tmp_path / "back" / blobs).iterdir()} == {
        path.name for path in (source.folder / blobs).iterdir()
    }


@pytest.mark.parametrize("chunked", [False, True])
def test_oras_pushes_at_once_or_in_chunks_and_pulls_the_same(registry, repository, tmp_path, monkeypatch, chunked) -> None:
    oras = pytest.importorskip("oras.client")
    monkeypatch.chdir(tmp_path)
    content = bytes(range(256)) * 20_000
    (tmp_path / "bundle.bin").write_bytes(content)
    client = oras.OrasClient(insecure=True)
    token = registry.bearer(Access(repository, PUSH))["Authorization"].removeprefix("Bearer ")
    client.auth.set_token_auth(token)  # by itself, it asks for a token to pull only, and then pushes with it
    target = f"{registry.url.removeprefix('http://')}/{repository}:v1"

    pushed = client.push(target, files=["bundle.bin:archive/zip"], do_chunked=chunked, chunk_size=1_000_000, quiet=True)
    assert pushed.status_code == 201
    (pulled,) = client.pull(target, outdir=str(tmp_path / "back"))

    assert Path(pulled).read_bytes() == content
    stored = registry.storage.manifest(repository, "v1")
    assert [layer["digest"] for layer in json.loads(stored.content)["layers"]] == [digest_of(content)]


@pytest.mark.parametrize("program", ["umoci", "buildah"])
def test_an_image_made_by_others_comes_back_to_them(registry, repository, tmp_path, program) -> None:
    """umoci makes an image, skopeo brings it there and back, and umoci or buildah unpacks what came back."""
    umoci, skopeo = _program("umoci"), _program("skopeo")
    reader = _program(program)
    registry.credentials.grants = {"agent": Grant("agent", (Access(repository, PUSH),))}
    layout, back = tmp_path / "layout", tmp_path / "back"
    (tmp_path / "hello").write_text("hello from the registry")
    for arguments in (
        ["init", f"--layout={layout}"],
        ["new", f"--image={layout}:v1"],
        ["insert", "--rootless", f"--image={layout}:v1", str(tmp_path / "hello"), "/hello"],
    ):
        subprocess.run([umoci, *arguments], check=True)
    remote = f"docker://{registry.url.removeprefix('http://')}/{repository}:v1"
    copy = [skopeo, "--insecure-policy", "copy", "--quiet", "--preserve-digests"]
    credentials = "agent:secret"
    subprocess.run([*copy, "--dest-tls-verify=false", f"--dest-creds={credentials}", f"oci:{layout}:v1", remote], check=True)
    if program == "umoci":
        subprocess.run([*copy, "--src-tls-verify=false", f"--src-creds={credentials}", remote, f"oci:{back}:v1"], check=True)
        subprocess.run([reader, "unpack", "--rootless", f"--image={back}:v1", str(tmp_path / "bundle")], check=True)
        assert (tmp_path / "bundle" / "rootfs" / "hello").read_text() == "hello from the registry"
    else:
        store = [reader, f"--root={tmp_path / 'store'}", f"--runroot={tmp_path / 'run'}", "--storage-driver=vfs"]
        pull = ["pull", "--quiet", "--tls-verify=false", f"--creds={credentials}", remote]
        subprocess.run([*store, *pull], check=True)
        digests = subprocess.run(
            [*store, "images", "--format={{.Digest}}"], check=True, capture_output=True, text=True
        ).stdout.split()
        assert digests == [registry.storage.manifest(repository, "v1").digest]


def test_docker_registry_accepts_the_tokens_within_their_scope(tmp_path: Path) -> None:
    program = _program("docker-registry")
    signer = TokenSigner.open(tmp_path / "key.pem", issuer="ims.test")
    (tmp_path / "certificate.pem").write_bytes(signer.certificate_pem)
    address = f"127.0.0.1:{free_port()}"
    config = {
        "version": 0.1,
        "log": {"level": "error", "accesslog": {"disabled": True}},
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "storage")}},
        "http": {"addr": address},
        "auth": {
            "token": {
                "realm": f"http://{address}/token",
                "service": "registry.test",
                "issuer": "ims.test",
                "rootcertbundle": str(tmp_path / "certificate.pem"),
            }
        },
    }
    (tmp_path / "config.yml").write_text(json.dumps(config))  # JSON is YAML

    def upload(*access: Access) -> int:
        token = signer.issue(Grant("agent", access), service="registry.test").token
        url = f"http://{address}/v2/acme/web/blobs/uploads/"
        return httpx.post(url, headers={"Authorization": f"Bearer {token}"}).status_code

    with subprocess.Popen([program, "serve", str(tmp_path / "config.yml")], stderr=subprocess.DEVNULL) as process:
        try:
            _wait_for(f"http://{address}/v2/")
            assert upload(Access("acme/web", PUSH)) == 202
            assert upload(Access("acme/web", PULL)) == 401
            assert upload(Access("acme/web", PULL, frozenset({digest_of(b"")}))) == 401
            assert upload(Access("acme/api", PUSH)) == 401
            assert upload() == 401
        finally:
            process.terminate()


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            assert httpx.get(url).status_code == 401
            return
        except httpx.ConnectError:
            time.sleep(0.05)
    raise TimeoutError(f"nothing answers on {url}")
