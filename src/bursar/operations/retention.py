"""What would be forgotten by which policy, and what is kept for ever: counted with the conditions that the clean-up itself uses.

Nothing is removed here. Workers do that, once a minute, tenant by tenant; raw bodies go by the month, `operations/retention_runs.py`.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from bursar.kernel import ids, tenancy
from bursar.kernel.db import Database
from bursar.kernel.identity import sessions
from bursar.kernel.settings import Settings
from bursar.money.intake.forgetting import Month, old_months

COUNTED_MAX: Final = 1_000_000
"""Rows of one policy that are counted at most, for each tenant where tenants are counted one by one."""


@dataclass(frozen=True, slots=True)
class Policy:
    """rows: that would go. oldest: of them. kept: for how long; None: for ever. setting: that says so; empty: a rule of ours.

    bytes: where something is kept for ever, what it takes on the disk; of bodies, what would be freed.
    months: partitions that would go whole. waiting: those whose time is over too, kept because an event in them is not settled.
    """

    name: str
    kept: str | None
    setting: str
    rows: int = 0
    oldest: datetime | None = None
    bytes: int | None = None
    months: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()


_BY_ENGINE: Final = {
    "security events": f"""
        select count(*), min(at) from (select hour as at from security_event where hour < $1 limit {COUNTED_MAX}) as gone""",
    "jobs that were given up": f"""
        select count(*), min(at) from (
          select rested_at as at from job where state = 'dead' and id < $2 and rested_at < $1 limit {COUNTED_MAX}) as gone""",
    "counts of how jobs ended": f"""
        select count(*), min(at)::timestamptz from (
          select day as at from job_tally where day < ($1::timestamptz at time zone 'UTC')::date limit {COUNTED_MAX}) as gone""",
    "slow statements": f"""
        select count(*), min(at)::timestamptz from (
          select day as at from slow_statement where day < ($1::timestamptz at time zone 'UTC')::date limit {COUNTED_MAX}) as gone""",
    "resolved alerts, with their history": f"""
        select count(*), min(at) from (
          select resolved_at as at from alert where state = 'resolved' and resolved_at < $1 limit {COUNTED_MAX}) as gone""",
}
_BY_TENANT: Final = {
    "answers to Idempotency-Keys": f"""
        select count(*), min(at) from (
          select expires_at as at from idempotency_answer where tenant_id = $1 and expires_at <= $2 limit {COUNTED_MAX}) as gone""",
    "sessions that ended": f"""
        select count(*), min(at) from (
          select expires_at as at from session where tenant_id = $1 and expires_at < $2 limit {COUNTED_MAX}) as gone""",
}
_BODIES: Final = ("raw bodies of deliveries, a partition for each month", "gateway_event_body")
_FOR_EVER: Final = {
    "gateway events and what came of them": "gateway_event",
    "the audit trail": "audit_record",
    "the books": "ledger_entry",
}
_SIZES = """
select coalesce(sum(pg_total_relation_size(relid)), 0)::bigint from pg_partition_tree($1::text::regclass) where isleaf
"""


async def preview(db: Database, settings: Settings, *, at: datetime) -> list[Policy]:
    """Return every policy with what would go by it at an instant, then what is kept for ever."""
    policies = _policies(settings)
    found = []
    for policy, before in policies:
        cut = at - before
        if policy.name in _BY_TENANT:
            found.append(await _of_tenants(db, policy, cut))
        else:
            async with db.engine() as tx:
                found.append(_counted(policy, await tx.fetchrow(_BY_ENGINE[policy.name], *_bounds(policy.name, cut))))
    async with db.engine() as tx:
        old = await old_months(tx, kept_months=settings.body_months, now=at)
    async with db.statement() as connection:
        size = await connection.fetchval(_SIZES, _BODIES[1])
        found.append(_bodies(old, settings.body_months, size))
        for name, table in _FOR_EVER.items():
            found.append(Policy(name, None, "", bytes=await connection.fetchval(_SIZES, table)))
    return found


def _bodies(old: Sequence[Month], kept_months: int, size: int) -> Policy:
    if not kept_months:
        return Policy(_BODIES[0], None, "BURSAR_BODY_MONTHS", bytes=size)
    gone = [month for month in old if not month.needed]
    return Policy(
        _BODIES[0],
        f"{kept_months} months",
        "BURSAR_BODY_MONTHS",
        rows=sum(month.rows for month in gone),
        bytes=sum(month.bytes for month in gone),
        months=tuple(month.name for month in gone),
        waiting=tuple(month.name for month in old if month.needed),
    )


def _policies(settings: Settings) -> list[tuple[Policy, timedelta]]:
    """Return each policy and how long before an instant its rows go."""

    def by_days(name: str, setting: str) -> tuple[Policy, timedelta]:
        days: int = getattr(settings, setting)
        return Policy(name, f"{days} days", f"BURSAR_{setting.upper()}"), timedelta(days=days)

    return [
        (Policy("answers to Idempotency-Keys", "as each was told", "BURSAR_IDEMPOTENCY_S"), timedelta(0)),
        (Policy("sessions that ended", f"{sessions.KEPT.days} days", ""), sessions.KEPT),
        by_days("security events", "security_event_days"),
        by_days("jobs that were given up", "job_days"),
        by_days("counts of how jobs ended", "job_days"),
        by_days("slow statements", "slow_statement_days"),
        by_days("resolved alerts, with their history", "alert_days"),
    ]


def _bounds(name: str, cut: datetime) -> tuple[Any, ...]:
    return (cut, ids.least_at(cut)) if name == "jobs that were given up" else (cut,)


async def _of_tenants(db: Database, policy: Policy, cut: datetime) -> Policy:
    async for tenant_id in tenancy.every_tenant(db):
        async with db.tenant(tenant_id) as tx:
            policy = _counted(policy, await tx.fetchrow(_BY_TENANT[policy.name], tenant_id, cut))
    return policy


def _counted(policy: Policy, row: Any) -> Policy:
    """Add what was counted to what was counted before."""
    oldest = min((at.astimezone(UTC) for at in (policy.oldest, row[1]) if at), default=None)
    return replace(policy, rows=policy.rows + row[0], oldest=oldest)
