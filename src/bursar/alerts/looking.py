"""Look at every rule, and keep one alert for each thing that is wrong.

Time here is the watch's own: it goes on by what passed between two looks, at most two minutes, and never back. Cool-downs, silences
and the quiet that resolves an alert are counted in it. So a clock that jumps neither tells everything again nor silences anything;
the look that notices a jump says so and judges nothing else, because every age would be wrong in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import structlog

from bursar.alerts.models import CAUSE_MAX, DETAIL_MAX, SUBJECT_MAX, Bound, Finding, Look, Rule, What
from bursar.alerts.rules import BY_NAME, RULES
from bursar.alerts.sources import BOUND
from bursar.alerts.telling import Told, tell
from bursar.kernel import ids
from bursar.kernel.db import Database, DatabaseUnavailable, Transaction, storable
from bursar.kernel.jobs import INSTALLATION, Resources
from bursar.kernel.settings import Settings

BETWEEN_S: Final = 10
"""Two looks are so far apart at least, however many workers look."""
STEP_MAX_S: Final = 120
"""What the watch goes on by at most from one look to the next."""
JUMP_S: Final = 600
"""A look that comes so much later was preceded by a jump of the clock, or by nobody looking."""
QUIET_S: Final = 300
"""What was not seen for so long is resolved."""
GROWN: Final = 2.0
"""What was acknowledged is told again when it has grown so many times over."""

_log = structlog.get_logger("bursar.alerts")

_BEGIN = f"""
with before as materialized (
  select looked_at, coalesce($1::timestamptz, clock_timestamp()) as now from alert_watch for update
)
update alert_watch w
set looks = w.looks + 1, looked_at = b.now,
  watched_s = w.watched_s + coalesce(least(greatest(extract(epoch from b.now - b.looked_at), 0), {STEP_MAX_S}), 0)::bigint
from before b
where b.looked_at is null or abs(extract(epoch from b.now - b.looked_at)) >= {BETWEEN_S}
returning w.looks as number, w.watched_s, b.now, extract(epoch from b.now - b.looked_at)::float8 as elapsed_s
"""

_NAMED = """unnest($1::uuid[], $2::text[], $3::text[], $4::float8[], $5::bigint[], $6::text[])
  as u (tenant_id, subject, severity, value, failures, detail)"""

# What was resolved a moment ago and is wrong again is the same alert: it flaps, and its next quiet must last longer.
_COME_BACK = f"""
update alert a
set state = 'open', resolved_at = null, resolved_s = null, acknowledged_by = null, acknowledged_at = null,
  came_back = a.came_back + 1, last_seen_at = $8, told_look = case when a.silenced_until_s > $10 then a.told_look else $9 end,
  told_s = $10, told_value = u.value
from {_NAMED}
where a.tenant_id = u.tenant_id and a.rule = $7 and a.subject = u.subject and a.state = 'resolved' and a.resolved_s > $10::bigint - $11::bigint
  and a.resolved_s = (
    select max(l.resolved_s) from alert l where l.tenant_id = u.tenant_id and l.rule = $7 and l.subject = u.subject and l.state = 'resolved')
  and not exists (
    select from alert o where o.tenant_id = u.tenant_id and o.rule = $7 and o.subject = u.subject and o.state <> 'resolved')
returning a.tenant_id, a.id
"""

_IS_TOLD = f"""(a.silenced_until_s is null or a.silenced_until_s <= $10 or a.silenced_until <= $8)
      and (excluded.told_cause <> a.told_cause
        or ($10 - a.told_s >= $11::bigint and (a.state = 'open' or excluded.value >= a.told_value * {GROWN})))"""

# One statement raises, counts, and decides whether it is told (again). Of evaluators that look at once, one counts.
_RAISE = f"""
insert into alert as a (tenant_id, id, rule, subject, severity, value, failures, occurrences, detail, first_seen_at, last_seen_at,
  first_look, seen_look, seen_s, told_look, told_s, told_value, told_cause)
select u.tenant_id, u.id, $7, u.subject, u.severity, u.value, u.failures, greatest(u.failures, 1), u.detail, $8, $8, $9, $9, $10, $9, $10, u.value, u.cause
from unnest($1::uuid[], $2::text[], $3::text[], $4::float8[], $5::bigint[], $6::text[], $12::uuid[], $13::text[])
  as u (tenant_id, subject, severity, value, failures, detail, id, cause)
