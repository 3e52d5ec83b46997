"""Differences: write down what a page showed, file the reports that repair it, and close what is no difference any more."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

import msgspec

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.money.gateways.calling import Answer
from bursar.money.gateways.reports import Source, report_event
from bursar.money.intake.filing import file_all_written
from bursar.money.reconciliation.models import Class, Found, Run, State, Why

QUEUED_READ_MAX: Final = 2_000
"""Reports under way among which an object is looked for."""
_TRIES_MAX: Final = 3
"""A report that failed more often is not on its way any more."""

# An upsert, so that a difference that stands is one row, whichever run sees it.
_WRITE = """
insert into reconciliation_difference (tenant_id, id, gateway_account_id, run_id, last_run_id, kind, ref, class, here, there, made_at, state,
  why, detail, event_id, reported_at, settled_at)
select $1, id, $2, $3, $3, kind, ref, class, here::jsonb, there::jsonb, made_at, state, why, detail, event_id, reported_at,
  case when state = 'repaired' then clock_timestamp() end
from unnest($4::uuid[], $5::text[], $6::text[], $7::text[], $8::text[], $9::text[], $10::timestamptz[], $11::text[], $12::text[], $13::text[],
  $14::uuid[], $15::timestamptz[]) as new (id, kind, ref, class, here, there, made_at, state, why, detail, event_id, reported_at)
on conflict (tenant_id, gateway_account_id, kind, ref) where state in ('waiting', 'repairing', 'open') do update
set last_run_id = excluded.last_run_id, here = excluded.here, there = excluded.there,
  (class, state, why) = (
    -- What is being repaired and not applied yet is found again as a report under way: its own.
    select o.class, o.state, o.why from (values
      (true, reconciliation_difference.class, reconciliation_difference.state, reconciliation_difference.why),
      (false, excluded.class, excluded.state, excluded.why)) as o (is_kept, class, state, why)
    where o.is_kept = (reconciliation_difference.state = 'repairing' and excluded.state = 'waiting')
  ), detail = excluded.detail, event_id = coalesce(excluded.event_id, reconciliation_difference.event_id),
  reported_at = coalesce(excluded.reported_at, reconciliation_difference.reported_at), seen_at = clock_timestamp()
"""

_UNDER_WAY = f"""
select n.ref, (array_agg(w.event_id order by w.event_id desc))[1] as event_id
from unnest($3::text[]) as n (ref)
join (
  select q.event_id, convert_from(b.body, 'UTF8') as body
  from (
    select event_id from gateway_event_queue where tenant_id = $1 and gateway_account_id = $2 and tries <= {_TRIES_MAX}
    limit {QUEUED_READ_MAX}
  ) q
  join gateway_event e on e.tenant_id = $1 and e.id = q.event_id
  join gateway_event_body b on b.tenant_id = $1 and b.event_id = e.id and b.received_at = e.received_at
) w on position('"' || n.ref || '"' in w.body) > 0
group by n.ref
"""

_BY_REPORT = """
select d.id, o.at is not null as is_applied, x.event_id is not null as is_dead,
  coalesce(g.event_id = d.event_id or g.version_at >= d.reported_at, false) as is_merged
from reconciliation_difference d
left join lateral (
  select at from gateway_event_outcome o where o.tenant_id = d.tenant_id and o.event_id = d.event_id order by o.run desc limit 1
) o on true
left join gateway_event_dead x on x.tenant_id = d.tenant_id and x.event_id = d.event_id
left join gateway_object g on g.tenant_id = d.tenant_id and g.gateway_account_id = d.gateway_account_id and g.kind = d.kind and g.ref = d.ref
where d.tenant_id = $1 and d.gateway_account_id = $2 and d.state = 'repairing' and d.id > $3
order by d.id limit 1000
"""

_SETTLE = """
update reconciliation_difference d
set state = n.state, why = n.why, settled_at = case when n.state in ('repaired', 'closed') then $5::timestamptz end
from unnest($2::uuid[], $3::text[], $4::text[]) as n (id, state, why)
where d.tenant_id = $1 and d.id = n.id and d.state = 'repairing'
"""

# What this run looked at and did not find differing.
_CLOSE = """
update reconciliation_difference d
set state = case when d.class <> 'timing' and d.event_id is not null and d.state = 'repairing' then 'repaired' else 'closed' end,
  why = case when d.state = 'repairing' then d.why else 'gone' end, settled_at = $4
from unnest($5::text[], $6::timestamptz[]) as k (kind, since)
where d.tenant_id = $1 and d.gateway_account_id = $2 and d.last_run_id <> $3 and d.state in ('waiting', 'repairing', 'open')
  and k.kind = case d.kind when 'dispute_funds' then 'dispute' else d.kind end
  and (k.since is null or d.made_at >= k.since)
