"""Traces with OpenTelemetry. Imported only when `otel_endpoint` is set: the packages are in the extra `otel`."""

import contextlib
from collections.abc import Callable
from importlib.metadata import version

from fastapi import FastAPI
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.instrumentation.fastapi import FastAPIInstrumentor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

from api.db.database import Database


def trace(app: FastAPI, db: Database, endpoint: str) -> Callable[[], None]:
    """Send a span for every request, and in it one for each write, to an OTLP/HTTP collector. Call what is returned at the end.

    The spans have routes, statuses and times; no headers, bodies or values.
    """
    resource = Resource.create({"service.name": "exclave", "service.version": version("exclave")})
    provider = TracerProvider(resource=resource)
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces")))
    tracer = provider.get_tracer("exclave")
    FastAPIInstrumentor.instrument_app(
        app, tracer_provider=provider, excluded_urls="healthz,readyz,metrics", exclude_spans=["receive", "send"]
    )

    def around(change: str) -> contextlib.AbstractContextManager[object]:
        return tracer.start_as_current_span(f"write {change}")

    db.around = around

    def stop() -> None:
        FastAPIInstrumentor.uninstrument_app(app)
        provider.shutdown()

    return stop
