"""Blobs in S3, against MiniStack, an emulator of AWS by other people; its S3 checks what boto3 and signed URLs send."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import httpx
import pytest
from free_port import free_port

from api.registry.access import ACTIONS, Access, Grant
from api.registry.app import create_registry
from api.registry.collect import Needs, collect
from api.registry.errors import ContentsUnavailableError
from api.registry.manifests import digest_of
from api.registry.s3 import S3Contents, S3UnusableError
from api.registry.settings import RegistrySettings
from api.registry.storage import BlobsElsewhereError, RegistryStorage
from api.registry.uploads import Uploads

ROOT = Path(__file__).parents[3]
CONTENT = bytes(range(256)) * 80_000
"""20 MB: several parts."""


def _ministack() -> str:
    """MiniStack has requirements of its own, so it lives in an environment of its own."""
    own = ROOT / ".build/module-tests/emulators/bin/ministack"
    program = os.environ.get("EXCLAVE_TEST_MINISTACK") or (str(own) if own.exists() else shutil.which("ministack"))
    if program is None:
        pytest.skip("there is no MiniStack: pip install ministack elsewhere, and name it in EXCLAVE_TEST_MINISTACK")
    return program


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    program, folder = _ministack(), tmp_path_factory.mktemp("ministack")
    port = free_port()
    settings = {"BIND_HOST": "127.0.0.1", "GATEWAY_PORT": str(port), "SERVICES": "s3", "HOME": str(folder)}
    environment = {"PATH": os.environ["PATH"], **settings}
    process = subprocess.Popen([program], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=folder)
    try:
        deadline = time.monotonic() + 60
        while True:
            try:
                httpx.get(f"http://127.0.0.1:{port}/")
                break
            except httpx.TransportError:
                assert process.poll() is None, "MiniStack has ended"
                assert time.monotonic() < deadline, "MiniStack doesn't answer"
                time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")


@pytest.fixture
def bucket(endpoint: str, tmp_path: Path) -> Any:
    """A new bucket, and what lists its objects."""
    client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1")
    name = "blobs-" + digest_of(str(tmp_path).encode())[-12:]
    client.create_bucket(Bucket=name)

    class Bucket:
        url = f"s3://{name}/vendor"

        def keys(self) -> list[str]:
            return [one["Key"] for one in client.list_objects_v2(Bucket=name).get("Contents", [])]

        def put(self, key: str, content: bytes) -> None:
            client.put_object(Bucket=name, Key=key, Body=content)

    return Bucket()


@pytest.fixture
def open_storage(bucket: Any, endpoint: str, tmp_path: Path) -> Callable[..., RegistryStorage]:
    def opened(**more: Any) -> RegistryStorage:
        given = {"blobs": bucket.url, "s3_endpoint": endpoint, "s3_region": "us-east-1", **more}
        return RegistrySettings(**given).open(tmp_path / "registry")

    return opened


def add(storage: RegistryStorage, repository: str, content: bytes) -> str:
    upload = Uploads(storage.scratch).start(repository)
    upload.append(content)
    storage.add_blob(repository, digest_of(content), upload.complete(digest_of(content)))
    upload.remove()
    return digest_of(content)


def key_of(digest: str) -> str:
    return "vendor/" + digest.replace(":", "/")


@pytest.mark.parametrize("redirect", [True, False])
def test_a_blob_goes_to_the_bucket_and_comes_back(registry, serve, open_storage, bucket, redirect: bool) -> None:
    digest = digest_of(CONTENT)
    with open_storage(s3_redirect=redirect) as storage:
        url = serve(create_registry(storage, registry.signer, registry.credentials, service="registry.test"))
        headers = registry.bearer(Access("acme/web", frozenset(ACTIONS)))
        with httpx.Client(base_url=url, headers=headers) as client:
            location = client.post("/v2/acme/web/blobs/uploads/").headers["location"]
            assert client.put(location, params={"digest": digest}, content=CONTENT).status_code == 201
            path = f"/v2/acme/web/blobs/{digest}"
            assert bucket.keys() == [key_of(digest)]
            assert client.head(path).headers["content-length"] == str(len(CONTENT))
            for asked, expected in (({}, CONTENT), ({"Range": "bytes=1000000-3000000"}, CONTENT[1_000_000:3_000_001])):
                answer = client.get(path, headers=asked)
                if redirect:
                    assert answer.status_code == 307
                    assert answer.content == b""
                    answer = httpx.get(answer.headers["location"], headers=asked)  # without our token
                assert answer.status_code == (206 if asked else 200)
                assert answer.content == expected
            assert client.get(path, headers={"Range": "bytes=99999999-"}).status_code == 416
            assert client.delete(path).status_code == 202
            assert bucket.keys() == []


def test_skopeo_pulls_through_the_redirect(registry, serve, open_storage, tmp_path: Path) -> None:
    skopeo = shutil.which("skopeo")
    if skopeo is None:
        pytest.skip("skopeo is not on PATH")
    registry.credentials.grants = {"agent": Grant("agent", (Access("acme/web", frozenset({"pull", "push"})),))}
    with open_storage() as storage:
        url = serve(create_registry(storage, registry.signer, registry.credentials, service="registry.test"))
        config, layer = add(storage, "acme/web", b"{}"), add(storage, "acme/web", CONTENT)
        image = (
            '{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json",'
            f'"config":{{"mediaType":"a/b","digest":"{config}","size":2}},'
            f'"layers":[{{"mediaType":"archive/zip","digest":"{layer}","size":{len(CONTENT)}}}]}}'
        )
        storage.put_manifest("acme/web", "v1", "", image.encode())
        remote = f"docker://{url.removeprefix('http://')}/acme/web:v1"
        options = ["--quiet", "--src-tls-verify=false", "--src-creds=agent:secret", "--preserve-digests"]
        subprocess.run([skopeo, "--insecure-policy", "copy", *options, remote, f"oci:{tmp_path / 'back'}:v1"], check=True)
    assert (tmp_path / "back" / "blobs" / layer.replace(":", "/")).read_bytes() == CONTENT


def test_content_is_in_the_bucket_once_and_goes_with_its_last_repository(open_storage, bucket) -> None:
    with open_storage() as storage:
        digest = add(storage, "acme/web", b"shared")
        add(storage, "acme/api", b"shared")
        assert bucket.keys() == [key_of(digest)]
        assert storage.delete_blob("acme/web", digest) == 0
        assert storage.read_blob("acme/api", digest) == b"shared"
        assert storage.delete_blob("acme/api", digest) == 6
        assert bucket.keys() == []


def test_a_restart_keeps_what_is_there(open_storage, bucket) -> None:
    with open_storage() as storage:
        digest, empty = add(storage, "acme/web", b"kept"), add(storage, "acme/web", b"")
    with open_storage() as storage:
        assert storage.read_blob("acme/web", digest) == b"kept"
        assert storage.read_blob("acme/web", empty) == b""


def test_a_collection_removes_objects_that_no_record_tells_of(open_storage, bucket) -> None:
    """A process that ended between the upload and the record leaves one."""
    stray = digest_of(b"stray")
    bucket.put(key_of(stray), b"stray")
    bucket.put("vendor/notes.txt", b"not ours")
    bucket.put("other/" + stray.replace(":", "/"), b"another registry's")
    others = {"vendor/notes.txt", "other/" + stray.replace(":", "/")}
    with open_storage() as storage:
        kept = add(storage, "acme/web", b"kept")
        now, grace = time.time(), 7200.0
        assert collect(storage, Needs(), now=now, grace=grace).freed == 0, "it may be on its way in"
        later = now + 2 * grace
        storage.put_manifest("acme/web", "v1", "", f'{{"layers":[{{"digest":"{kept}"}}]}}'.encode())
        assert collect(storage, Needs(), now=later, grace=grace, dry_run=True).freed == 5
        assert set(bucket.keys()) == {key_of(stray), key_of(kept), *others}
        assert collect(storage, Needs(), now=later, grace=grace).freed == 5
        assert set(bucket.keys()) == {key_of(kept), *others}


def test_a_folder_belongs_to_the_place_it_was_made_for(open_storage, tmp_path: Path) -> None:
    open_storage().close()
    with pytest.raises(BlobsElsewhereError, match="kept in s3://"):
        RegistryStorage.open(tmp_path / "registry")
    RegistryStorage.open(tmp_path / "disk").close()
    with pytest.raises(BlobsElsewhereError, match="kept in disk"):
        RegistryStorage.open(tmp_path / "disk", contents=S3Contents(None, "b", ""))


def test_a_bucket_that_is_not_there_is_named_at_the_start(open_storage) -> None:
    with pytest.raises(S3UnusableError, match="'missing-bucket' can't be used"):
        open_storage(blobs="s3://missing-bucket")


def test_a_push_while_s3_is_away_fails_and_leaves_nothing(open_storage, tmp_path: Path) -> None:
    with open_storage() as storage:
        contents = storage._contents
        away = f"http://127.0.0.1:{free_port()}"
        client = boto3.client("s3", endpoint_url=away, region_name="us-east-1")
        storage._contents = S3Contents(client, contents.bucket, contents.prefix)
        with pytest.raises(ContentsUnavailableError):
            add(storage, "acme/web", b"lost")
        storage._contents = contents
        assert not storage.has_blob("acme/web", digest_of(b"lost"))
        add(storage, "acme/web", b"lost")
        assert storage.read_blob("acme/web", digest_of(b"lost")) == b"lost"
