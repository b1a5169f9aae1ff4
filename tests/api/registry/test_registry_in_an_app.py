"""The registry beside the routes of another app, as the IMS serves it."""

import httpx
from fastapi import FastAPI

from api.registry.access import ACTIONS, Access
from api.registry.app import create_registry, registry_routes
from api.registry.manifests import digest_of
from api.registry.storage import RegistryStorage


def test_the_registry_serves_its_paths_and_leaves_the_others_alone(registry, serve, tmp_path) -> None:
    app = FastAPI()

    @app.get("/v1/apps")
    async def apps() -> list[str]:
        return ["web"]

    with RegistryStorage.open(tmp_path) as storage:
        built_in = create_registry(storage, registry.signer, registry.credentials, service="registry.test")
        app.router.routes.extend(registry_routes(built_in))
        url = serve(app)

        with httpx.Client(base_url=url, headers=registry.bearer(Access("acme/web", frozenset(ACTIONS)))) as client:
            assert client.get("/v1/apps").json() == ["web"]
            assert client.get("/nowhere").json() == {"detail": "Not Found"}
            assert set(client.get("/openapi.json").json()["paths"]) == {"/v1/apps"}
            assert client.get("/v2").status_code == client.get("/v2/").status_code == 200
            assert client.post("/v2/").json()["errors"][0]["code"] == "UNSUPPORTED"
            location = client.post("/v2/acme/web/blobs/uploads/").headers["location"]
            ended = client.put(location, params={"digest": digest_of(b"content")}, content=b"content")
            assert client.get(ended.headers["location"]).content == b"content"
            assert storage.read_blob("acme/web", digest_of(b"content")) == b"content"
        challenge = httpx.get(f"{url}/v2/acme/web/tags/list").headers["www-authenticate"]
        assert f'realm="{url}/token"' in challenge
        assert httpx.get(f"{url}/token").status_code == 401