order by u.tenant_id, u.subject
on conflict (tenant_id, rule, subject) where state <> 'resolved' do update
set severity = excluded.severity, value = excluded.value, failures = excluded.failures, detail = excluded.detail,
  occurrences = a.occurrences + case when excluded.failures > 0 then greatest(excluded.failures - a.failures, 0) else 1 end,
  last_seen_at = excluded.last_seen_at, seen_look = excluded.seen_look, seen_s = excluded.seen_s,
  silenced_by = case when a.silenced_until_s <= $10 or a.silenced_until <= $8 then null else a.silenced_by end,
  silenced_until = case when a.silenced_until_s <= $10 or a.silenced_until <= $8 then null else a.silenced_until end,
  silenced_until_s = case when a.silenced_until_s <= $10 or a.silenced_until <= $8 then null else a.silenced_until_s end,
  told_look = case when {_IS_TOLD} then $9 else a.told_look end,
  told_s = case when {_IS_TOLD} then $10 else a.told_s end,
  told_value = case when {_IS_TOLD} then excluded.value else a.told_value end,
  told_cause = case when {_IS_TOLD} then excluded.told_cause else a.told_cause end
where a.seen_look < excluded.seen_look
returning a.tenant_id, a.id, a.rule, a.subject, a.severity, a.value, a.occurrences, a.detail, a.first_seen_at, a.first_look, a.told_look
"""

_RESOLVE = f"""
update alert a
set state = 'resolved', resolved_at = $2, resolved_s = $4
where a.rule = $1 and a.state <> 'resolved' and a.seen_look < $3
  and a.seen_s <= $4 - case when a.came_back = 0 then {QUIET_S} else greatest({QUIET_S}, $5::bigint) end
returning a.tenant_id, a.id, a.rule, a.subject, a.severity, a.value, a.occurrences, a.detail, a.first_seen_at,
  a.silenced_until_s is not null and a.silenced_until_s > $4 as is_silenced
"""

_HISTORY = """
insert into alert_history (tenant_id, id, alert_id, what, detail, at)
select u.tenant_id, u.id, u.alert_id, u.what, u.detail, $6
from unnest($1::uuid[], $2::uuid[], $3::uuid[], $4::text[], $5::text[]) as u (tenant_id, id, alert_id, what, detail)
"""


@dataclass(frozen=True, slots=True)
class Seen:
    """What one look came to. opened, resolved, told: alerts. failed: rules that could not be looked at."""

    opened: int = 0
    resolved: int = 0
    told: int = 0
    failed: tuple[str, ...] = ()


async def look(db: Database, settings: Settings, *, now: datetime | None = None) -> Seen | None:
    """Look at every rule; return what was seen, or None where somebody looked a moment ago.

    now: for tests; the database's clock otherwise. Raises DatabaseUnavailable.
    """
    async with db.engine() as tx:
        row = await tx.fetchrow(_BEGIN, now)
    if row is None:
        return None
    this = Look(**dict(row))
    if found := jumped(this):
        return await _look_at(db, settings, BY_NAME["clock_jumped"], this, [found])
    seen, failed = Seen(), list[Finding]()
    for rule in RULES:
        if rule.source is None:
            continue
        try:
            seen = _sum(seen, await _look_at(db, settings, rule, this))
        except DatabaseUnavailable:
            raise
        except Exception as error:  # noqa: BLE001 - one rule's fault must not end the watch of all others
            _log.exception("alert_rule_failed", rule=rule.name)
            failed.append(
                Finding(INSTALLATION, rule.name, "high", 1, 0, f"{type(error).__name__}: its statement failed")
            )
    for name, findings in (("rule_failed", failed), ("clock_jumped", [])):
        seen = _sum(seen, await _look_at(db, settings, BY_NAME[name], this, findings))
    return Seen(seen.opened, seen.resolved, seen.told, tuple(finding.subject for finding in failed))


def jumped(this: Look) -> Finding | None:
    """Return what to say where the clock went back, or went on much further than looks are apart. Pure."""
    if this.elapsed_s is None or -BETWEEN_S < this.elapsed_s < JUMP_S:
        return None
    if this.elapsed_s < 0:
        detail = f"the database's clock went back by {-this.elapsed_s:.0f} s; ages and windows are wrong until it is past where it was"
        return Finding(INSTALLATION, "clock", "high", -this.elapsed_s, 0, detail)
    detail = f"nothing was looked at for {this.elapsed_s:.0f} s: no worker ran, or the database's clock went forward"
    return Finding(INSTALLATION, "watch", "medium", this.elapsed_s, 0, detail)


async def raise_all(
    tx: Transaction, settings: Settings, *, rule: Rule, findings: Sequence[Finding], this: Look
) -> list[Told]:
    """Raise or count what a rule found; return what is to be told. tx: the engine's. Any number may do it at once."""
    if not findings:
        return []
    kept = _once(findings)
    columns = _columns(kept)
    given = (rule.name, this.now, this.number, this.watched_s, settings.alert_cool_down_s)
    came_back = {row["id"] for row in await tx.fetch(_COME_BACK, *columns, *given)}
    causes = [storable(one.cause, length_max=CAUSE_MAX) for one in kept]
    rows = await tx.fetch(_RAISE, *columns, *given, [ids.new() for _ in kept], causes)

    def what(row: Any) -> What:
        if row["first_look"] == this.number:
            return "opened"
        return "came_back" if row["id"] in came_back else "reminded"

    return [_told(row, what(row)) for row in rows if row["told_look"] == this.number]


