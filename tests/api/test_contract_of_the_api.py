"""Thousands of odd requests to every operation: each answer is one that the document has, and none is a mistake of the server.

`--cases 10000` asks for at least so many; the default is what CI has time for. The IMS has a shop with all sorts of things in
it, and its doorbell is closed, so that long polls and streams answer at once.
"""

import asyncio
import gzip
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import uvicorn
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from ims_driver import running_ims
from opened import Opened
from schemathesis.checks import not_a_server_error
from schemathesis.config import GenerationConfig, ProjectConfig, ProjectsConfig, SchemathesisConfig
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from shop import Shop

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
ODD = ["\x00", "a\x00b", " ", "\u2028", "é", "😀", "x" * 5000, "0", "-1", str(2**63), "null", "app_", "'"]


@schemathesis.serializer("application/gzip")
def as_it_is(_: Any, value: Any) -> bytes:
    return gzip.compress(value.encode(errors="surrogatepass")) if isinstance(value, str) else repr(value).encode()


@dataclass(frozen=True)
class World:
    """A server with data in it: where it is, who may call, and what there is to name, by the parameter that names it."""

    url: str
    document: dict[str, Any]
    admin: str
    agents: list[str]
    names: dict[str, list[str]] = field(default_factory=dict)


async def furnished(shop: Shop) -> tuple[list[str], dict[str, list[str]]]:
    """All sorts of things: the tokens of two agents, and the names of what there is."""
    ims = shop.ims
    customer = await shop.install("acme", sensitive_inputs={"password": "hush"}, labels={"region": "eu"})
    await shop.deploy()
    waits = await shop.install("umbrella", approval="vendor")
    await shop.begin("umbrella")
    for _ in range(3):
        if lease := await waits.lease():
            await waits.log(lease, "some text\n")
            await waits.succeed(
                lease,
                {"kind": "plan", "summary": {"add": 1}, "plan_digest": "sha256:" + "a" * 64}
                if lease["payload"]["kind"] == "plan"
                else {"kind": "sync", "copied_bytes": 1, "skipped_bytes": 0},
            )
    await ims.ok("POST", "/v1/secrets", {"name": "key", "value": "hush"})
    await ims.ok("POST", "/v1/webhooks", {"name": "hook", "url": "http://127.0.0.1:9/", "enabled": False})
    await ims.ok("POST", "/v1/tokens", {"name": "spare"})
    names: dict[str, list[str]] = {"app": ["shop"], "component": ["network", "service"], "install": ["acme", "umbrella"]}
    for kind in ("build", "release", "deploy", "agent", "job", "secret", "webhook"):
        names[kind] = [one["id"] for one in (await ims.ok("GET", f"/v1/{kind}s"))["items"]]
    names["token"] = [one["id"] for one in (await ims.ok("GET", "/v1/tokens"))["items"] if one["name"] == "spare"]
    for deploy in names["deploy"]:
        names.setdefault("step", []).extend(step["id"] for step in (await ims.ok("GET", f"/v1/deploys/{deploy}"))["steps"])
    return [customer.token, shop.builder.token], names


@contextmanager
def served(data: Path, opened: tuple[Opened, Shop]) -> Iterator[World]:
    """The shop's IMS on a loopback port, on a thread of its own."""
    ready, stop, found = threading.Event(), threading.Event(), list[World]()

    async def run(url: str | None) -> None:
        async with running_ims(data, token=opened[1].ims.token, database_url=url) as ims:
            shop = Shop(ims, replace(opened[1].builder, ims=ims), opened[1].release)
            agents, names = await furnished(shop)
            ims.doorbell.close()
            server = uvicorn.Server(uvicorn.Config(ims.app, port=0, lifespan="off", log_level="critical", ws="none"))
            serving = asyncio.create_task(server.serve())
            while not server.started:  # noqa: ASYNC110 - uvicorn has no event to wait for
                await asyncio.sleep(0.01)
            port = server.servers[0].sockets[0].getsockname()[1]
            found.append(World(f"http://127.0.0.1:{port}", ims.app.openapi(), ims.token, agents, names))
            ready.set()
            await asyncio.to_thread(stop.wait)
            server.should_exit = True
            await serving

    with opened[0].copied(data) as url:
        thread = threading.Thread(target=asyncio.run, args=(run(url),))
        thread.start()
        try:
            while not ready.wait(0.1):
                assert thread.is_alive(), "the server could not be started"
            yield found[0]
        finally:
            stop.set()
            thread.join()


