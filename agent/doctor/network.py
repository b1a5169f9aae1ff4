"""The way to the IMS: proxy, authorities, name, connection, TLS, HTTP, clock, and whether it takes this agent's key."""

import asyncio
import os
import ssl
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx

from agent.doctor.check import Finding, failed, passed, skipped
from agent.doctor.machine import enrolled
from agent.identity import Home, IdentityError
from agent.outbound import OutboundError, Proxies, calls_client, tls
from agent.session import Session
from api.client import ApiError, ImsClient, UnreachableError, date_of
from api.contract.resources import ServerInfo

SKEW_SECONDS = 60
_PORTS = {"http": 80, "https": 443}
_AUTHORITY_REMEDY = "If a proxy or the IMS has a certificate of your company's own authority, give its PEM file with --ca-file."


async def proxy(url: httpx.URL | None) -> AsyncIterator[Finding]:
    """The proxy for the IMS, if the environment names one, takes connections."""
    try:
        by = Proxies.of_environment(os.environ).to(url) if url else None
    except OutboundError as error:
        yield failed("proxy", str(error), "Correct the variable in the agent's environment.")
        return
    if by is None:
        yield passed("proxy", "none: calls to the IMS are direct")
        return
    shown = f"{by.scheme}://{by.host}:{by.port or _PORTS[by.scheme]}"  # never its password
    try:
        _, writer = await asyncio.open_connection(by.host, by.port or _PORTS[by.scheme])
    except OSError as error:
        remedy = "Correct HTTPS_PROXY or HTTP_PROXY, or name the IMS in NO_PROXY."
        yield failed("proxy", f"{shown} can't be reached: {error.strerror or error}", remedy)
        return
    writer.close()
    yield passed("proxy", f"calls to the IMS go by {shown}")


async def authorities() -> AsyncIterator[Finding]:
    """The file of authorities can be read."""
    try:
        count = len(tls().get_ca_certs())
    except OutboundError as error:
        yield failed("authorities", str(error), "Correct SSL_CERT_FILE, or use --ca-file.")
        return
    folder = os.environ.get("SSL_CERT_DIR")  # read only when a certificate is checked
    file = os.environ.get("SSL_CERT_FILE") or (None if folder else "the usual ones")
    trusted = ([f"{count} of {file}"] if file else []) + ([f"those in {folder}"] if folder else [])
    yield passed("authorities", f"trusted are {' and '.join(trusted)}")


