"""References that only the agent resolves. AWS's and Google's stores are fakes written from their API documentation."""

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from botocore.session import get_session
from botocore.stub import Stubber

from agent.redaction import Redactor
from agent.secrets.aws import from_secrets_manager
from agent.secrets.google import from_secret_manager
from agent.secrets.reference import SecretReference, UnresolvedError
from agent.secrets.resolve import ENV_PREFIX, Resolver, SecretUnresolvedError

pytestmark = pytest.mark.anyio

CANARY = "canary-31aa-horse"


@pytest.fixture
def resolver(tmp_path: Path) -> Resolver:
    folder = tmp_path / "secrets"
    folder.mkdir()
    (folder / "plain").write_text(CANARY + "\n")
    (folder / "db.json").write_text(json.dumps({"users": [{"a/b": CANARY}], "port": 5432}))
    (tmp_path / "outside").write_text("outside")
    (folder / "link").symlink_to(tmp_path / "outside")
    (folder / "data").mkdir()
    (folder / "data" / "password").write_text(CANARY)
    (folder / "password").symlink_to("data/password")  # as Kubernetes mounts secrets
    return Resolver({"EXCLAVE_SECRET_PASSWORD": CANARY, "HOME": "/root"}, ENV_PREFIX, folder)


async def resolved(resolver: Resolver, text: str) -> tuple[str, Redactor]:
    redactor = Redactor()
    return await resolver.resolve("password", text, redactor.learn), redactor


@pytest.mark.parametrize(
    "text",
    [
        "ref+env://EXCLAVE_SECRET_PASSWORD",
        "ref+file:///plain",
        "ref+file://plain",
        "ref+file:///password",
        "ref+file:///db.json#/users/0/a~1b",
    ],
)
async def test_a_reference_gives_its_value_which_the_redactor_then_knows(resolver: Resolver, text: str) -> None:
    value, redactor = await resolved(resolver, text)
    assert value == CANARY
    assert redactor.text(f"x{CANARY}x") == "x(sensitive)x"


async def test_a_number_in_json_is_passed_as_text_and_an_absolute_path_may_name_the_folder(resolver: Resolver) -> None:
    assert (await resolved(resolver, f"ref+file://{resolver.folder}/db.json#port"))[0] == "5432"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("ref+env://HOME", "reads only variables that begin with 'EXCLAVE_SECRET_'"),
        ("ref+env://EXCLAVE_SECRET_NONE", "has no EXCLAVE_SECRET_NONE"),
        ("ref+env://EXCLAVE_SECRET_PASSWORD?x=1", "option 'x' isn't known"),
        ("ref+file:///etc/passwd", "can't be read: No such file"),
        ("ref+file:///../outside", "leads out of"),
        ("ref+file:///link", "leads out of"),
        ("ref+file:///db.json#/users/7", "it has nothing at '/users/7'"),
        ("ref+file:///plain#key", "isn't JSON"),
        ("ref+file:///data", "can't be read"),
        ("ref+gcpsm://project", "doesn't name a project and a secret"),
        ("ref+other://x", "doesn't know the scheme"),
    ],
)
async def test_what_cannot_be_resolved_names_the_input_the_reference_and_the_remedy(
    resolver: Resolver, text: str, says: str
) -> None:
    with pytest.raises(SecretUnresolvedError) as caught:
        await resolved(resolver, text)
    failure = caught.value.failure
    assert (failure.code, failure.field) == ("secret_unresolved", "sensitive_inputs.password")
    assert says in failure.message
    assert f"input 'password': {text}" in failure.message
    assert failure.remedy
    assert CANARY not in failure.message + failure.remedy


def secrets_manager(answer: dict[str, Any] | None, asked: dict[str, Any]) -> tuple[Any, Stubber]:
    """The unmodified AWS client with a stubbed transport (botocore's own Stubber checks both sides against AWS's model)."""
    client = get_session().create_client(
        "secretsmanager", region_name="eu-west-1", aws_access_key_id="x", aws_secret_access_key="y"
    )
    stub = Stubber(client)
    if answer is None:
        stub.add_client_error("get_secret_value", "ResourceNotFoundException", "can't find it", 400, expected_params=asked)
    else:
        stub.add_response("get_secret_value", answer, asked)
    stub.activate()
    return client, stub


async def test_aws_secrets_manager_is_asked_in_the_region_named() -> None:
    regions = []
    arn = "arn:aws:secretsmanager:eu-west-3:1:secret:db-AbCdEf"
    for text, region in [("ref+awssm://db?region=eu-west-1", "eu-west-1"), (f"ref+awssm://{arn}#pw", "eu-west-3")]:
        reference = SecretReference.parse(text)
        client, stub = secrets_manager({"SecretString": CANARY}, {"SecretId": reference.name})
        assert from_secrets_manager(reference, lambda asked, client=client: regions.append(asked) or client) == CANARY
        stub.assert_no_pending_responses()
        assert regions[-1] == region


async def test_what_aws_refuses_is_said_in_its_own_words() -> None:
    client, _ = secrets_manager(None, {"SecretId": "db"})
    with pytest.raises(UnresolvedError, match="can't find it") as caught:
        from_secrets_manager(SecretReference.parse("ref+awssm://db"), lambda _: client)
    assert "secretsmanager:GetSecretValue" in caught.value.remedy
    client, _ = secrets_manager({"SecretBinary": b"\x00"}, {"SecretId": "db"})
    with pytest.raises(UnresolvedError, match="binary"):
        from_secrets_manager(SecretReference.parse("ref+awssm://db"), lambda _: client)


@pytest.fixture
async def google() -> AsyncIterator[str]:
    """A fake of Google Secret Manager: `projects.secrets.versions.access`, as its REST reference describes it."""
    from registry_server import serve
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import JSONResponse, Response
    from starlette.routing import Route

    async def access(request: Request) -> Response:
        if request.path_params["name"] != "projects/p/secrets/db/versions/latest:access":
            return JSONResponse({"error": {"code": 404, "message": "Secret not found", "status": "NOT_FOUND"}}, 404)
        return JSONResponse({"name": "x", "payload": {"data": base64.b64encode(CANARY.encode()).decode()}})

    async with serve(Starlette(routes=[Route("/v1/{name:path}", access)])) as url:
        yield url


async def test_google_secret_manager_gives_the_newest_version_if_none_is_named(google: str) -> None:
    import asyncio

    import httpx

    def ask(text: str) -> str:
        return from_secret_manager(SecretReference.parse(text), lambda: httpx.Client(trust_env=False), google)

    assert await asyncio.to_thread(ask, "ref+gcpsm://p/db") == CANARY
    with pytest.raises(UnresolvedError, match="Secret not found"):
        await asyncio.to_thread(ask, "ref+gcpsm://p/db/7")
