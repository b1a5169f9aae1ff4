"""The vendor's own registry as the IMS reads it: with logins of that registry's cloud, which never leave the IMS.

A login is asked for when the registry answers 401, kept per repository until shortly before it ends, and shown to the
registry's own address alone: redirects aren't followed. Both challenges are answered: Basic (Amazon ECR), and Bearer, whose
token endpoint (distribution's token authentication specification) must be on the registry's own host, as Google's is.
"""

import asyncio
import base64
import re
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx

from api.contract.agents import RegistryLogin
from api.registry.access import Access
from api.registry.errors import ManifestTooLargeError, TooManyRequestsError, VendorRegistryError
from api.registry.manifests import MANIFEST_LIMIT

LogIn = Callable[[Access], RegistryLogin]
"""Makes a login with this access alone. Blocks. Raises VendorRegistryError."""

_TIMEOUT = httpx.Timeout(60.0, connect=10.0)
_EARLY_SECONDS = 60.0
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')


def open_http() -> httpx.AsyncClient:
    """What the vendor's registry is called with; proxies of the environment count."""
    return httpx.AsyncClient(timeout=_TIMEOUT, follow_redirects=False)


@dataclass
class _Held:
    """What is shown to the registry for one repository."""

    authorization: str = field(default="", repr=False)
    fresh_until: float = 0
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)


@dataclass(frozen=True)
class Upstream:
    """The registry at `url`, where each repository is below `prefix`."""

    url: str
    prefix: str
    log_in: LogIn
    http: httpx.AsyncClient = field(default_factory=open_http)
    clock: Callable[[], float] = time.monotonic
    _held: dict[str, _Held] = field(default_factory=dict)

    async def close(self) -> None:
        """Close all connections."""
        await self.http.aclose()

    @asynccontextmanager
    async def ask(
        self, method: str, repository: str, path: str, headers: Mapping[str, str] | None = None
    ) -> AsyncIterator[httpx.Response]:
        """The answer, with its body still to be read, whatever its status, but for those below.

        Raises VendorRegistryError where the registry can't be reached, refuses the IMS or fails, TooManyRequestsError where it
        is busy.
        """
        held = self._held.setdefault(repository, _Held())
        shown = held.authorization if held.fresh_until > self.clock() else ""
        response = await self._send(method, repository, path, headers, shown)
        try:
            if response.status_code == 401:
                await response.aclose()
                challenge = response.headers.get("www-authenticate", "")
                shown = await self._authorize(held, shown, challenge, repository)
                response = await self._send(method, repository, path, headers, shown)
            self._check(response, repository)
            yield response
        finally:
            await response.aclose()

    async def read(self, repository: str, path: str, headers: Mapping[str, str] | None = None) -> tuple[httpx.Response, bytes]:
        """A whole answer of at most a manifest's size. Raises ManifestTooLargeError, and the errors of `ask`."""
        async with self.ask("GET", repository, path, headers) as response:
            body = bytearray()
            try:
                async for piece in response.aiter_bytes():
                    body += piece
                    if len(body) > MANIFEST_LIMIT:
                        raise ManifestTooLargeError(f"{repository} has an answer of more than {MANIFEST_LIMIT} bytes")
            except httpx.RequestError as error:
                raise self._unreachable(error) from None
            return response, bytes(body)

    async def _send(
        self, method: str, repository: str, path: str, headers: Mapping[str, str] | None, authorization: str
    ) -> httpx.Response:
        place = f"{self.prefix}/{repository}" if self.prefix else repository
        shown = {"Authorization": authorization} if authorization else {}
        try:
            request = self.http.build_request(method, f"{self.url}/v2/{place}/{path}", headers={**(headers or {}), **shown})
            return await self.http.send(request, stream=True)
        except httpx.RequestError as error:
            raise self._unreachable(error) from None

    def _check(self, response: httpx.Response, repository: str) -> None:
        status = response.status_code
        if status in (401, 403):
            raise VendorRegistryError(f"the vendor's registry refuses the IMS's login for {repository}")
        if status == 429:
            after = response.headers.get("retry-after")
            raise TooManyRequestsError("the vendor's registry is busy", headers={"Retry-After": after} if after else {})
        if status >= 500:
            raise VendorRegistryError(f"the vendor's registry answers {status} for {repository}")

    async def _authorize(self, held: _Held, shown: str, challenge: str, repository: str) -> str:
        """What to show after a 401 to `shown`: what somebody else has got meanwhile, or what a new login gives."""
        async with held.lock:
            if held.authorization not in ("", shown) and held.fresh_until > self.clock():
                return held.authorization
            asked_at = self.clock()
            login = await asyncio.to_thread(self.log_in, Access(repository, frozenset({"pull"})))
            basic = "Basic " + base64.b64encode(f"{login.username}:{login.password}".encode()).decode()
            scheme, _, rest = challenge.partition(" ")
            if scheme.lower() == "bearer":
                held.authorization, seconds = await self._token(dict(_PARAMETER.findall(rest)), basic, repository)
            else:
                held.authorization, seconds = basic, float(login.expires_in)
            held.fresh_until = asked_at + seconds - min(_EARLY_SECONDS, seconds / 4)
            return held.authorization

    async def _token(self, asked: Mapping[str, str], basic: str, repository: str) -> tuple[str, float]:
        realm, registry = httpx.URL(self.url).join(asked.get("realm", "")), httpx.URL(self.url)
        if (realm.scheme, realm.netloc) != (registry.scheme, registry.netloc):
            raise VendorRegistryError(f"the vendor's registry names a token endpoint at another host, {realm.host}")
        place = f"{self.prefix}/{repository}" if self.prefix else repository
        params = {"service": asked.get("service", ""), "scope": f"repository:{place}:pull"}
        try:
            answer = await self.http.get(realm.copy_merge_params(params), headers={"Authorization": basic})
            given = answer.json() if answer.status_code == 200 else {}
            token = given.get("token") or given.get("access_token")
            seconds = float(given.get("expires_in", 60))
        except httpx.RequestError as error:
            raise self._unreachable(error) from None
        except (ValueError, AttributeError):
            token = None
        if not isinstance(token, str):
            raise VendorRegistryError(f"the vendor's registry gives the IMS no token for {repository}: {answer.status_code}")
        return f"Bearer {token}", seconds

    def _unreachable(self, error: httpx.RequestError) -> VendorRegistryError:
        return VendorRegistryError(f"the vendor's registry can't be reached: {str(error) or type(error).__name__}")
