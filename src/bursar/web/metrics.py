"""Figures for Prometheus: what this process answered, how the installation stands. Labels are few, whatever callers send.

A scrape asks the database nothing that a second probe would not share; what is summed over tenants a job took before.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from bursar.alerts import SEVERITIES
from bursar.health import Part, Standing
from bursar.kernel.security import KINDS, Kind
from bursar.kernel.slow import SlowStatements

_METHODS: Final = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"})
_BUCKETS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class _Slow:
    """Statements that took long."""

    def __init__(self, slow: SlowStatements) -> None:
        self._slow = slow

    def collect(self) -> Iterator[CounterMetricFamily]:
        yield CounterMetricFamily(
            "bursar_slow_statements", "Statements of this process that took long.", value=self._slow.total
        )


class _SecurityEvents:
    """Every kind from the first scrape on, so that an alert on the first one can be written."""

    def __init__(self, totals: Mapping[Kind, int]) -> None:
        self._totals = totals

    def collect(self) -> Iterator[CounterMetricFamily]:
        family = CounterMetricFamily(
            "bursar_security_events", "What was tried that should not have been.", labels=["kind"]
        )
        for kind in KINDS:
            family.add_metric([kind], self._totals.get(kind, 0))
        yield family


_VERDICTS: Final = {"healthy": 0, "degraded": 1, "unhealthy": 2}

_BUSINESS: Final[Mapping[str, tuple[str, str, tuple[str, ...]]]] = {
    "tenants": ("bursar_tenants", "Businesses of the installation.", ()),
    "subscriptions": ("bursar_subscriptions", "Subscriptions by status.", ("status",)),
    "mrr_minor": (
        "bursar_mrr_minor",
        "List prices of active and past-due subscriptions, per month, in the currency's smallest unit.",
        ("currency",),
    ),
    "arr_minor": (
        "bursar_arr_minor",
        "The same per year: twelve times bursar_mrr_minor.",
        ("currency",),
    ),
    "subscriptions_month_begun": (
        "bursar_subscriptions_month_begun",
        "Subscriptions that ran, past their trial, when the last 30 days began.",
        (),
    ),
    "subscriptions_month_lost": (
        "bursar_subscriptions_month_lost",
        "Of those, the ones that ended since. Lost by begun is the churn of 30 days.",
        (),
    ),
    "mrr_month_lost_minor": (
        "bursar_mrr_month_lost_minor",
        "List prices, per month, of subscriptions that ran 30 days ago and ended since.",
        ("currency",),
    ),
    "plan_subscriptions": (
        "bursar_plan_subscriptions",
        "Active and past-due subscriptions by what they are billed in and how often.",
        ("currency", "interval"),
    ),
    "plan_mrr_minor": (
        "bursar_plan_mrr_minor",
        "The same in list prices per month, in the currency's smallest unit.",
        ("currency", "interval"),
    ),
    "checkouts_month": (
        "bursar_checkouts_month",
        "Checkouts that were started within 30 days, by what became of them: paid, free, open, lost, refused.",
        ("gateway", "outcome"),
    ),
    "trials_month": (
        "bursar_trials_month",
        "Trials that ended within 30 days, by what became of them: paid, open, lost.",
        ("gateway", "outcome"),
    ),
    "captured_day_minor": (
        "bursar_captured_day_minor",
        "Payments that succeeded within a day, in the currency's smallest unit.",
        ("currency",),
    ),
    "payments_day": ("bursar_payments_day", "Payments made within a day.", ("gateway", "status")),
    "payments_month": ("bursar_payments_month", "Payments of 30 days that succeeded.", ("gateway",)),
    "disputes_month": ("bursar_disputes_month", "Disputes opened within 30 days.", ("gateway",)),
    "calls_day": ("bursar_gateway_calls_day", "What was asked of gateways within a day.", ("gateway", "state")),
    "events_hour": ("bursar_gateway_events_hour", "Events received within an hour.", ("gateway", "outcome")),
}
"""What the job takes: the figure's name for Prometheus, what it says, its labels."""


class _Business:
    """The figures of the business as they were last taken, which is told beside them."""

    def __init__(self) -> None:
        self.standing: Standing | None = None

    def collect(self) -> Iterator[GaugeMetricFamily]:
        families = {
            name: GaugeMetricFamily(exported, said, labels=labels)
            for name, (exported, said, labels) in _BUSINESS.items()
        }
        if self.standing:
            for (name, label, other), value in self.standing.seldom.figures.items():
                if name in families:
                    families[name].add_metric([label, other][: len(_BUSINESS[name][2])], value)
        yield from families.values()


class _Parts:
    """How every part stands, and the figures that it is judged by."""

    def __init__(self) -> None:
        self.parts: Sequence[Part] = ()

    def collect(self) -> Iterator[GaugeMetricFamily]:
        status = GaugeMetricFamily(
            "bursar_health", "How a part is: 0 healthy, 1 degraded, 2 unhealthy.", labels=["part"]
        )
        figures = GaugeMetricFamily("bursar_health_figure", "What a part is judged by.", labels=["part", "figure"])
        for part in self.parts:
            status.add_metric([part.name], _VERDICTS[part.status])
            for name, value in part.figures.items():
                figures.add_metric([part.name, name], value)
        yield status
        yield figures


