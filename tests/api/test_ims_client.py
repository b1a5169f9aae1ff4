import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest

from api.client import ApiError, ImsClient, UnreachableError
from api.contract.problems import PROBLEM_MEDIA_TYPE, NotFoundError
from api.contract.resources import AppCreate, ServerInfo
from api.event_stream import SentEvent, read_events

pytestmark = pytest.mark.anyio

INFO = '{"name": "exclave", "version": "1", "time": "2026-11-21T09:00:00Z"}'


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


class Answers:
    """Answers every request in one way, and remembers the last one."""

    def __init__(self) -> None:
        self.answer = httpx.Response(200, text=INFO)
        self.request: httpx.Request | None = None
        self.fails: Exception | None = None
        self.hangs = False

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        self.request = request
        if self.hangs:
            await asyncio.Event().wait()
        if self.fails:
            raise self.fails
        return self.answer


@pytest.fixture
def server() -> Answers:
    return Answers()


@pytest.fixture
async def ims(server: Answers) -> AsyncIterator[ImsClient]:
    async with httpx.AsyncClient(transport=httpx.MockTransport(server)) as http:
        yield ImsClient("http://ims.test/", "token", http)


async def refused(ims: ImsClient) -> ApiError:
    with pytest.raises(ApiError) as caught:
        await ims.call("GET", "/v1", answer=ServerInfo)
    return caught.value


async def test_a_call_sends_and_reads_models(ims: ImsClient, server: Answers) -> None:
    info = await ims.call("POST", "/v1/apps", body=AppCreate(name="shop"), params={"limit": 1}, answer=ServerInfo)
    assert info.version == "1"
    assert server.request
    assert str(server.request.url) == "http://ims.test/v1/apps?limit=1"
    assert server.request.headers["authorization"] == "Bearer token"
    assert server.request.headers["content-type"] == "application/json"
    assert AppCreate.model_validate_json(server.request.content) == AppCreate(name="shop")


async def test_no_answer_is_asked_for(ims: ImsClient, server: Answers) -> None:
    server.answer = httpx.Response(204)
    await ims.call("DELETE", "/v1/apps/shop", headers={"If-Match": "3"})
    assert server.request
    assert server.request.headers["if-match"] == "3"


@pytest.mark.parametrize(("token", "header"), [(None, None), ("later", "Bearer later")])
async def test_a_token_may_be_fetched_for_each_call(token: str | None, header: str | None, server: Answers) -> None:
    async def authorization() -> str | None:
        return token

    async with httpx.AsyncClient(transport=httpx.MockTransport(server)) as http:
        await ImsClient("http://ims.test", authorization, http).call("GET", "/v1", answer=ServerInfo)
    assert server.request
    assert server.request.headers.get("authorization") == header


async def test_a_problem_becomes_an_error_with_its_code(ims: ImsClient, server: Answers) -> None:
    problem = NotFoundError("there is no app 'x'", remedy="Make it.").problem()
    server.answer = httpx.Response(
        404, text=problem.model_dump_json(), headers={"Content-Type": PROBLEM_MEDIA_TYPE, "Retry-After": "7"}
    )
    error = await refused(ims)
    assert (error.code, error.status, error.retryable, error.retry_after) == ("not_found", 404, False, 7.0)
    assert error.problem == problem
    assert str(error) == "Not found: there is no app 'x'"


@pytest.mark.parametrize(("status", "retryable"), [(502, True), (503, True), (429, True), (404, False), (500, False)])
async def test_an_error_that_is_no_problem_document_is_understood(
    status: int, retryable: bool, ims: ImsClient, server: Answers
) -> None:
    server.answer = httpx.Response(status, text="<html>oops")
    error = await refused(ims)
    assert (error.code, error.retryable) == (f"http_{status}", retryable)


@pytest.mark.parametrize("text", ["<html>", "{}", '{"name": "other", "version": "1", "time": "2026-11-21T09:00:00Z"}'])
async def test_an_answer_of_something_else_is_not_taken(text: str, ims: ImsClient, server: Answers) -> None:
    server.answer = httpx.Response(200, text=text)
    error = await refused(ims)
    assert error.code == "unexpected_answer"
    assert "http://ims.test" in str(error)


@pytest.mark.parametrize("fails", [httpx.ConnectError("refused"), httpx.ReadError(""), httpx.RemoteProtocolError("cut")])
async def test_no_answer_names_the_address_and_the_remedy(fails: Exception, ims: ImsClient, server: Answers) -> None:
    server.fails = fails
    with pytest.raises(UnreachableError, match=r"http://ims\.test") as caught:
        await ims.call("GET", "/v1")
    assert "exclave up" in caught.value.remedy


async def test_a_call_has_one_deadline(ims: ImsClient, server: Answers) -> None:
    server.hangs = True
    with pytest.raises(UnreachableError, match=r"within 0\.01 s"):
        await ims.call("GET", "/v1", timeout=0.01)


async def test_a_client_closes_only_its_own_connections(server: Answers) -> None:
    async with httpx.AsyncClient(transport=httpx.MockTransport(server)) as http:
        async with ImsClient("http://ims.test", None, http):
            pass
        assert not http.is_closed


async def test_what_a_newer_server_says_besides_is_left_out(ims: ImsClient, server: Answers) -> None:
    server.answer = httpx.Response(200, text=INFO[:-1] + ', "moon": "full"}')
    assert (await ims.call("GET", "/v1", answer=ServerInfo)).name == "exclave"


async def test_a_stream_is_refused_or_breaks_as_a_call_does(ims: ImsClient, server: Answers) -> None:
    server.answer = httpx.Response(404, text=NotFoundError("no job").problem().model_dump_json())
    with pytest.raises(ApiError, match="no job"):
        async with ims.lines("/v1/jobs/x/logs/stream"):
            pass
    server.fails = httpx.ReadError("broken")
    with pytest.raises(UnreachableError, match="broken"):
        async with ims.lines("/v1/jobs/x/logs/stream"):
            pass


async def test_lines_end_with_a_line_feed_alone(ims: ImsClient, server: Answers) -> None:
    text = "event: log\nid: 1-7\ndata: a\x0cb\u2028c\ndata:\n\n: ping\n\ndata: last\n\n"
    server.answer = httpx.Response(200, content=text.encode())
    async with ims.lines("/v1/jobs/x/logs/stream", headers={"Last-Event-ID": "1-2"}) as lines:
        events = [event async for event in read_events(lines)]
    assert events == [SentEvent("log", "a\x0cb\u2028c\n", "1-7"), SentEvent("message", "last", "1-7")]
    assert server.request
    assert server.request.headers["last-event-id"] == "1-2"
