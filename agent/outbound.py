"""How the agent's own calls leave the machine: directly or by a proxy of the environment, and which authorities they trust.

One reading of `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, `NO_PROXY` and `SSL_CERT_FILE` holds for the calls to the IMS, for
registries, and for the threads that move blobs. Programs and cloud libraries that the agent starts read the environment by
themselves, each in its own way: `settle_environment` says the same to all of them.
"""

import ipaddress
import os
import ssl
from collections.abc import AsyncIterator, Mapping, MutableMapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import certifi
import httpx

from agent.checked_addresses import CHECKED, CheckedAddresses
from agent.durable import write_durably

_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_BUNDLES = ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "GIT_SSL_CAINFO", "CURL_CA_BUNDLE")
"""What boto3, google-auth (by requests), git and curl read where Go's programs and we read SSL_CERT_FILE."""

ANSWER_BYTES = 32 * 1024 * 1024
"""More than any answer of an IMS to its agents."""
_DEFAULT_PORTS = {"http": 80, "https": 443}


class OutboundError(Exception):
    """A proxy or a file of authorities that can't be used. The text names the variable or option, its value, and the remedy."""


@dataclass(frozen=True)
class Proxies:
    """The environment's proxies. `direct` are the entries of NO_PROXY."""

    by_scheme: Mapping[str, httpx.URL]
    direct: tuple[str, ...]

    @classmethod
    def of_environment(cls, env: Mapping[str, str]) -> "Proxies":
        """Names in small letters win, as they do for curl. Raises OutboundError."""
        found = {name: env.get(name) or env.get(name.upper()) or "" for name in _PROXIES}
        by_scheme = {
            scheme: _proxy(f"{scheme.upper()}_PROXY", text)
            for scheme in ("http", "https")
            if (text := found[f"{scheme}_proxy"] or found["all_proxy"])
        }
        return cls(by_scheme, tuple(entry.strip().lower() for entry in found["no_proxy"].split(",") if entry.strip()))

    def to(self, url: httpx.URL) -> httpx.URL | None:
        """The proxy that leads to `url`, or None if it is reached directly."""
        proxy = self.by_scheme.get(url.scheme)
        if proxy is None or any(_matches(entry, url) for entry in self.direct):
            return None
        return proxy


def _proxy(variable: str, text: str) -> httpx.URL:
    try:
        url = httpx.URL(text if "://" in text else f"http://{text}")
        usable = url.scheme in ("http", "https") and bool(url.host)
    except httpx.InvalidURL:
        usable = False
    if not usable:
        # The value may hold a password.
        raise OutboundError(
            f"the proxy in {variable} isn't an http or https address; write it like http://proxy.example.com:3128"
        )
    return url


def _matches(entry: str, url: httpx.URL) -> bool:
    """An entry is `*`, a name (also for those below it), an address, or a network such as 10.0.0.0/8; with a port or not."""
    if entry == "*":
        return True
    name, colon, port = entry.rpartition(":")
    if colon and port.isdigit() and ":" not in name.strip("[]").replace("::", ""):
        if int(port) != (url.port or _DEFAULT_PORTS.get(url.scheme)):
            return False
        entry = name
    host = url.host.lower()
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        name = entry.lstrip("*").lstrip(".")
        return host == name or host.endswith(f".{name}")


def uses_proxy(url: httpx.URL) -> bool:
    """Whether the environment has a proxy for `url`. Its addresses are then the proxy's affair."""
    return Proxies.of_environment(os.environ).to(url) is not None


def tls() -> ssl.SSLContext:
    """The authorities of SSL_CERT_FILE or SSL_CERT_DIR, else certifi's. Raises OutboundError."""
    return _tls(os.environ.get("SSL_CERT_FILE"), os.environ.get("SSL_CERT_DIR"))


@cache
def _tls(file: str | None, folder: str | None) -> ssl.SSLContext:
    try:
        if file or folder:
            context = ssl.create_default_context(cafile=file or None, capath=folder or None)
        else:
            context = ssl.create_default_context(cafile=certifi.where())
    except OSError as error:  # also ssl.SSLError
        raise OutboundError(
            f"SSL_CERT_FILE={file or ''} SSL_CERT_DIR={folder or ''} can't be used: {error.strerror or error}; "
            "name a readable PEM file of authorities"
        ) from None
    context.set_alpn_protocols(["http/1.1"])
    return context


