"""Tell of alerts: which channels hear of what, and a job for each notice. The sending is the job's (`sending`)."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID, uuid5

from bursar.alerts.models import SEVERITIES, Look, Severity, What
from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.jobs import INSTALLATION
from bursar.kernel.settings import Settings

SEND: Final = "alerts.send_notice"
SETTINGS_CHANNEL: Final = "BURSAR_ALERT_URLS"
"""The name of the channel that stands in the installation's settings. It hears of the installation's own alerts, critical and high."""

_ROUTES = """
select r.tenant_id, r.rule, r.severity, r.channel_id, c.name as channel, r.second_id
from alert_route r
join alert_channel c on c.tenant_id = r.tenant_id and c.id = r.channel_id
where r.tenant_id = any($1::uuid[]) and c.is_on
order by r.tenant_id, r.id
"""

_NOTE = """
insert into alert_notice (tenant_id, id, alert_id, look, what, channel_id, channel, second_id, created_at)
select u.tenant_id, u.id, u.alert_id, $8, u.what, u.channel_id, u.channel, u.second_id, $9
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::uuid[], $6::text[], $7::uuid[])
  as u (tenant_id, id, alert_id, what, channel_id, channel, second_id)
on conflict do nothing
returning tenant_id, id
"""

_ENQUEUE = """
insert into job (tenant_id, id, kind, key, idempotency_key, request, state, run_at)
select u.tenant_id, u.id, $5, u.key, u.idempotency_key, ''::bytea, 'ready', clock_timestamp()
from unnest($1::uuid[], $2::uuid[], $3::text[], $4::uuid[]) as u (tenant_id, id, key, idempotency_key)
on conflict (tenant_id, kind, key) where state <> 'dead' do nothing
"""


@dataclass(frozen=True, slots=True)
class Told:
    """An alert of which something is to be told."""

    tenant_id: UUID
    alert_id: UUID
    rule: str
    subject: str
    severity: Severity
    what: What
    detail: str


@dataclass(frozen=True, slots=True)
class Route:
    """Who is told of what. rule: None: every one. severity: and what is worse. channel_id: None: the settings' addresses."""

    rule: str | None
    severity: Severity
    channel_id: UUID | None
    channel: str
    second_id: UUID | None = None


OF_SETTINGS: Final = Route(None, "high", None, SETTINGS_CHANNEL)


def routes_for(told: Told, routes: Iterable[Route]) -> list[Route]:
    """Return by which routes an alert is told: each channel once, by the first route that leads there. Pure."""
    chosen: dict[UUID | None, Route] = {}
    for route in routes:
        is_worse = SEVERITIES.index(told.severity) <= SEVERITIES.index(route.severity)
        if is_worse and route.rule in (None, told.rule):
            chosen.setdefault(route.channel_id, route)
    return list(chosen.values())


async def tell(tx: Transaction, settings: Settings, told: Sequence[Told], this: Look) -> int:
    """Write down a notice for each alert and channel, with its job; return how many. tx: the engine's."""
    if not told:
        return 0
    routes = await _routes(tx, settings, {one.tenant_id for one in told})
    pairs = [(one, route) for one in told for route in routes_for(one, routes[one.tenant_id])]
    if not pairs:
        return 0
    rows = await tx.fetch(
        _NOTE,
        [one.tenant_id for one, _ in pairs],
        [ids.new() for _ in pairs],
        [one.alert_id for one, _ in pairs],
        [one.what for one, _ in pairs],
        [route.channel_id for _, route in pairs],
        [route.channel for _, route in pairs],
        [route.second_id for _, route in pairs],
        this.number,
        this.now,
    )
    await enqueue_notices(tx, [(row["tenant_id"], row["id"]) for row in rows])
    return len(rows)


async def enqueue_notices(tx: Transaction, notices: Sequence[tuple[UUID, UUID]]) -> None:
    """Let notices be sent, each by a job of its own, in the transaction that wrote them down."""
    made = [ids.new() for _ in notices]
    keys = [ids.show(ids.ALERT_NOTICE, notice_id) for _, notice_id in notices]
    await tx.execute(
        _ENQUEUE,
        [tenant_id for tenant_id, _ in notices],
        made,
        keys,
        [uuid5(job_id, key) for job_id, key in zip(made, keys, strict=True)],
        SEND,
    )


async def _routes(tx: Transaction, settings: Settings, tenants: set[UUID]) -> Mapping[UUID, list[Route]]:
    found: dict[UUID, list[Route]] = defaultdict(list)
    for row in await tx.fetch(_ROUTES, list(tenants)):
        given: dict[str, Any] = dict(row)
        found[given.pop("tenant_id")].append(Route(**given))
    if settings.alert_urls:
        found[INSTALLATION].append(OF_SETTINGS)
    return found
