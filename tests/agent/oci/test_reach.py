"""Where a registry may not send its clients. The addresses are literals: nothing is looked up, and nothing is called."""

import httpx
import pytest

from agent.oci.client import RegistryClient
from agent.oci.errors import AccessRefusedError
from agent.oci.reach import check_reach
from agent.oci.token import Credential

pytestmark = pytest.mark.anyio

PUBLIC = "https://8.8.8.8"
DIGEST = "sha256:" + "0" * 64


@pytest.mark.parametrize(
    "to",
    [
        "https://127.0.0.1/x",
        "https://10.1.2.3/x",
        "https://192.168.0.1/x",
        "https://172.16.0.1/x",
        "https://100.64.0.1/x",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/x",
        "https://[fd00::1]/x",
        "https://[fe80::1]/x",
        "https://[::ffff:10.0.0.1]/x",
        "https://0.0.0.0/x",
    ],
)
async def test_a_redirect_from_the_internet_to_a_private_address_is_refused(to: str) -> None:
    with pytest.raises(AccessRefusedError, match="address") as refused:
        await check_reach(httpx.URL(PUBLIC), httpx.URL(to), "the storage at")
    assert refused.value.failure.remedy


@pytest.mark.parametrize("registry", ["http://127.0.0.1:5000", "http://10.0.0.1"])
async def test_the_clouds_metadata_is_refused_to_private_registries_too(registry: str) -> None:
    with pytest.raises(AccessRefusedError, match="link-local"):
        await check_reach(httpx.URL(registry), httpx.URL("http://169.254.169.254/latest"), "the storage at")


@pytest.mark.parametrize(
    ("registry", "to"),
    [
        (PUBLIC, "https://8.8.4.4/bucket?signed"),
        ("http://10.0.0.1", "http://10.0.0.2:9000/bucket"),
        ("http://127.0.0.1:5000", "http://127.0.0.1:9000/bucket"),
        (PUBLIC, PUBLIC + ":443/v2/"),
    ],
)
async def test_other_redirects_are_followed(registry: str, to: str) -> None:
    await check_reach(httpx.URL(registry), httpx.URL(to), "the storage at")


async def test_a_redirect_out_of_tls_is_refused() -> None:
    with pytest.raises(AccessRefusedError, match="TLS"):
        await check_reach(httpx.URL(PUBLIC), httpx.URL("http://8.8.4.4/x"), "the storage at")


@pytest.mark.parametrize("scheme", ["file:///etc/passwd", "ftp://8.8.4.4/x"])
async def test_other_schemes_are_refused(scheme: str) -> None:
    with pytest.raises(AccessRefusedError):
        await check_reach(httpx.URL("http://8.8.8.8"), httpx.URL(scheme), "the storage at")


def registry_that(answer: httpx.Response, called: list[str]) -> httpx.AsyncClient:
    def handle(request: httpx.Request) -> httpx.Response:
        called.append(request.url.host)
        return answer

    return httpx.AsyncClient(transport=httpx.MockTransport(handle))


async def test_neither_blob_nor_upload_nor_token_endpoint_leads_inside() -> None:
    called: list[str] = []
    inside = "https://10.0.0.1/x"
    async with registry_that(httpx.Response(307, headers={"Location": inside}), called) as http:
        client = RegistryClient(PUBLIC, None, http)
        with pytest.raises(AccessRefusedError, match="the storage at"):
            await client.read_blob("acme/app", DIGEST, 1)
    async with registry_that(httpx.Response(202, headers={"Location": inside}), called) as http:
        with pytest.raises(AccessRefusedError, match="the upload address"):
            await RegistryClient(PUBLIC, None, http).start_upload("acme/app")
    challenge = {"WWW-Authenticate": f'Bearer realm="{inside}",service="s"'}
    async with registry_that(httpx.Response(401, headers=challenge), called) as http:
        with pytest.raises(AccessRefusedError, match="the token endpoint"):
            await RegistryClient(PUBLIC, Credential("user", "secret"), http).find_manifest("acme/app", "v1")
    assert set(called) == {"8.8.8.8"}
