"""`/login` for browsers, `/v1/login` for programs, and `/v1/whoami` for both."""

import base64
import hmac
import re
from dataclasses import asdict
from typing import Annotated, Any
from urllib.parse import parse_qs, quote

import httpx
from cryptography.exceptions import InvalidTag
from fastapi import APIRouter, Depends, Request
from fastapi.responses import RedirectResponse, Response

from api.access import Admin, Identity, State, Viewer, identify, whoami
from api.contract.access import DeviceLogin, DeviceLoginDone, DeviceLoginPoll, Session, Whoami
from api.contract.base import Page
from api.contract.problems import LoginOffError, ProblemError, UnauthorizedError
from api.http import After, Limit
from api.ims import Ims
from api.logins import pages, service
from api.logins.cookies import check_same_origin, cookie, drop_cookie, set_cookie
from api.settings import Oidc

_ATTEMPT_SECONDS = 600
_PROVIDER_SECONDS = 20.0
"""Somebody's browser waits meanwhile."""
_OWNER = "login attempt"


def at_the_door(request: Request, ims: State) -> Oidc:
    """The login's settings, for callers who aren't signed in yet. Raises RateLimitedError or LoginOffError."""
    ims.limiter.enter("login", request)
    if ims.settings.oidc is None:
        raise LoginOffError("this IMS has no login for people", remedy="Use a token; or see docs/how-to/log-in-with-oidc.md.")
    return ims.settings.oidc


Door = Annotated[Oidc, Depends(at_the_door)]

browser = APIRouter(prefix="/login", tags=["login"], include_in_schema=False)
programs = APIRouter(prefix="/v1", tags=["login"])


def _provider(ims: Ims, oidc: Oidc, http: httpx.AsyncClient) -> Any:
    from api.logins.oidc import Provider  # loads Authlib, which an IMS without logins doesn't need

    return Provider(oidc, f"{ims.settings.public_url}/login/callback", http)


def _local(page: str) -> str:
    """A page of ours, or the first one: a login never sends the browser elsewhere."""
    return page if re.fullmatch(r"/login/[A-Za-z0-9/?=_-]*", page) else "/login/done"


@browser.get("")
async def begin(ims: State, oidc: Door, next: str = "/login/done") -> Response:
    """Send the browser to the OpenID provider."""
    from api.logins.oidc import Attempt

    attempt = Attempt.begin(_local(next))
    try:
        async with httpx.AsyncClient(timeout=_PROVIDER_SECONDS) as http:
            url = await _provider(ims, oidc, http).authorization_url(attempt)
    except ProblemError as error:
        return pages.message(error.title, f"{error.detail}. {error.remedy}", error.status)
    answer = RedirectResponse(url, 303, headers={"Cache-Control": "no-store"})
    sealed = ims.vault.seal({**asdict(attempt), "until": ims.db.now().timestamp() + _ATTEMPT_SECONDS}, owner=_OWNER)
    set_cookie(answer, ims.settings, "login", base64.urlsafe_b64encode(sealed).decode(), _ATTEMPT_SECONDS)
    return answer


@browser.get("/callback")
async def callback(request: Request, ims: State, oidc: Door, state: str = "", code: str = "") -> Response:
    """The OpenID provider has sent the browser back."""
    from api.logins.oidc import Attempt

    now = ims.db.now()
    try:
        sealed = ims.vault.open_sealed(base64.urlsafe_b64decode(cookie(request, ims.settings, "login") or ""), owner=_OWNER)
    except (InvalidTag, ValueError):
        sealed = {}
    if (
        not hmac.compare_digest(str(sealed.get("state", "")).encode(), state.encode())
        or sealed.get("until", 0) < now.timestamp()
    ):
        return pages.message("Not logged in", "This login wasn't begun in this browser, or too long ago. Begin again.", 400)
    attempt = Attempt(sealed["state"], sealed["nonce"], sealed["verifier"], sealed["next"])
    if not code:
        return pages.message("Not logged in", "The login provider didn't let you in.", 403)
    try:
        async with httpx.AsyncClient(timeout=_PROVIDER_SECONDS) as http:
            person = await _provider(ims, oidc, http).person(code, attempt, now)
        _, secret = await ims.db.write(f"person:{person.name}", service.open_session, person, seconds=oidc.session_seconds)
    except ProblemError as error:
        return pages.message("Not logged in", f"{error.detail}. {error.remedy}", error.status)
    answer = RedirectResponse(attempt.next, 303, headers={"Cache-Control": "no-store"})
    drop_cookie(answer, ims.settings, "login")
    set_cookie(answer, ims.settings, "session", secret, oidc.session_seconds)
    return answer


