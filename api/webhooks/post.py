"""One POST to a receiver: to a checked address, with limits on time and on what is read, and no redirect followed."""

import asyncio
import ssl
import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from importlib.metadata import version
from urllib.parse import urlsplit

import httpcore

from api.webhooks.guard import Guard, GuardedBackend, RefusedAddressError

SECONDS = 10.0
"""For everything, from looking up the name to the last byte that is read."""
_READ_AT_MOST = 1024
_CONNECTIONS = 32


@dataclass(frozen=True)
class Answer:
    """What came of one attempt. `status` is None if there was no answer; `error` is empty if it was taken."""

    status: int | None
    start: str
    error: str
    retry_after: float | None = None


class Poster:
    """The connections to receivers. Open with `async with`."""

    def __init__(self, guard: Guard, *, tls: ssl.SSLContext | None = None) -> None:
        self.guard = guard
        self._pools = {
            plain: httpcore.AsyncConnectionPool(
                ssl_context=None if plain else tls,
                max_connections=_CONNECTIONS,
                keepalive_expiry=15.0,
                network_backend=GuardedBackend(guard, plain=plain),
            )
            for plain in (False, True)
        }
        self._agent = f"exclave/{version('exclave')}"

    async def close(self) -> None:
        """Close the connections."""
        for pool in self._pools.values():
            await pool.aclose()

    async def post(self, url: str, body: bytes, headers: dict[str, str], *, seconds: float = SECONDS) -> Answer:
        """Send a JSON body. Never raises: whatever goes wrong is in the answer."""
        try:
            async with asyncio.timeout(seconds):
                return await self._post(url, body, headers)
        except TimeoutError:
            return Answer(None, "", f"no answer within {seconds:g} s")
        except RefusedAddressError as error:
            return Answer(None, "", str(error))
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError, ValueError) as error:
            return Answer(None, "", str(error) or type(error).__name__)

    async def _post(self, url: str, body: bytes, headers: dict[str, str]) -> Answer:
        pool = self._pools[urlsplit(url).scheme != "https"]
        sent = {
            "host": urlsplit(url).netloc,
            "content-type": "application/json",
            "user-agent": self._agent,
            "content-length": str(len(body)),
            **headers,
        }
        async with pool.stream("POST", url, headers=list(sent.items()), content=body) as response:
            start = b""
            async for chunk in response.aiter_stream():
                start += chunk
                if len(start) >= _READ_AT_MOST:
                    break  # the rest isn't read: the connection is closed
            text = start[:_READ_AT_MOST].decode(errors="replace").replace("\0", "\ufffd")
            if 200 <= response.status < 300:
                return Answer(response.status, text, "")
            where = " A redirect isn't followed." if 300 <= response.status < 400 else ""
            return Answer(response.status, text, f"the receiver answered {response.status}.{where}", _retry_after(response))


def _retry_after(response: httpcore.Response) -> float | None:
    """`Retry-After` in seconds (RFC 9110, 10.2.3): it is a number of them, or a date."""
    given = next((value.decode("latin-1") for name, value in response.headers if name.lower() == b"retry-after"), "")
    if given.isascii() and given.isdigit():
        return float(given)
    try:
        return max(0.0, parsedate_to_datetime(given).timestamp() - time.time())
    except (ValueError, OverflowError):
        return None