class Metrics:
    """The figures of one process. security: how often it has seen what should not be tried, by kind. slow: its slow statements."""

    def __init__(self, security: Mapping[Kind, int], slow: SlowStatements) -> None:
        self._registry = CollectorRegistry()
        self._registry.register(_SecurityEvents(security))
        self._registry.register(_Slow(slow))
        self._business, self._parts = _Business(), _Parts()
        self._registry.register(self._business)
        self._registry.register(self._parts)
        ProcessCollector(registry=self._registry)
        self._pool = Gauge(
            "bursar_pool_connections", "Database connections of this process.", ["state"], registry=self._registry
        )
        self._figures_age = Gauge(
            "bursar_figures_age_seconds", "How old the figures of the business are.", registry=self._registry
        )
        self._counted: dict[tuple[str, str, str], tuple[Counter, Histogram]] = {}
        self._requests = Counter(
            "bursar_http_requests", "Requests answered.", ["method", "route", "status"], registry=self._registry
        )
        self._seconds = Histogram(
            "bursar_http_request_seconds", "Time to answer.", ["route"], buckets=_BUCKETS, registry=self._registry
        )
        self._events = Gauge(
            "bursar_gateway_events", "Unfinished events by status.", ["status"], registry=self._registry
        )
        self._age = Gauge(
            "bursar_queue_oldest_seconds", "How long the oldest due event has waited.", registry=self._registry
        )
        self._jobs = Gauge("bursar_jobs", "Jobs that are not done.", ["kind", "state"], registry=self._registry)
        self._jobs_age = Gauge(
            "bursar_jobs_oldest_seconds", "How long the job that is due longest has waited.", registry=self._registry
        )
        self._unsealed = Gauge(
            "bursar_audit_unsealed_seconds",
            "How long the oldest audit record has waited for its seal.",
            registry=self._registry,
        )
        self._stored = Gauge(
            "bursar_stored_rows", "Rows of a table, as PostgreSQL estimates them.", ["table"], registry=self._registry
        )
        self._not_reconciled = Gauge(
            "bursar_reconciliation_overdue_accounts",
            "Gateway accounts that were not compared with their gateways for 26 hours.",
            registry=self._registry,
        )
        self._backups = Gauge(
            "bursar_backup_age_seconds",
            "How old what a disaster would fall back on is: the log in the store, the newest backup, the last proof.",
            ["what"],
            registry=self._registry,
        )
        self._circuits = Gauge(
            "bursar_circuits",
            "Circuits that are not closed, by gateway.",
            ["gateway", "state"],
            registry=self._registry,
        )
        self._alerts = Gauge(
            "bursar_alerts_open", "Alerts that are not resolved, by severity.", ["severity"], registry=self._registry
        )
        self._up = Gauge("bursar_database_up", "Whether the database answers.", registry=self._registry)

    def observe(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count one answer."""
        key = (method if method in _METHODS else "other", route, str(status))
        counted = self._counted.get(key)
        if counted is None:
            counted = self._counted[key] = (self._requests.labels(*key), self._seconds.labels(route))
        counted[0].inc()
        counted[1].observe(seconds)

    def text(self, standing: Standing | None, parts: Sequence[Part], connections: Mapping[str, int]) -> bytes:
        """Return everything in Prometheus' text format. standing: None while the database does not answer."""
        self._business.standing, self._parts.parts = standing, parts
        for state, count in connections.items():
            self._pool.labels(state).set(count)
        self._up.set(standing is not None)
        if standing:
            self._tell(standing)
        return generate_latest(self._registry)

    def _tell(self, standing: Standing) -> None:
        counts = {"received": standing.waiting, "failed": standing.retrying, "dead": standing.dead}
        for status, count in counts.items():
            self._events.labels(status).set(count)
        self._age.set(standing.oldest_s)
        self._unsealed.set(standing.seldom.unsealed_s)
        self._jobs.clear()
        for (kind, state), count in standing.jobs.items():
            self._jobs.labels(kind, state).set(count)
        self._jobs_age.set(standing.jobs_oldest_s)
        self._not_reconciled.set(standing.seldom.not_reconciled)
        for severity in SEVERITIES:
            self._alerts.labels(severity).set(standing.seldom.alerts.get(severity, 0))
        self._backups.clear()
        for name, seconds in standing.backups.figures.items():
            self._backups.labels(name.removesuffix("_age_s")).set(seconds)
        for gateway, outside in standing.seldom.gateways.items():
            for state in ("open", "half_open"):
                self._circuits.labels(gateway, state).set(outside.states.get(state, 0))
        for table, rows in standing.stored.items():
            self._stored.labels(table).set(rows)
        if standing.seldom.figures_age_s is not None:
            self._figures_age.set(standing.seldom.figures_age_s)
