"""Whether a webhook's URL is one that can be sent to, said before it is stored."""

import asyncio
from urllib.parse import urlsplit

from api.contract.problems import InvalidError
from api.webhooks.guard import Guard, RefusedAddressError

_LOOKUP_SECONDS = 3.0
_ALLOW = "Use a public https address, or let the IMS's operator allow the network: `exclave up --webhooks-allow-private CIDR`."


async def check(guard: Guard, url: str) -> None:
    """Raises InvalidError on `url`. A name that can't be looked up now is let through: every delivery looks again."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise InvalidError.at(
            "url", f"{url!r} is not a URL: {error}", "Write it like https://hooks.example.com/exclave."
        ) from None
    if parts.scheme not in ("https", "http") or not host:
        raise InvalidError.at("url", f"{url!r} is not an https URL", "Write it like https://hooks.example.com/exclave.")
    if not url.isascii() or not url.isprintable() or " " in url:
        raise InvalidError.at("url", "has a character that a URL can't have", "Percent-encode it; write the host in punycode.")
    if parts.username is not None or parts.password is not None:
        raise InvalidError.at("url", "has a user name or password in it", "Verify the signature instead; leave them out.")
    if parts.fragment:
        raise InvalidError.at("url", "has a fragment (#…), which no server sees", "Leave it out.")
    plain = parts.scheme == "http"
    try:
        async with asyncio.timeout(_LOOKUP_SECONDS):
            await guard.check(host, port or (80 if plain else 443), plain=plain)
    except RefusedAddressError as error:
        raise InvalidError.at("url", str(error), _ALLOW) from None
    except UnicodeError:
        raise InvalidError.at(
            "url", f"{host} can't be a host's name: a part of it is empty, or has more than 63 characters", "Correct it."
        ) from None
    except (OSError, TimeoutError):
        if plain:
            raise InvalidError.at(
                "url", f"{host} can't be looked up, and plain http needs an allowed address", _ALLOW
            ) from None