async def _person(request: Request, ims: Ims) -> Identity | None:
    secret = cookie(request, ims.settings, "session")
    try:
        return (await ims.db.read(identify, secret))[0] if secret else None
    except UnauthorizedError:
        return None


@browser.get("/done")
async def done(request: Request, ims: State, _: Door) -> Response:
    """Says who is logged in."""
    person = await _person(request, ims)
    if person is None:
        return RedirectResponse("/login", 303)
    return pages.message("Logged in", f"You are {person.name.removeprefix('person:')}, with the role {person.role}.")


@browser.get("/device")
async def ask(request: Request, ims: State, _: Door, user_code: str = "") -> Response:
    """The page on which a person confirms a program (RFC 8628, section 3.3)."""
    person = await _person(request, ims)
    if person is None:
        page = f"/login/device?user_code={re.sub(r'[^A-Za-z-]', '', user_code)[:20]}"
        return RedirectResponse(f"/login?next={quote(page, safe='')}", 303)
    where = f"in {person.scope.reach} {person.scope_name}" if person.scope_name else "in the whole IMS"
    return pages.confirm(user_code[:20], person.name.removeprefix("person:"), f"with the role {person.role}, {where}")


@browser.post("/device")
async def answer(request: Request, ims: State, _: Door) -> Response:
    """The person's answer."""
    check_same_origin(request, ims.settings)
    person = await _person(request, ims)
    if person is None:
        return pages.message("Not logged in", "Your login has ended. Open the address that the program shows again.", 401)
    body = b""
    async for part in request.stream():
        body += part
        if len(body) > 4096:
            return pages.message("Not understood", "The form is too long.", 400)
    form = parse_qs(body.decode(errors="replace"))
    confirmed = form.get("answer") == ["confirm"]
    known = await ims.db.write(
        person.name, service.answer_device, form.get("user_code", [""])[0], person.id, confirmed=confirmed
    )
    if not known:
        return pages.message("No such code", "No program waits with this code. Look at it again, or begin again.", 404)
    text = "The program is logged in" if confirmed else "The program was refused"
    return pages.message("Done", f"{text}. You can close this page.")


@programs.post("/login/device", status_code=201)
async def begin_device(ims: State, _: Door) -> DeviceLogin:
    """Begin a login without a browser (RFC 8628). Needs no token: it gives nothing until a person confirms."""
    return await ims.db.write("login", service.begin_device, ims.settings.public_url)


@programs.post("/login/device/token")
async def poll_device(body: DeviceLoginPoll, ims: State, _: Door) -> DeviceLoginDone:
    """Ask for the outcome. The device code is the proof; codes of problems are those of RFC 8628, section 3.5."""
    row, secret = await ims.db.write("login", service.poll_device, body.device_code)
    identity, _fresh = await ims.db.read(identify, secret)
    seconds = int((row.expires_at - ims.db.now()).total_seconds())
    return DeviceLoginDone(access_token=secret, expires_in=seconds, whoami=whoami(identity))


@programs.get("/whoami")
async def get_whoami(caller: Viewer) -> Whoami:
    """Who the caller is, and what it may do."""
    return whoami(caller.identity)


@programs.delete("/session", status_code=204)
async def log_out(caller: Viewer) -> None:
    """End the login that the request came with. A service token isn't one: nothing happens to it."""
    await caller.write(service.close_session, caller.identity.id)


@programs.get("/sessions")
async def list_sessions(ims: State, _: Admin, limit: Limit = 100, after: After = None) -> Page[Session]:
    """Page through the logins that haven't ended."""
    return await ims.db.read(service.list_sessions, limit=limit, after=after)


@programs.delete("/sessions/{session}", status_code=204)
async def revoke_session(session: str, ims: State, actor: Admin) -> None:
    """End a login at once, by id; or all of a person, by name."""
    await ims.db.write(actor, service.revoke, session)
