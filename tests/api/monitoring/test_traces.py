"""Traces: a collector on the loopback gets a span for a request and for its write, and nothing secret."""

import asyncio
import gzip
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any
from unittest.mock import patch

import ims_driver
import pytest
from ims_driver import running_ims
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from api.settings import Settings

pytestmark = pytest.mark.anyio


@contextmanager
def collector(received: list[bytes]) -> Iterator[str]:
    """What the OTLP specification says of a receiver over HTTP: POST /v1/traces with protobuf, 200."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            received.append(gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body)
            assert self.path == "/v1/traces"
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


async def test_a_request_and_its_write_are_traced_without_anything_secret(tmp_path: Path, database_url: str | None) -> None:
    received: list[bytes] = []

    def traced(*arguments: Any, **more: Any) -> Settings:
        return replace(Settings(*arguments, **more), otel_endpoint=endpoint)

    with collector(received) as endpoint, patch.object(ims_driver, "Settings", traced):
        async with running_ims(tmp_path / "ims", database_url=database_url) as ims:
            await ims.ok("POST", "/v1/apps", {"name": "shop", "description": "canary"}, headers={"x-canary": "canary"})
            await ims.ok("GET", "/healthz")
        await asyncio.sleep(0)
    spans = {}
    for body in received:
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            spans.update({span.name: span for scope in resource.scope_spans for span in scope.spans})
    request = spans["POST /v1/apps"]
    write = next(span for name, span in spans.items() if name.startswith("write ") and span.parent_span_id == request.span_id)
    assert write.trace_id == request.trace_id
    assert not [name for name in spans if "healthz" in name]
    assert b"canary" not in b"".join(received)
    assert ims.token.encode() not in b"".join(received)


@pytest.mark.e2e
def test_nothing_of_it_is_imported_unless_it_is_configured() -> None:
    code = "import sys, api.server, api.cli.up; assert 'opentelemetry.sdk' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
