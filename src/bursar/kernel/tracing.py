"""Traces (OpenTelemetry) and error reports (Sentry's protocol): off unless an address is configured, and free while off.

Spans: a request, a delivery, a statement, a batch of the worker, a call to the outside. A statement's text is shown as
prepared, with its parameters' numbers and never their values. Every text passes through `redaction` before it leaves.
The caller's trace is taken up from `traceparent` (W3C Trace Context).
"""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

from bursar import __version__
from bursar.kernel.redaction import redacted, text_redacted
from bursar.kernel.settings import Settings

Attributes = Mapping[str, str | int | float | bool | None]

_STATEMENT_LENGTH_MAX: Final = 2_000
_FLUSH_MS: Final = 3_000


class _State:
    """What this process sends where: set once at its start."""

    provider: Any = None
    tracer: Any = None
    sentry: Any = None


def configure_tracing(settings: Settings, *, process: str) -> None:
    """Begin to send spans and error reports where the settings say so. process: `api` or `worker`."""
    if settings.otlp_endpoint and _State.tracer is None:
        _State.provider = _provider(settings, process)
        _State.tracer = _State.provider.get_tracer("bursar", __version__)
    if settings.sentry_dsn and _State.sentry is None:
        _State.sentry = _reporter(settings, process)


def end_tracing() -> None:
    """Send what waits, for at most three seconds, and stop."""
    if _State.provider is not None:
        _State.provider.force_flush(_FLUSH_MS)
        _State.provider.shutdown()
    if _State.sentry is not None:
        _State.sentry.flush(_FLUSH_MS / 1000)
    _State.provider = _State.tracer = _State.sentry = None


@contextmanager
def span(name: str, attributes: Attributes, *, parent: Mapping[str, str] | None = None) -> Iterator[Any]:
    """Time a piece of work. Yields the span; None while off.

    attributes: by their names in OpenTelemetry's semantic conventions. parent: headers of the request that began it.
    """
    if _State.tracer is None:
        yield None
        return
    from opentelemetry.propagate import extract  # noqa: PLC0415 - a process that sends no spans need not load it
    from opentelemetry.trace import SpanKind, Status, StatusCode  # noqa: PLC0415

    kind = SpanKind.SERVER if parent is not None else SpanKind.INTERNAL
    context = extract(dict(parent)) if parent else None
    with _State.tracer.start_as_current_span(
        name,
        context=context,
        kind=kind,
        attributes=_attributes(attributes),
        record_exception=False,
        set_status_on_exception=False,
    ) as made:
        try:
            yield made
        except BaseException as error:
            made.set_status(Status(StatusCode.ERROR, type(error).__name__))
            raise


def traceparent() -> str | None:
    """Return what names the span under way to others (W3C Trace Context), for work that is done later; None while off."""
    if _State.tracer is None:
        return None
    from opentelemetry.propagate import inject  # noqa: PLC0415

    carrier: dict[str, str] = {}
    inject(carrier)
    return carrier.get("traceparent")


def describe(made: Any, attributes: Attributes) -> None:
    """Add to a span what became known meanwhile."""
    if made is not None:
        made.set_attributes(_attributes(attributes))


def watch(connection: Any) -> None:
    """Make a span of each statement of a database connection."""
    if _State.tracer is not None:
        connection.add_query_logger(_statement_span)


def report(error: BaseException, **context: Any) -> None:
    """Send an error that nobody foresaw to the error tracker, where there is one. context: plain values."""
    if _State.sentry is not None:
        import sentry_sdk  # noqa: PLC0415

        with sentry_sdk.new_scope() as scope:
            scope.set_context("bursar", redacted(context))
            sentry_sdk.capture_exception(error)


def _attributes(given: Attributes) -> dict[str, Any]:
    return {name: redacted(value) for name, value in given.items() if value is not None}


def _statement_span(record: Any) -> None:
    if _State.tracer is None:  # the driver tells of a statement a moment later
        return
    end = time.time_ns()
    verb = record.query.lstrip().partition(" ")[0].lower()[:20] or "statement"
    begun = _State.tracer.start_span(
        f"postgresql {verb}",
        start_time=end - int(record.elapsed * 1e9),
        attributes={
            "db.system.name": "postgresql",
            "db.query.text": text_redacted(record.query[:_STATEMENT_LENGTH_MAX]),
            **({"error.type": type(record.exception).__name__} if record.exception else {}),
        },
    )
    begun.end(end)


def _provider(settings: Settings, process: str) -> Any:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter  # noqa: PLC0415
    from opentelemetry.sdk.resources import Resource  # noqa: PLC0415
    from opentelemetry.sdk.trace import TracerProvider  # noqa: PLC0415
    from opentelemetry.sdk.trace.export import BatchSpanProcessor  # noqa: PLC0415

    named = Resource.create({"service.name": f"bursar-{process}", "service.version": __version__})
    provider = TracerProvider(resource=named, shutdown_on_exit=False)
    exporter = OTLPSpanExporter(endpoint=settings.otlp_endpoint.rstrip("/") + "/v1/traces", timeout=5)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider


def _reporter(settings: Settings, process: str) -> Any:
    import sentry_sdk  # noqa: PLC0415

    sentry_sdk.init(
        dsn=settings.sentry_dsn,
        release=__version__,
        server_name="",
        include_local_variables=False,
        include_source_context=False,
        default_integrations=False,
        auto_enabling_integrations=False,
        max_breadcrumbs=0,
        before_send=_scrubbed,
    )
    sentry_sdk.set_tag("process", process)
    return sentry_sdk


def _scrubbed(event: Any, _hint: Any) -> Any:
    scrubbed = redacted(event)
    # Its own fields, which only look like a secret's by name or form.
    scrubbed |= {name: event[name] for name in ("event_id", "timestamp", "sdk") if name in event}
    return scrubbed