async def _look_at(
    db: Database, settings: Settings, rule: Rule, this: Look, given: Sequence[Finding] | None = None
) -> Seen:
    """Look at one rule, in one transaction: what is wrong is raised, what is well again is resolved, both are told."""
    async with db.engine() as tx:
        findings = await _found(tx, Resources(db, settings), rule, this) if given is None else given
        told = await raise_all(tx, settings, rule=rule, findings=findings, this=this)
        ended = await tx.fetch(_RESOLVE, rule.name, this.now, this.number, this.watched_s, settings.alert_cool_down_s)
        resolved = [_told(row, "resolved") for row in ended]
        silent = {row["id"] for row in ended if row["is_silenced"]}
        await remember(tx, [*told, *resolved], this)
        await tell(tx, settings, [*told, *(one for one in resolved if one.alert_id not in silent)], this)
    return Seen(sum(one.what == "opened" for one in told), len(resolved), len(told))


async def _found(tx: Transaction, held: Resources, rule: Rule, this: Look) -> list[Finding]:
    given = (this.now, rule.name, rule.threshold, rule.window_s or 0, rule.severity, rule.is_on)
    if isinstance(rule.source, str):
        return [Finding(**dict(row)) for row in await tx.fetch(rule.source, *given)]
    assert rule.source is not None
    row = await tx.fetchrow(BOUND, *given)
    return [] if row is None else await rule.source(tx, held, this.now, Bound(**dict(row)))


async def remember(tx: Transaction, told: Sequence[Told], this: Look) -> None:
    """Write down what became of alerts."""
    if told:
        await tx.execute(
            _HISTORY,
            [one.tenant_id for one in told],
            [ids.new() for _ in told],
            [one.alert_id for one in told],
            [one.what for one in told],
            [one.detail for one in told],
            this.now,
        )


def _once(findings: Sequence[Finding]) -> list[Finding]:
    once: dict[tuple[UUID, str], Finding] = {(f.tenant_id, f.subject): f for f in findings}
    return list(once.values())


def _columns(kept: Sequence[Finding]) -> list[list[Any]]:
    return [
        [f.tenant_id for f in kept],
        [storable(f.subject, length_max=SUBJECT_MAX) for f in kept],
        [f.severity for f in kept],
        [float(f.value) for f in kept],
        [f.failures for f in kept],
        [storable(f.detail, length_max=DETAIL_MAX) for f in kept],
    ]


def _told(row: Any, what: What) -> Told:
    return Told(
        row["tenant_id"],
        row["id"],
        row["rule"],
        row["subject"],
        row["severity"],
        what,
        row["detail"],
    )


def _sum(one: Seen, other: Seen) -> Seen:
    return Seen(one.opened + other.opened, one.resolved + other.resolved, one.told + other.told, one.failed)
