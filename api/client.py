"""A small HTTP client for the IMS that knows only the contract. The agents and the CLI use it."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from email.utils import parsedate_to_datetime
from types import TracebackType
from typing import Self, TypeVar, overload

import httpx
from pydantic import BaseModel, ValidationError

from api.contract.problems import PROBLEM_TYPE_PREFIX, Problem

T = TypeVar("T", bound=BaseModel)
Authorization = Callable[[], Awaitable[str | None]]
"""Gives the bearer token for the next call, or None to send none."""

DEFAULT_TIMEOUT = 30.0
"""Seconds for one call, from connecting to the last byte of the answer."""
_UNEXPECTED = "unexpected_answer"
_NO_PROBLEM = "http_"
"""The code of an answer that is no problem document begins so."""
STREAM_SILENCE = 45.0
"""A stream that lives sends at least a heartbeat each 15 seconds."""


class ApiError(Exception):
    """The IMS refused or failed. `problem` is what it said; `retry_after` is in seconds, where it named a time.

    `date` is when it said so by its own clock, in Unix seconds; None if the answer has no date.
    """

    def __init__(self, problem: Problem, retry_after: float | None = None, date: float | None = None) -> None:
        super().__init__(": ".join(part for part in (problem.title, problem.detail) if part))
        self.problem = problem
        self.retry_after = retry_after
        self.date = date

    @property
    def of_ims(self) -> bool:
        """Whether an IMS said this: not a proxy in between, or whatever else answers at its address for now."""
        return self.code != _UNEXPECTED and not self.code.startswith(_NO_PROBLEM)

    @property
    def code(self) -> str:
        """The stable code, such as `not_found`; `http_<status>` if the answer was not a problem document."""
        return self.problem.code

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.problem.status

    @property
    def retryable(self) -> bool:
        """Whether the same call may succeed later."""
        return self.problem.retryable


class UnreachableError(Exception):
    """No answer: the address is wrong, nothing listens there, or the deadline passed. The call may or may not have arrived."""

    retryable = True

    def __init__(self, url: str, reason: str) -> None:
        super().__init__(f"no answer from {url}: {reason}")
        self.url = url
        self.reason = reason
        self.remedy = f"Check that the IMS runs (`exclave up`) and that {url} can be reached from this machine."


class ImsClient:
    """Calls to one IMS. Use it as an async context manager, or close it yourself; a given `http` is left open."""

    def __init__(
        self,
        base_url: str,
        authorization: str | Authorization | None = None,
        http: httpx.AsyncClient | None = None,
    ) -> None:
        self.base_url = base_url.rstrip("/")
        self._authorization = authorization
        self._http = http or httpx.AsyncClient(timeout=None)  # noqa: S113 - each call has one deadline of its own, in `send`
        self._owns_http = http is None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections, unless they belong to the `http` that was given."""
        if self._owns_http:
            await self._http.aclose()

    @overload
    async def call(
        self,
        method: str,
        path: str,
        *,
        answer: type[T],
        body: BaseModel | None = None,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> T: ...

    @overload
    async def call(
        self,
        method: str,
        path: str,
        *,
        answer: None = None,
        body: BaseModel | None = None,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> None: ...

    async def call(
        self,
        method: str,
        path: str,
        *,
        answer: type[T] | None = None,
        body: BaseModel | None = None,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> T | None:
        """Send `body` as JSON and read the answer as `answer`. Raises ApiError or UnreachableError."""
        content = None if body is None else body.model_dump_json().encode()
        sent = {"Content-Type": "application/json", **(headers or {})} if content is not None else headers
        response = await self.send(method, path, content=content, params=params, headers=sent, timeout=timeout)
        if answer is not None:
            return self.read(response, answer)
        self.nothing(response)
        return None

    async def send(
        self,
        method: str,
        path: str,
        *,
        content: bytes | None = None,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        timeout: float = DEFAULT_TIMEOUT,
    ) -> httpx.Response:
        """One request, and its answer if the status is below 300. Raises ApiError or UnreachableError.

        `timeout` is the deadline of the whole call, in seconds. Nothing is tried again here: the caller knows what is safe.
        """
        authorization = self._authorization
        token = await authorization() if callable(authorization) else authorization
        sent = dict(headers or {})
        if token is not None:
            sent["Authorization"] = f"Bearer {token}"
        try:
            async with asyncio.timeout(timeout):
                response = await self._http.request(
                    method, self.base_url + path, content=content, params=params, headers=sent, timeout=None
                )
        except TimeoutError:
            raise UnreachableError(self.base_url, f"nothing came within {timeout:g} s") from None
        except (httpx.RequestError, httpx.InvalidURL) as error:
            raise UnreachableError(self.base_url, str(error) or type(error).__name__) from error
        if response.status_code >= 300:
            raise ApiError(_problem(response), retry_after(response), date_of(response))
        return response

    @contextlib.asynccontextmanager
    async def stream(
        self,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        accept: str = "*/*",
        silence: float = DEFAULT_TIMEOUT,
    ) -> AsyncIterator[httpx.Response]:
        """A GET whose answer is read while it comes. Raises ApiError, or UnreachableError, also from within the block.

        `silence` is how many seconds may pass without a byte.
        """
        token = await self._authorization() if callable(self._authorization) else self._authorization
        sent = {"Accept": accept, **(headers or {}), **({"Authorization": f"Bearer {token}"} if token is not None else {})}
        try:
            async with self._http.stream(
                "GET",
                self.base_url + path,
                params=params,
                headers=sent,
                timeout=httpx.Timeout(silence, connect=DEFAULT_TIMEOUT),
            ) as response:
                if response.status_code >= 400:
                    await response.aread()
                    raise ApiError(_problem(response), retry_after(response))
                yield response
        except (httpx.TransportError, httpx.InvalidURL) as error:
            raise UnreachableError(self.base_url, str(error) or type(error).__name__) from error

    @contextlib.asynccontextmanager
    async def lines(
        self,
        path: str,
        *,
        params: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        silence: float = STREAM_SILENCE,
    ) -> AsyncIterator[AsyncIterator[str]]:
        """The lines of an answer as they come; with `api.event_stream` they are events. Raises as `stream` does."""
        async with self.stream(path, params=params, headers=headers, accept="text/event-stream", silence=silence) as response:
            yield _split(response.aiter_text())

    def nothing(self, response: httpx.Response) -> None:
        """Check that a response says "done", and nothing else: 204. Raises ApiError (`unexpected_answer`).

        A captive portal or a proxy's error page comes with 200: taken for the IMS's word, a report would be lost.
        """
        if response.status_code != 204:
            raise ApiError(self._unexpected(response, "answered something else than that it is done"))

    def read(self, response: httpx.Response, answer: type[T]) -> T:
        """The body of a response as a model. Raises ApiError (`unexpected_answer`) if it isn't one."""
        try:
            # A newer IMS may say more than this side knows.
            return answer.model_validate_json(response.content, extra="ignore")
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False)[0]
            at = ".".join(map(str, first["loc"]))
            said = f"answered something else than {answer.__name__}" + (f" ({at}: {first['msg']})" if at else "")
            raise ApiError(self._unexpected(response, said)) from None

    def _unexpected(self, response: httpx.Response, said: str) -> Problem:
        return Problem(
            type=PROBLEM_TYPE_PREFIX + _UNEXPECTED,
            title="Unexpected answer",
            status=response.status_code,
            detail=f"{self.base_url} {said}",
            remedy="Check that the URL is that of an IMS, and that both sides have the same version of Exclave.",
        )


async def _split(texts: AsyncIterator[str]) -> AsyncIterator[str]:
    """Lines that end with a line feed alone: httpx would also end one at a form feed or a U+2028 within the data."""
    left = ""
    async for text in texts:
        *whole, left = (left + text).split("\n")
        for line in whole:
            yield line


def _problem(response: httpx.Response) -> Problem:
    try:
        return Problem.model_validate_json(response.content)
    except ValidationError:
        # A proxy in between, or something that is not an IMS.
        return Problem(
            type=f"{PROBLEM_TYPE_PREFIX}{_NO_PROBLEM}{response.status_code}",
            title=response.reason_phrase or f"HTTP {response.status_code}",
            status=response.status_code,
            detail=response.text[:200].strip(),
            retryable=response.status_code in (429, 502, 503, 504),
        )


def date_of(response: httpx.Response) -> float | None:
    """`Date` (RFC 9110, section 6.6.1) in Unix seconds, or None if it is missing or isn't one. It has whole seconds."""
    try:
        return parsedate_to_datetime(response.headers["Date"]).timestamp()
    except (KeyError, ValueError):
        return None


def retry_after(response: httpx.Response) -> float | None:
    """`Retry-After` in seconds, or None if it is missing or a date."""
    try:
        return max(0.0, float(response.headers["Retry-After"]))
    except (KeyError, ValueError):
        return None