"""

_STILL = """
select count(*) from reconciliation_difference where tenant_id = $1 and gateway_account_id = $2 and state = 'repairing'
"""

_NO_ID: Final = UUID(int=0)


async def write_found(
    tx: Transaction,
    run: Run,
    *,
    tenant_id: UUID,
    found: Sequence[tuple[Found, Answer | None]],
    now: datetime,
    grace: timedelta,
) -> list[Class]:
    """Write down differences and file what repairs them; return the class of each.

    found: each with what the gateway showed; None where there is nothing to merge.
    grace: what was made less than that ago may be on its way.
    """
    if not found:
        return []
    differences = [difference for difference, _ in found]
    settled, events = await _told_apart(tx, run, tenant_id=tenant_id, found=differences, now=now, grace=grace)
    repairs = [
        (place, answer)
        for place, (each, (_, answer)) in enumerate(zip(settled, found, strict=True))
        if each.state is State.repairing and answer is not None
    ]
    filed = await file_all_written(
        tx,
        tenant_id=tenant_id,
        account_id=run.account_id,
        events=[report_event(kind=a.kind, object=a.object, at=a.at, source=Source.reconciliation) for _, a in repairs],
    )
    reported: list[datetime | None] = [None] * len(settled)
    for (place, answer), event_id in zip(repairs, filed, strict=True):
        events[place], reported[place] = event_id, answer.at
    await _write(tx, run, tenant_id=tenant_id, found=settled, events=events, reported=reported)
    return [each.difference for each in settled]


async def settle_reports(tx: Transaction, *, tenant_id: UUID, account_id: UUID, now: datetime) -> int:
    """Look what became of the reports that were filed; return how many are still under way."""
    after = _NO_ID
    while rows := await tx.fetch(_BY_REPORT, tenant_id, account_id, after):
        after = rows[-1]["id"]
        settled = [(row["id"], *settlement) for row in rows if (settlement := _settlement(row))]
        if settled:
            given, states, whys = zip(*settled, strict=True)
            await tx.execute(_SETTLE, tenant_id, given, states, whys, now)
    still: int = await tx.fetchval(_STILL, tenant_id, account_id)
    return still


async def close_gone(tx: Transaction, run: Run, *, tenant_id: UUID, now: datetime) -> None:
    """Close what earlier runs found and this one, which looked, did not."""
    kinds = [kind.value for kind in run.kinds]
    await tx.execute(_CLOSE, tenant_id, run.account_id, run.id, now, kinds, list(run.sinces))


def _settlement(row: dict[str, bool]) -> tuple[State, Why] | None:
    if row["is_dead"]:
        return State.open, Why.report_died
    if not row["is_applied"]:
        return None
    return (State.repaired, Why.merged) if row["is_merged"] else (State.open, Why.kept_final)


async def _told_apart(
    tx: Transaction, run: Run, *, tenant_id: UUID, found: Sequence[Found], now: datetime, grace: timedelta
) -> tuple[list[Found], list[UUID | None]]:
    """Return the differences with those that are only for now said to be so, and the report under way of each."""
    names = sorted({_object_of(each.ref) for each in found})
    rows = await tx.fetch(_UNDER_WAY, tenant_id, run.account_id, names)
    under_way = {row["ref"]: row["event_id"] for row in rows}
    settled: list[Found] = []
    events: list[UUID | None] = []
    for each in found:
        event_id = under_way.get(_object_of(each.ref))
        is_new = each.made_at is not None and each.made_at > now - grace
        waits = each.difference is not Class.missing_there and (event_id is not None or is_new)
        why = Why.report_under_way if event_id else Why.just_made
        settled.append(replace(each, difference=Class.timing, state=State.waiting, why=why) if waits else each)
        events.append(event_id if waits else None)
    return settled, events


async def _write(
    tx: Transaction,
    run: Run,
    *,
    tenant_id: UUID,
    found: Sequence[Found],
    events: Sequence[UUID | None],
    reported: Sequence[datetime | None],
) -> None:
    await tx.execute(
        _WRITE,
        tenant_id,
        run.account_id,
        run.id,
        [ids.new() for _ in found],
        [each.kind for each in found],
        [each.ref for each in found],
        [each.difference.value for each in found],
        [_json(each.here) for each in found],
        [_json(each.there) for each in found],
        [each.made_at for each in found],
        [each.state.value for each in found],
        [each.why.value for each in found],
        [each.detail for each in found],
        events,
        reported,
    )


def _object_of(ref: str) -> str:
    """Return the gateway's name of the object that a fact is about: of moved funds, the dispute's."""
    return ref.removesuffix(":withdrawn").removesuffix(":reinstated")


def _json(value: object) -> str | None:
    return None if value is None else msgspec.json.encode(value, order="sorted").decode()


def counted(classes: Iterable[Class]) -> dict[Class, int]:
    """Return how often each class was found."""
    found = list(classes)
    return {each: found.count(each) for each in set(found)}
