"""Around every request: its id, its facts for the log, its metrics, one line in the log. Plain ASGI: a few µs a request."""

import logging
import random
import re
import secrets
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.monitoring.log import RequestFacts, current
from api.monitoring.metrics import Metrics

HEADER = "x-request-id"
_NAME = HEADER.encode()
_ACCEPTED = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_QUIET = ("/v1/agent/", "/healthz", "/readyz", "/metrics")
"""Asked for all the time by machines: logged at `debug`."""

_log = logging.getLogger("api.request")
_words = random.Random(secrets.randbits(128))  # noqa: S311 - a request's id is no secret, and asking the system for each costs


class Monitoring:
    """ASGI middleware. A caller's `X-Request-Id` is kept if it is a plain word, else one is made; every answer has it."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        given = next((value for name, value in scope["headers"] if name == _NAME), b"")
        word = given if _ACCEPTED.fullmatch(given) else b"%016x" % _words.getrandbits(64)
        facts = RequestFacts(word.decode())
        scope["exclave.request"] = facts
        status = 500  # what uvicorn answers when nothing was sent from in here

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message = {**message, "headers": [*message.get("headers", ()), (_NAME, word)]}
            await send(message)

        token = current.set(facts)
        begun = time.perf_counter()
        try:
            await self._app(scope, receive, send_with_id)
        finally:
            seconds = time.perf_counter() - begun
            facts.job_id = scope.get("path_params", {}).get("job")
            self._metrics.answered(_template(scope), scope["method"], status, seconds)
            level = logging.DEBUG if scope["path"].startswith(_QUIET) else logging.INFO
            if _log.isEnabledFor(level):
                # The path without its query: whatever a caller puts there is nobody's business.
                line = {"method": scope["method"], "path": scope["path"], "status": status, "ms": round(seconds * 1000, 1)}
                _log.log(level, "%s %s %s", scope["method"], scope["path"], status, extra={"facts": line})
            current.reset(token)


def _template(scope: Scope) -> str:
    """The route's path with its parameters' names, or a word for what has no route: a label must have few values."""
    if scope["path"].startswith("/v2/") or scope["path"] in ("/v2", "/token"):
        return "/token" if scope["path"] == "/token" else "/v2"
    path: str | None = getattr(scope.get("route"), "path", None)
    return path or "none"
