"""The browser's cookies: the session, and the login that is under way. Neither is readable by scripts."""

from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from api.contract.problems import ForbiddenError
from api.settings import Settings

_SAFE = ("GET", "HEAD", "OPTIONS")


def _name(settings: Settings, what: str) -> str:
    # `__Host-` makes the browser insist on Secure, on this host and on Path=/; over plain HTTP it would refuse the cookie.
    return f"__Host-exclave-{what}" if settings.public_url.startswith("https://") else f"exclave-{what}"


def set_cookie(response: Response, settings: Settings, what: str, value: str, seconds: float) -> None:
    """Give the browser a cookie. SameSite=Lax: it comes along when the OpenID provider sends the browser back."""
    secure = settings.public_url.startswith("https://")
    response.set_cookie(_name(settings, what), value, int(seconds), path="/", secure=secure, httponly=True, samesite="lax")


def drop_cookie(response: Response, settings: Settings, what: str) -> None:
    """Take a cookie back."""
    secure = settings.public_url.startswith("https://")
    response.delete_cookie(_name(settings, what), path="/", secure=secure, httponly=True, samesite="lax")


def cookie(request: Request, settings: Settings, what: str) -> str | None:
    """A cookie's value."""
    return request.cookies.get(_name(settings, what))


def check_same_origin(request: Request, settings: Settings) -> None:
    """Refuse a request that another site made the browser send. Raises ForbiddenError.

    Browsers say where an unsafe request comes from (`Origin`); one that doesn't is none that should use a cookie.
    """
    if request.method in _SAFE:
        return
    ours = urlsplit(settings.public_url)
    if request.headers.get("origin") != f"{ours.scheme}://{ours.netloc}":
        raise ForbiddenError(
            "the request has a cookie, but doesn't come from this server's own pages",
            remedy="Programs send a bearer token; browsers use the pages of the IMS at its own address.",
        )