def named(world: World, name: str, given: Any) -> st.SearchStrategy[Any]:
    """What stands in a path: something that is there, more often than not."""
    known = world.names.get(name, [])
    return st.one_of(st.sampled_from(known), st.sampled_from(ODD), st.just(given)) if known else st.sampled_from([given, "0"])


def problems_only(response: Any) -> None:
    """Every refusal is a problem, and names its request."""
    assert response.headers["x-request-id"]
    if response.status_code >= 400:
        assert response.headers["content-type"] == ["application/problem+json"], response.headers["content-type"]
        body = response.json()
        assert body["status"] == response.status_code
        assert body["type"].startswith("urn:exclave:problem:")


ORDER = {"GET": 0, "PUT": 1, "POST": 2, "DELETE": 3}


@pytest.mark.timeout(3600)
def test_every_answer_is_in_the_document(
    tmp_path: Path, opened_shop: tuple[Opened, Shop], request: pytest.FixtureRequest
) -> None:
    wanted = request.config.getoption("--cases")
    begun, counts, failures = time.monotonic(), Counter[str](), dict[str, str]()
    with served(tmp_path / "ims", opened_shop) as world:
        config = SchemathesisConfig(
            projects=ProjectsConfig(
                default=ProjectConfig(
                    base_url=world.url, generation=GenerationConfig(modes=list(GenerationMode), deterministic=True)
                )
            )
        )
        schema = schemathesis.openapi.from_dict(world.document, config=config)
        operations = sorted((one.ok() for one in schema.get_all_operations()), key=lambda one: ORDER[one.method.upper()])
        each = -(-wanted * 21 // (len(operations) * 20))  # a few operations have nothing that could vary
        for operation in operations:
            for_agents = "/v1/agent/" in operation.path
            tokens = [*(world.agents * 4), world.admin] if for_agents else [*([world.admin] * 8), world.agents[0]]
            try_out(world, operation, tokens, each, counts, failures)
    seconds = time.monotonic() - begun
    print(f"\n{counts.total()} cases, {len(operations)} operations, {seconds:.0f} s: {dict(sorted(counts.items()))}")
    assert not failures, "\n\n".join(f"{name}\n{text}" for name, text in failures.items())
    assert counts.total() >= 0.9 * wanted  # of some operations there are fewer ways to be wrong


def try_out(world: World, operation: Any, tokens: list[str], each: int, counts: Counter[str], failures: dict[str, str]) -> None:
    """So many cases of one operation, half of them as the document says, half against it."""
    strategies = [operation.as_strategy(generation_mode=mode) for mode in GenerationMode]

    @settings(
        max_examples=each,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(data=st.data())
    def run(data: st.DataObject) -> None:
        case = data.draw(st.one_of(strategies))
        for name, value in list((case.path_parameters or {}).items()):
            case.path_parameters[name] = data.draw(named(world, name, value))
        if case.query and "wait" in case.query:
            case.query["wait"] = 0
        token = data.draw(st.sampled_from(tokens))
        response = case.call(headers={"Authorization": f"Bearer {token}"}, timeout=30)
        counts[str(response.status_code)] += 1
        if operation.label != "GET /readyz":  # its 503 is no mistake, and has a form of its own
            case.validate_response(response, checks=CHECKS)
            problems_only(response)

    try:
        run()
    except BaseExceptionGroup as many:
        failures[operation.label] = "\n".join(str(one) for one in many.exceptions)[:3000]
    except Exception as error:  # one operation's failure doesn't hide those of the others
        failures[operation.label] = str(error)[:3000]
