"""One registry for all tests of the folder, on a port of its own; each test works in a repository of its own."""

import itertools
import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uvicorn
from conformance import peer_url, server
from starlette.applications import Starlette

from api.registry.access import ACTIONS, Access, Grant, Scope
from api.registry.app import create_registry
from api.registry.credentials import CredentialsRefusedError
from api.registry.manifests import digest_of
from api.registry.signing_key import SigningKey, load_or_create_key
from api.registry.storage import RegistryStorage
from api.registry.tokens import TokenSigner

__all__ = ["peer_url", "server"]  # fixtures

SERVICE = "registry.test"
_numbers = itertools.count(1)


class ScriptedCredentials:
    """Gives each username the grant that the test has laid down, and remembers what was asked."""

    def __init__(self) -> None:
        self.grants: dict[str, Grant] = {}
        self.asked: list[tuple[str, str, tuple[Scope, ...]]] = []

    async def grant(self, username: str, password: str, scopes: tuple[Scope, ...]) -> Grant:
        self.asked.append((username, password, scopes))
        if username not in self.grants:
            raise CredentialsRefusedError("the ticket was used already")
        return self.grants[username]


@dataclass(frozen=True)
class RunningRegistry:
    """A registry that answers on `url`."""

    url: str
    storage: RegistryStorage
    key: SigningKey
    signer: TokenSigner
    credentials: ScriptedCredentials

    def bearer(self, *access: Access, signer: TokenSigner | None = None, service: str = SERVICE) -> dict[str, str]:
        """The header of a caller with this access."""
        issued = (signer or self.signer).issue(Grant("tester", access), service=service)
        return {"Authorization": f"Bearer {issued.token}"}


@dataclass(frozen=True)
class Stock:
    """What lies in a test's repository."""

    repository: str
    blob: str
    config: str
    manifest: str
    index: str
    referrer: str
    content: bytes = b"0123456789"


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[[Starlette], str]]:
    """Serve an app on a free port for as long as the tests run; gives its URL."""
    running: list[tuple[uvicorn.Server, threading.Thread, socket.socket]] = []

    def start(app: Starlette) -> str:
        listener = socket.create_server(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, lifespan="off", ws="none", access_log=False, log_level="warning"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        running.append((server, thread, listener))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    for started, thread, listener in running:
        started.should_exit = True
        thread.join()
        listener.close()


@pytest.fixture(scope="session")
def registry(serve: Callable[[Starlette], str], tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningRegistry]:
    folder = tmp_path_factory.mktemp("registry")
    key = load_or_create_key(folder / "token-key.pem")
    signer = TokenSigner(key, issuer="ims.test")
    credentials = ScriptedCredentials()
    with RegistryStorage.open(folder / "storage") as storage:
        url = serve(create_registry(storage, signer, credentials, service=SERVICE))
        yield RunningRegistry(url, storage, key, signer, credentials)


@pytest.fixture
def repository() -> str:
    return f"acme/test-{next(_numbers)}"


@pytest.fixture
def client(registry: RunningRegistry, repository: str) -> Iterator[httpx.Client]:
    """A caller that may do everything with the test's repository."""
    with httpx.Client(base_url=registry.url, headers=registry.bearer(Access(repository, frozenset(ACTIONS)))) as client:
        yield client


@pytest.fixture
def add_blob(registry: RunningRegistry) -> Callable[[str, bytes], str]:
    """Put a blob into a repository, past the API; gives its digest."""

    def add(repository: str, content: bytes) -> str:
        received: Path = registry.storage.scratch / f"test-{next(_numbers)}"
        received.write_bytes(content)
        registry.storage.add_blob(repository, digest_of(content), received)
        return digest_of(content)

    return add


@pytest.fixture
def stock(registry: RunningRegistry, repository: str, add_blob: Callable[[str, bytes], str]) -> Stock:
    """A repository with a blob of ten bytes, a manifest (`v1`, `v2`), an index (`all`), and a referrer of the manifest."""
    blob, config = add_blob(repository, Stock.content), add_blob(repository, b"{}")
    put = registry.storage.put_manifest

    def image(**more: object) -> bytes:
        return json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": "application/vnd.oci.image.manifest.v1+json",
                "config": {"mediaType": "application/vnd.test.config", "digest": config, "size": 2},
                "layers": [{"mediaType": "application/vnd.test.layer", "digest": blob, "size": 10}],
                **more,
            }
        ).encode()

    oci = "application/vnd.oci.image.manifest.v1+json"
    manifest = put(repository, "v1", oci, image()).digest
    put(repository, "v2", oci, image())
    listed = {"schemaVersion": 2, "manifests": [{"mediaType": oci, "digest": manifest, "size": len(image())}]}
    index = put(repository, "all", "application/vnd.oci.image.index.v1+json", json.dumps(listed).encode()).digest
    subject = {"mediaType": oci, "digest": manifest, "size": len(image())}
    note = image(subject=subject, artifactType="application/vnd.test.note", annotations={"about": "it"})
    referrer = put(repository, digest_of(note), oci, note).digest
    return Stock(repository, blob, config, manifest, index, referrer)