class ImsCheck:
    """The steps to one IMS, each only after the one before it. `wall` gives Unix seconds."""

    def __init__(self, url: httpx.URL, home: Path | None, wall: Callable[[], float] = time.time) -> None:
        self._url = url
        self._home = home
        self._wall = wall
        self._port = url.port or _PORTS[url.scheme]

    async def look(self) -> AsyncIterator[Finding]:
        """The findings, up to the first step that fails; the rest is skipped then."""
        left = ["ims.dns", "ims.tcp", "ims.tls", "ims.http", "ims.clock", "ims.identity"]
        broken = ""
        for step in (self._direct, self._by_http):
            if broken:
                break
            async for finding in step():
                left.remove(finding.check)
                broken = broken or (finding.check if finding.status == "FAILED" and finding.check != "ims.clock" else "")
                yield finding
        for name in left:
            yield skipped(name, f"not known before {broken} works")

    async def _direct(self) -> AsyncIterator[Finding]:
        """Name, connection and TLS, where no proxy does these."""
        try:
            by = Proxies.of_environment(os.environ).to(self._url)
            context = tls() if self._url.scheme == "https" else None
        except OutboundError as error:
            yield failed("ims.dns", f"not tried: {error}", "Correct the proxy or the authorities first.")
            return
        if by is not None:
            yield skipped("ims.dns", "the proxy looks the name up")
            yield skipped("ims.tcp", "the proxy makes the connection")
            return
        loop = asyncio.get_running_loop()
        try:
            there = await loop.getaddrinfo(self._url.host, self._port, type=1)
        except OSError as error:
            remedy = "Check the name in --url, and that this machine's DNS knows it; behind a proxy, set HTTPS_PROXY."
            yield failed("ims.dns", f"{self._url.host} isn't known: {error.strerror or error}", remedy)
            return
        yield passed("ims.dns", f"{self._url.host} is {', '.join(sorted({str(entry[4][0]) for entry in there}))}")
        try:
            _, writer = await asyncio.open_connection(self._url.host, self._port)
        except OSError as error:
            remedy = f"Allow outbound TCP to port {self._port} of {self._url.host}, and check that the IMS runs."
            yield failed("ims.tcp", f"port {self._port} takes no connection: {error.strerror or error}", remedy)
            return
        writer.close()
        yield passed("ims.tcp", f"port {self._port} takes connections")
        if context is None:
            yield skipped("ims.tls", "the address is http: whoever is in between can read and change everything")
            return
        try:
            _, writer = await asyncio.open_connection(self._url.host, self._port, ssl=context)
        except (OSError, ssl.SSLError) as error:
            yield _untrusted(error)
            return
        certificate = writer.get_extra_info("peercert") or {}
        writer.close()
        yield passed("ims.tls", f"the certificate is good until {certificate.get('notAfter', 'an unknown day')}")

    async def _by_http(self) -> AsyncIterator[Finding]:
        by_proxy = Proxies.of_environment(os.environ).to(self._url) is not None
        async with calls_client() as http:
            ims = ImsClient(str(self._url), None, http)
            try:
                asked = self._wall()
                response = await ims.send("GET", "/v1")
                answered = self._wall()
                server = ims.read(response, ServerInfo)
            except (ApiError, UnreachableError) as error:
                if "CERTIFICATE_VERIFY_FAILED" in str(error):
                    yield _untrusted(error)
                else:
                    yield _no_ims(error)
                return
            if by_proxy and self._url.scheme == "https":
                yield passed("ims.tls", "the certificate is good, as seen through the proxy")
            elif by_proxy:
                yield skipped("ims.tls", "the address is http: whoever is in between can read and change everything")
            yield passed("ims.http", f"Exclave {server.version} answers at {self._url}")
            yield _clock(response, (asked + answered) / 2)
            yield await self._signs_in(http)

    async def _signs_in(self, http: httpx.AsyncClient) -> Finding:
        name, remedy = "ims.identity", "Ask the vendor for a new enrolment token, and start with an empty --home."
        if self._home is None or not (self._home / "identity.json").exists():
            return skipped(name, "the agent isn't enrolled yet", "`exclave agents enroll` makes a token for its first start.")
        try:
            enrolled(self._home)
            if not (self._home / "agent.key").exists():
                return failed(name, f"the key of the agent in {self._home} is gone", remedy)
            identity = Home(self._home, make=False).identity()
            assert identity
            await Session(str(self._url), identity, http, wall=self._wall).sign_in()
        except (OSError, ValueError, IdentityError) as error:
            return failed(name, f"the identity in {self._home} can't be read: {error}", remedy)
        except ApiError as error:
            return failed(name, str(error), error.problem.remedy or remedy)
        except UnreachableError as error:
            return failed(name, str(error), error.remedy)
        who = identity.enrolled
        return passed(
            name, f"{who.agent_id} ({who.kind}{f' agent of {who.install_name}' if who.install_name else ''}) signs in"
        )


def _untrusted(error: Exception) -> Finding:
    text = str(error)
    if "not valid for" in text or "Hostname mismatch" in text:
        return failed("ims.tls", text, "Use the name that the certificate is for in --url.")
    if "certificate has expired" in text or "not yet valid" in text:
        return failed("ims.tls", text, "Check this machine's clock; if it is right, the IMS needs a new certificate.")
    return failed("ims.tls", text, _AUTHORITY_REMEDY)


def _no_ims(error: ApiError | UnreachableError) -> Finding:
    if isinstance(error, UnreachableError):
        remedy = error.remedy
        if "407" in str(error):
            remedy = "Give the proxy's name and password in HTTPS_PROXY: http://name:password@proxy.example.com:3128."
        elif "502" in str(error) or "403" in str(error):
            remedy = "The proxy refuses or can't find the IMS: have it allowed there, or name it in NO_PROXY."
        return failed("ims.http", str(error), remedy)
    if error.status >= 500:
        return failed("ims.http", str(error), "Look at the IMS: it answers, but not well. Agents try again by themselves.")
    remedy = "Something else than an IMS answers, such as a page of the proxy's: check --url, and have the proxy let it pass."
    return failed("ims.http", str(error), remedy)


def _clock(response: httpx.Response, here: float) -> Finding:
    """The server's Date (RFC 9110, section 6.6.1) against this machine's clock at the same moment."""
    there = date_of(response)
    if there is None:
        return skipped("ims.clock", "the answer has no date")
    skew = here - there - 0.5  # it has whole seconds
    if abs(skew) <= SKEW_SECONDS:
        return passed("ims.clock", f"within {max(1, round(abs(skew)))} s of the IMS's")
    direction = "ahead of" if skew > 0 else "behind"
    return failed(
        "ims.clock",
        f"this machine's clock is {abs(skew):.0f} s {direction} the IMS's",
        "Set the clock, best by NTP (`timedatectl set-ntp true`): the agent signs in with the IMS's time, but certificates and "
        "the clouds' APIs go by this clock.",
    )
