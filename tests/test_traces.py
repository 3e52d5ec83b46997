"""Traces and error reports leave only where somebody asked for them, whole, and without a person's data.

The collectors here are loopback servers that take what the real exporters send.
"""

import gzip
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from bursar.kernel import tracing
from bursar.kernel.db import Database
from bursar.kernel.settings import Settings
from serving import serving, set_receiver
from stage import event

pytestmark = pytest.mark.anyio

TRACE = "0af7651916cd43dd8448eb211c80319c"
CANARY = "ann.canary@example.org"


@dataclass
class Collector:
    """What arrived, by path."""

    port: int
    arrived: list[tuple[str, bytes]] = field(default_factory=list)

    @property
    def spans(self) -> list[dict]:
        requests = [ExportTraceServiceRequest.FromString(body) for path, body in self.arrived if path == "/v1/traces"]
        return [
            {"name": s.name, "trace": s.trace_id.hex(), **{a.key: _value(a.value) for a in s.attributes}}
            for request in requests
            for resource in request.resource_spans
            for scope in resource.scope_spans
            for s in scope.spans
        ]


def _value(value):
    return getattr(value, value.WhichOneof("value"))


@pytest.fixture
def collector() -> Iterator[Collector]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            body = gzip.decompress(body) if self.headers.get("content-encoding") == "gzip" else body
            found.arrived.append((self.path, body))
            self.send_response(200)
            self.send_header("content-length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    found = Collector(server.server_port)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield found
    tracing.end_tracing()
    server.shutdown()
    server.server_close()


async def test_a_delivery_its_statements_and_its_batch_are_traced(db, database_url, collector):
    tracing.configure_tracing(Settings(otlp_endpoint=f"http://127.0.0.1:{collector.port}"), process="api")
    receiver = await set_receiver(db, database_url)
    body = json.dumps(event("customer.created", {"id": "cus_1", "object": "customer", "email": CANARY})).encode()

    async with serving(database_url) as server:
        stored = await server.send(receiver.path, body, headers=receiver.signed(body))
        await server.send(
            f"/v1/customers?email={CANARY}", headers={"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}, method="GET"
        )
    await receiver.stage.apply()
    tracing.end_tracing()

    assert stored.status == 200
    spans = collector.spans
    assert [s["http.response.status_code"] for s in spans if s.get("http.route") == "/v1/webhooks/{account}"] == [200]
    asked = next(s for s in spans if s.get("url.path") == "/v1/customers")
    assert (asked["trace"], asked["http.response.status_code"]) == (TRACE, 401)
    assert [s["bursar.events"] for s in spans if s["name"] == "apply batch"] == [1]
    assert any(s["name"].startswith("postgresql") and "gateway_event" in s["db.query.text"] for s in spans)
    assert CANARY not in b"".join(content for _, content in collector.arrived).decode("latin-1")


async def test_an_unforeseen_error_is_reported_without_values(database_url, collector, monkeypatch):
    dsn = f"http://public@127.0.0.1:{collector.port}/1"
    tracing.configure_tracing(Settings(sentry_dsn=dsn), process="api")

    def broken(*_: object) -> None:
        raise RuntimeError(f"cannot look at {CANARY}")

    monkeypatch.setattr("bursar.web.app.Metrics.text", broken)
    async with serving(database_url) as server:
        answer = await server.send("/metrics", method="GET")
    tracing.end_tracing()

    assert answer.status == 500
    reports = b"".join(content for path, content in collector.arrived if path.startswith("/api/1/"))
    assert reports.count(b"RuntimeError") >= 1
    assert CANARY.encode() not in reports
    assert answer.json["correlation_id"].encode() in reports


async def test_nothing_is_sent_unless_it_is_configured(db, database_url, collector):
    tracing.configure_tracing(Settings(), process="api")

    async with serving(database_url) as server:
        await server.send("/health", method="GET")
    with tracing.span("work", {}) as made:
        tracing.describe(made, {"http.route": "/"})
    tracing.report(RuntimeError("unseen"))

    assert made is None
    assert collector.arrived == []


async def test_a_collector_that_is_away_costs_the_request_nothing(database_url):
    tracing.configure_tracing(Settings(otlp_endpoint="http://127.0.0.1:9"), process="api")
    opened = await Database.open(database_url, size=2)
    await opened.close()

    async with serving(database_url) as server:
        answer = await server.send("/health/live", method="GET")
    tracing.end_tracing()

    assert answer.status == 200