class _ByEnvironment(httpx.AsyncBaseTransport):
    """Each request takes the way that `Proxies` says; connections are kept for each proxy, and for direct calls."""

    def __init__(
        self, proxies: Proxies, context: ssl.SSLContext, limits: httpx.Limits, checked: CheckedAddresses | None = None
    ) -> None:
        self._proxies = proxies
        self._context = context
        self._limits = limits
        self._checked = checked
        self._ways: dict[tuple[httpx.URL | None, str], httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        by = self._proxies.to(request.url)
        host = request.url.host
        addresses = self._checked.of(host) if self._checked is not None and by is None else ()
        if not addresses:
            return await self._way(by).handle_async_request(request)
        way = self._way(None, host)
        for address in addresses[:-1]:
            try:
                return await way.handle_async_request(_at(request, address))
            except (httpx.ConnectError, httpx.ConnectTimeout):  # nothing was sent
                continue
        return await way.handle_async_request(_at(request, addresses[-1]))

    def _way(self, by: httpx.URL | None, host: str = "") -> httpx.AsyncHTTPTransport:
        # Names that are called by address have connections of their own: two of them may be at one address.
        if (by, host) not in self._ways:
            proxy = None if by is None else httpx.Proxy(by, ssl_context=self._context if by.scheme == "https" else None)
            self._ways[by, host] = httpx.AsyncHTTPTransport(
                verify=self._context, trust_env=False, limits=self._limits, proxy=proxy
            )
        return self._ways[by, host]

    async def aclose(self) -> None:
        for way in self._ways.values():
            await way.aclose()


def _at(request: httpx.Request, address: str) -> httpx.Request:
    """The same request, sent to an address: its Host header and the name on the certificate stay."""
    return httpx.Request(
        request.method,
        request.url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions={**request.extensions, "sni_hostname": request.url.host},
    )


def outbound_client(*, timeout: float | None = 5.0) -> httpx.AsyncClient:
    """A client for calls out of this machine, with as many connections as are needed. Raises OutboundError.

    A name that was judged (`agent.checked_addresses`) is called by the addresses that it had then.

    No `.netrc` is read: a credential must not go along because somebody else's file has one for that host.
    """
    return httpx.AsyncClient(transport=_transport(CHECKED), timeout=timeout, trust_env=False)


def calls_client() -> httpx.AsyncClient:
    """A client for `ImsClient`, which sets its own deadlines. An answer can't fill the memory, whoever gives it.

    Raises OutboundError.
    """
    headers = {"Accept-Encoding": "identity"}
    return httpx.AsyncClient(transport=_Bounded(_transport()), timeout=None, trust_env=False, headers=headers)  # noqa: S113


def _transport(checked: CheckedAddresses | None = None) -> "_ByEnvironment":
    return _ByEnvironment(Proxies.of_environment(os.environ), tls(), httpx.Limits(max_connections=None), checked)


class _Bounded(httpx.AsyncBaseTransport):
    """Answers of at most `ANSWER_BYTES`, and none that unpacks to more than it is."""

    def __init__(self, transport: httpx.AsyncBaseTransport) -> None:
        self._transport = transport

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await self._transport.handle_async_request(request)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        if response.headers.get("Content-Encoding", "identity") != "identity":
            await response.stream.aclose()
            raise httpx.RemoteProtocolError("the answer is compressed, though that wasn't asked for", request=request)
        response.stream = _BoundedStream(response.stream, request)
        return response

    async def aclose(self) -> None:
        await self._transport.aclose()


class _BoundedStream(httpx.AsyncByteStream):
    def __init__(self, stream: httpx.AsyncByteStream, request: httpx.Request) -> None:
        self._stream = stream
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        came = 0
        async for chunk in self._stream:
            came += len(chunk)
            if came > ANSWER_BYTES:
                raise httpx.RemoteProtocolError(f"the answer has more than {ANSWER_BYTES >> 20} MiB", request=self._request)
            yield chunk

    async def aclose(self) -> None:
        await self._stream.aclose()


def settle_environment(env: MutableMapping[str, str], ca_file: Path | None, folder: Path) -> None:
    """Have everything that runs in this process or below it use the same proxies and authorities.

    `ca_file` adds authorities to those that are trusted anyway; both together are written into `folder`. A variable that is set
    already is left as it is. Raises OutboundError.
    """
    if ca_file is not None:
        env["SSL_CERT_FILE"] = str(_joined(env.get("SSL_CERT_FILE") or certifi.where(), ca_file, folder / "authorities.pem"))
    if env.get("SSL_CERT_FILE"):
        for name in _BUNDLES:
            env.setdefault(name, env["SSL_CERT_FILE"])
    for name in _PROXIES:
        value = env.get(name) or env.get(name.upper())
        if value:
            env.setdefault(name, value)
            env.setdefault(name.upper(), value)
    Proxies.of_environment(env)
    tls()


def _joined(usual: str, ca_file: Path, joined: Path) -> Path:
    try:
        added = ca_file.read_bytes()
        ssl.create_default_context(cadata=added.decode("ascii"))
        both = Path(usual).read_bytes().rstrip() + b"\n" + added
        if not joined.exists() or joined.read_bytes() != both:  # a command beside a running agent leaves the agent's as it is
            write_durably(joined, both)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = getattr(error, "strerror", None) or error
        raise OutboundError(f"--ca-file {ca_file} can't be used: {reason}; give a PEM file with certificates") from None
    return joined
