"""A short way to the three calls that agents make all the time: lease, heartbeat, finish.

The endpoints are those of `routes`; only Starlette's and FastAPI's way there (seven layers, two passes over the routes,
dependencies, a second validation of the answer) is left out, which costs more than the calls themselves. Whatever isn't a
well-formed call of an agent that is known goes that way, with the body as it came, so that refusals are the same.
"""

import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from fastapi import Response
from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.agents import routes
from api.agents.service import AgentCaller
from api.contract.agents import Finish, Heartbeat, LeaseRequest
from api.contract.problems import ProblemError
from api.ims import Ims
from api.monitoring.log import note
from api.tokens.secrets import hash_secret

_PREFIX = "/v1/agent/"
_JOB_CALL = re.compile(r"/v1/agent/jobs/([A-Za-z0-9_]+)/(heartbeat|finish)")

Answer = tuple[int, list[tuple[bytes, bytes]], bytes]
"""Status, headers, body."""

Call = Callable[[Request, Ims, AgentCaller, Any], Awaitable[Answer]]


@dataclass(frozen=True)
class _Route:
    """What a label of the metrics is made of (see `monitoring.middleware`)."""

    path: str


class FastPath:
    """ASGI middleware around FastAPI, inside `monitoring.middleware`. `handlers` answer exceptions, as FastAPI's do."""

    def __init__(self, app: ASGIApp, ims: Ims, handlers: Mapping[Any, Callable[[Request, Any], Any]]) -> None:
        self._app = app
        self._ims = ims
        self._handlers = handlers

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        found = _find(scope)
        agent = await self._agent(scope) if found else None
        if found is None or agent is None:
            await self._app(scope, receive, send)
            return
        model, call, route, job = found
        raw, more = b"", True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            raw, more = raw + message.get("body", b""), message.get("more_body", False)
        try:
            body = model.model_validate_json(raw)
        except ValidationError:
            await self._app(scope, _replay(raw, receive), send)
            return
        scope["route"], scope["path_params"] = route, {"job": job}
        note(agent_id=agent.id)
        request = Request(scope, receive)
        try:
            status, headers, content = await call(request, self._ims, agent, body)
        except Exception as error:
            if isinstance(error, ProblemError) and error.status == 401:
                self._ims.sessions.forget(agent)
            handler = next(self._handlers[of] for of in type(error).__mro__ if of in self._handlers)
            await (await handler(request, error))(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": content})

    async def _agent(self, scope: Scope) -> AgentCaller | None:
        headers = dict(scope["headers"])
        scheme, _, secret = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"bearer" or not headers.get(b"content-type", b"").startswith(b"application/json"):
            return None
        length = headers.get(b"content-length", b"")
        if not length.isdigit() or int(length) > self._ims.settings.body_limit:
            return None
        return await self._ims.sessions.look_up(self._ims.db, hash_secret(secret.decode("latin-1")))


def _find(scope: Scope) -> tuple[type[BaseModel], Call, _Route, str] | None:
    if scope["type"] != "http" or scope["method"] != "POST" or not scope["path"].startswith(_PREFIX):
        return None
    if scope["path"] == "/v1/agent/lease":
        return LeaseRequest, _lease, _Route("/v1/agent/lease"), ""
    match = _JOB_CALL.fullmatch(scope["path"])
    if match is None:
        return None
    job, what = match.groups()
    model, call = (Heartbeat, _heartbeat) if what == "heartbeat" else (Finish, _finish)
    return model, call, _Route(f"/v1/agent/jobs/{{job}}/{what}"), job


async def _lease(request: Request, ims: Ims, agent: AgentCaller, body: LeaseRequest) -> Answer:
    hints = Response()
    lease = await routes.lease(body, request, ims, agent, hints)
    if lease is None:
        return 204, [(b"retry-after", hints.headers["Retry-After"].encode())], b""
    return _json(lease)


async def _heartbeat(request: Request, ims: Ims, agent: AgentCaller, body: Heartbeat) -> Answer:
    return _json(await routes.heartbeat(request.path_params["job"], body, ims, agent))


async def _finish(request: Request, ims: Ims, agent: AgentCaller, body: Finish) -> Answer:
    await routes.finish(request.path_params["job"], body, ims, agent)
    return 204, [], b""


def _json(model: BaseModel) -> Answer:
    content = model.__pydantic_serializer__.to_json(model)
    return 200, [(b"content-length", b"%d" % len(content)), (b"content-type", b"application/json")], content


def _replay(body: bytes, receive: Receive) -> Receive:
    sent = False

    async def again() -> Message:
        nonlocal sent
        if sent:
            return await receive()
        sent = True
        return {"type": "http.request", "body": body, "more_body": False}

    return again
