"""Requests with retries, and httpx's errors turned into ours. Knows nothing of registries but their statuses."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime

import httpx

from agent.oci.errors import BadAnswerError, RegistryUnavailableError
from agent.oci.manifest import MANIFEST_BYTES
from agent.oci.retry import RETRY_STATUSES, RetryPolicy, retry_after_seconds

TIMEOUT = httpx.Timeout(60.0, connect=10.0)
"""Seconds without any progress. A registry may need many of them to store a large blob before it answers."""


@dataclass(frozen=True)
class Answer:
    """A whole answer. `url` is that of the request, against which a Location is resolved."""

    url: httpx.URL
    status: int
    headers: httpx.Headers
    body: bytes


@dataclass(frozen=True)
class Address:
    """Where a request goes. The headers hold the credential, if that address may see one."""

    url: httpx.URL
    headers: Mapping[str, str] = field(repr=False)


class Transport:
    """One registry's connections. Never follows a redirect by itself."""

    def __init__(self, http: httpx.AsyncClient, retry: RetryPolicy) -> None:
        self._http = http
        self.retry = retry

    async def request(
        self, method: str, url: httpx.URL, headers: Mapping[str, str] | None = None, content: bytes | None = None
    ) -> Answer:
        """Send a request that may be sent twice, and read the answer, of at most a manifest's size.

        Raises RegistryUnavailableError, BadAnswerError.
        """
        tried = 0
        while True:
            tried += 1
            try:
                async with self._open(method, url, headers or {}, content) as response:
                    if response.status_code not in RETRY_STATUSES:
                        return Answer(url, response.status_code, response.headers, await _read(response))
                    failed = busy(Answer(url, response.status_code, response.headers, b""))
            except httpx.TransportError as error:
                failed = _unreachable(url, error)
            if not await self.retry.pause(tried + 1, failed.retry_after):
                raise failed

    @asynccontextmanager
    async def stream(self, url: httpx.URL, headers: Mapping[str, str]) -> AsyncIterator[httpx.Response]:
        """GET once, with the body still to be read by `body`. Raises RegistryUnavailableError."""
        async with AsyncExitStack() as stack:
            try:
                response = await stack.enter_async_context(self._open("GET", url, headers, None))
            except httpx.TransportError as error:
                raise _unreachable(url, error) from error
            if response.status_code in RETRY_STATUSES:
                raise busy(Answer(url, response.status_code, response.headers, b""))
            yield response

    async def body(self, response: httpx.Response) -> AsyncGenerator[bytes, None]:
        """The bytes of a streamed answer as they are on the wire. Raises RegistryUnavailableError."""
        try:
            async for chunk in response.aiter_raw():
                yield chunk
        except httpx.TransportError as error:
            raise _unreachable(response.request.url, error) from error

    async def send(self, method: str, url: httpx.URL, headers: Mapping[str, str], content: AsyncIterator[bytes]) -> Answer:
        """Send a body that can't be sent again, once. Raises RegistryUnavailableError, and whatever `content` raises."""
        try:
            async with self._open(method, url, headers, content) as response:
                answer = Answer(url, response.status_code, response.headers, await _read(response))
                if answer.status in RETRY_STATUSES:
                    raise busy(answer)
                return answer
        except httpx.TransportError as error:
            raise _unreachable(url, error) from error

    @asynccontextmanager
    async def _open(
        self, method: str, url: httpx.URL, headers: Mapping[str, str], content: bytes | AsyncIterator[bytes] | None
    ) -> AsyncIterator[httpx.Response]:
        request = self._http.build_request(method, url, headers=dict(headers), content=content, timeout=TIMEOUT)
        response = await self._http.send(request, stream=True, follow_redirects=False)
        try:
            yield response
        finally:
            await response.aclose()


async def _read(response: httpx.Response) -> bytes:
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > MANIFEST_BYTES:
            raise BadAnswerError(f"{_origin(response.request.url)} answers with more than {MANIFEST_BYTES} bytes")
    return bytes(body)


def _unreachable(url: httpx.URL, error: httpx.TransportError) -> RegistryUnavailableError:
    return RegistryUnavailableError(f"{_origin(url)} can't be reached: {str(error) or type(error).__name__}")


def busy(answer: Answer) -> RegistryUnavailableError:
    """The error for one of `RETRY_STATUSES`."""
    wanted = retry_after_seconds(answer.headers.get("retry-after"), datetime.now(UTC))
    return RegistryUnavailableError(f"{_origin(answer.url)} answers {answer.status}", retry_after=wanted)


def _origin(url: httpx.URL) -> str:
    # Neither path nor query: the address of an upload, or a presigned one, can hold a secret.
    return f"{url.scheme}://{url.netloc.decode()}"
