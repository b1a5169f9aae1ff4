"""The HTTP client: kept connections, retries, errors."""

import json
import socket
import threading
from collections.abc import Iterator

import fake_ims_http
import pytest
from fake_ims import FakeIms, Request
from fake_ims_http import TOKEN

from api.contract.problems import ConflictError
from provider_bridge.client import Client
from provider_bridge.problems import ProblemError, StoppedError, UnreachableError


@pytest.fixture
def client(ims: FakeIms) -> Iterator[Client]:
    client = Client(ims.url, TOKEN, threading.Event())
    yield client
    client.close()


@pytest.fixture
def refusing_port() -> Iterator[int]:
    """A port on which nobody listens."""
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        yield holder.getsockname()[1]


def problem(status: int, code: str = "unavailable", **headers: str) -> tuple[int, dict[str, str], bytes]:
    document = {"type": f"urn:exclave:problem:{code}", "title": "Away", "status": status, "detail": "for a while"}
    return status, headers, json.dumps(document).encode()


def test_a_problem_becomes_an_error_with_its_fields(client: Client) -> None:
    with pytest.raises(ProblemError) as caught:
        client.create("apps", body={"name": "shop", "inputs": [{"name": "n", "type": "number", "default": "many"}]})
    assert (caught.value.status, caught.value.code) == (422, "invalid")
    assert caught.value.errors[0].field == "inputs.n.default"


def test_one_connection_serves_many_requests(client: Client, ims: FakeIms) -> None:
    app = client.create("apps", body={"name": "shop"})
    for _ in range(5):
        assert client.get("apps", app["id"])["name"] == "shop"
    assert len(client._idle) == 1


def test_a_kept_connection_that_was_closed_is_replaced_at_once(client: Client, ims: FakeIms) -> None:
    client.create("apps", body={"name": "shop"})
    (connection,) = client._idle
    connection.sock.shutdown(socket.SHUT_RDWR)
    assert client.get("apps", "shop")["name"] == "shop"


@pytest.mark.parametrize("status", [429, 502, 503])
def test_a_busy_ims_is_asked_again(client: Client, ims: FakeIms, status: int) -> None:
    ims.next_answers.append(problem(status))
    assert client.create("apps", body={"name": "shop"})["name"] == "shop"
    first, second = ims.requests
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]


def test_a_create_whose_answer_is_lost_makes_one_object(client: Client, ims: FakeIms, monkeypatch: pytest.MonkeyPatch) -> None:
    class LostError(ConflictError):
        status = 502

    right = fake_ims_http.answer

    def lost_once(ims: FakeIms, request: Request) -> fake_ims_http.Answer:
        right(ims, request)
        monkeypatch.setattr(fake_ims_http, "answer", right)
        raise LostError("a proxy has lost the answer")

    monkeypatch.setattr(fake_ims_http, "answer", lost_once)
    assert client.create("apps", body={"name": "shop"})["name"] == "shop"
    assert len(ims.apps) == 1
    assert len(ims.requests) == 2


def test_other_errors_are_not_asked_again(client: Client, ims: FakeIms) -> None:
    ims.next_answers.append(problem(500, "internal"))
    with pytest.raises(ProblemError):
        client.get("apps", "shop")
    assert len(ims.requests) == 1


def test_retry_after_is_obeyed_unless_it_asks_for_too_much(ims: FakeIms) -> None:
    waited: list[float] = []

    class Clock(threading.Event):
        now = 0.0

        def wait(self, timeout: float | None = None) -> bool:
            waited.append(timeout or 0)
            Clock.now += timeout or 0
            return False

    client = Client(ims.url, TOKEN, Clock(), clock=lambda: Clock.now)
    ims.next_answers += [problem(503, **{"Retry-After": "7"}), problem(503, **{"Retry-After": "3600"})]
    with pytest.raises(ProblemError, match="for a while"):
        client.get("apps", "shop")
    assert waited == [7]
    client.close()


def test_an_ims_that_never_answers_is_given_up_soon_and_not_waited_for_again(refusing_port: int) -> None:
    waited: list[float] = []

    class Clock(threading.Event):
        now = 0.0

        def wait(self, timeout: float | None = None) -> bool:
            waited.append(timeout or 0)
            Clock.now += timeout or 0
            return False

    client = Client(f"http://127.0.0.1:{refusing_port}", TOKEN, Clock(), clock=lambda: Clock.now)
    with pytest.raises(UnreachableError, match="gives no answer"):
        client.get("apps", "shop")
    assert waited == [0.25, 0.5, 1.0]
    with pytest.raises(UnreachableError):
        client.get("apps", "shop")
    assert len(waited) == 3


def test_an_ims_that_restarts_is_waited_for(ims: FakeIms, refusing_port: int) -> None:
    waited: list[float] = []

    class Away(threading.Event):
        """The IMS comes back while the client waits for the fourth time."""

        def wait(self, timeout: float | None = None) -> bool:
            waited.append(timeout or 0)
            if len(waited) == 4:
                client._address = client._address._replace(netloc=there)
            return False

    client = Client(ims.url, TOKEN, Away())
    client.create("apps", body={"name": "shop"})
    client._idle.pop().close()
    there, client._address = client._address.netloc, client._address._replace(netloc=f"127.0.0.1:{refusing_port}")
    assert client.get("apps", "shop")["name"] == "shop"
    assert waited == [0.25, 0.5, 1, 2]
    client.close()


def test_a_stop_ends_the_wait_between_tries(ims: FakeIms) -> None:
    stop = threading.Event()
    stop.set()
    ims.next_answers.append(problem(503))
    client = Client(ims.url, TOKEN, stop)
    with pytest.raises(StoppedError):
        client.get("apps", "shop")
    client.close()


def test_an_answer_that_is_not_the_ims_own_says_so(client: Client, ims: FakeIms) -> None:
    for status in (200, 302, 404):
        ims.next_answers.append((status, {}, b"<html>Welcome to a proxy</html>"))
        with pytest.raises(ProblemError) as caught:
            client.get("apps", "shop")
        assert "Welcome to a proxy" in caught.value.detail
        assert "`url`" in caught.value.remedy


def test_names_are_quoted_in_paths(client: Client, ims: FakeIms) -> None:
    with pytest.raises(ProblemError):
        client.get("apps", "a/../b?x")
    assert ims.requests[-1].path == "/v1/apps/a%2F..%2Fb%3Fx"


def test_a_path_in_the_url_is_kept(ims: FakeIms) -> None:
    client = Client(f"{ims.url}/exclave/", TOKEN, threading.Event())
    with pytest.raises(ProblemError):
        client.get("apps", "shop")
    assert ims.requests[-1].path == "/exclave/v1/apps/shop"
    client.close()
