"""Requests with retries, and httpx's errors turned into ours. Knows nothing of registries but their statuses."""

from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
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
            wanted: float | None = None
            try:
                async with self._open(method, url, headers or {}, content) as response:
                    if response.status_code not in RETRY_STATUSES:
                        return Answer(url, response.status_code, response.headers, await _read(response))
                    wanted = retry_after_seconds(response.headers.get("retry-after"), datetime.now(UTC))
                    failed = _busy(url, response.status_code)
            except httpx.TransportError as error:
                failed = _unreachable(url, error)
            if not await self.retry.pause(tried + 1, wanted):
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
                raise _busy(url, response.status_code)
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
                if response.status_code in RETRY_STATUSES:
                    raise _busy(url, response.status_code)
                return Answer(url, response.status_code, response.headers, await _read(response))
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


def _busy(url: httpx.URL, status: int) -> RegistryUnavailableError:
    return RegistryUnavailableError(f"{_origin(url)} answers {status}")


def _origin(url: httpx.URL) -> str:
    # Neither path nor query: the address of an upload, or a presigned one, can hold a secret.
    return f"{url.scheme}://{url.netloc.decode()}"
