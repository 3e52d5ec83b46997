"""Read the bodies that are older than an erasure, and those of events that nobody could apply, and replace those that name a person.

Bodies are read once for each erasure, in the order in which they came, some at a time; how far that came is written down in
the transaction that replaces them. So it may stop anywhere, and several workers do no harm. Decision 0015.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import asyncpg

from bursar.kernel.db import Database, Transaction
from bursar.money.applying.batch import Account
from bursar.money.applying.erasing import redact_purchases
from bursar.money.applying.redacting import (
    known_marks,
    marks_named,
    redaction_of,
    replace_bodies,
    which_are_marked,
)
from bursar.money.applying.translation import EventInvalid, Pending, Translated, is_in_own_words, translate
from bursar.money.gateways import Translation
from bursar.money.gateways.parsing import parse_object
from bursar.money.gateways.redaction import Marks, body_of, texts_of_bytes, texts_of_value
from bursar.money.intake.filing import lane_bucket
from bursar.money.intake.queue import LOCK_CLASS
from bursar.money.merging import rewrite_same

EVENTS_AT_ONCE: Final = 100
ROUNDS_MAX: Final = 200
"""How many times so many events are read before other chores have their turn."""
DEAD_OVERLAP: Final = timedelta(minutes=10)
"""A transaction that ran this long may still have let an event rest before the last look, unseen by it."""

_OPEN = """
select l.erasure_id, l.gateway_account_id, a.gateway, coalesce(l.swept_to, '00000000-0000-0000-0000-000000000000'::uuid) as swept_to,
  l.sweeps_until
from erasure_lane l join gateway_account a on a.tenant_id = l.tenant_id and a.id = l.gateway_account_id
where l.tenant_id = $1 and l.swept_at is null and l.erased_at is not null
order by l.erasure_id, l.gateway_account_id limit 1 for update of l skip locked
"""

# While it is held no worker applies anything of the account, as a worker holds it for as long as it does.
_OWN = "select pg_advisory_xact_lock($1, $2)"

_COLUMNS = """e.id, e.gateway_account_id, e.type, e.origin, e.occurred_at, b.body, b.erased_at is not null as is_erased, d.body as differing"""

_JOINED = """join gateway_event_body b on b.tenant_id = e.tenant_id and b.event_id = e.id and b.received_at = e.received_at
left join gateway_event_differing d on d.tenant_id = e.tenant_id and d.event_id = e.id"""

_OLDER = f"""
select {_COLUMNS} from gateway_event e {_JOINED}
where e.tenant_id = $1 and e.id > $2 and e.id <= $3 and e.gateway_account_id = $4
order by e.id limit $5
"""

_SWEPT = """
update erasure_lane set swept_to = $4, swept_at = $5
where tenant_id = $1 and erasure_id = $2 and gateway_account_id = $3
"""

_DEAD_SINCE = "select key, dead_read_to from erasure_key where tenant_id = $1"
_DEAD = f"""
select {_COLUMNS}, a.gateway, r.at from gateway_event_dead r
join gateway_event e on e.tenant_id = r.tenant_id and e.id = r.event_id
join gateway_account a on a.tenant_id = e.tenant_id and a.id = e.gateway_account_id
{_JOINED}
where r.tenant_id = $1 and (r.at, r.event_id) > ($2, $3) order by r.at, r.event_id limit $4
"""
_DEAD_READ = "update erasure_key set dead_read_to = $2 where tenant_id = $1 and dead_read_to < $2"
_FIRST: Final = UUID(int=0)


@dataclass(frozen=True, slots=True)
class _Lane:
    """An account whose older bodies are still to be read for one erasure."""

    account: Account
    erasure_id: UUID
    swept_to: UUID
    until: UUID


async def sweep_bodies(db: Database, *, tenant_id: UUID, now: datetime) -> int:
    """Go on with the tenant's erasures, at most `ROUNDS_MAX` rounds; return how many bodies were replaced."""
    replaced = await _read_dead(db, tenant_id=tenant_id)
    if replaced is None:
        return 0
    for _ in range(ROUNDS_MAX):
        try:
            async with db.tenant(tenant_id) as tx:
                row = await tx.fetchrow(_OPEN, tenant_id)
                if row is None:
                    break
                account = Account(tenant_id, row["gateway_account_id"], row["gateway"])
                lane = _Lane(account, row["erasure_id"], row["swept_to"], row["sweeps_until"])
                await tx.execute(_OWN, LOCK_CLASS, lane_bucket(account.id))
                replaced += await _read_older(tx, lane, now=now)
        except asyncpg.LockNotAvailableError:
            break  # Its worker has a long batch; in a minute is soon enough.
    return replaced


async def _read_older(tx: Transaction, lane: _Lane, *, now: datetime) -> int:
    account = lane.account
    marks = await known_marks(tx, tenant_id=account.tenant_id)
    assert marks is not None, "a lane that was erased has marks"
    rows = await tx.fetch(_OLDER, account.tenant_id, lane.swept_to, lane.until, account.id, EVENTS_AT_ONCE)
    replaced = await _replace(tx, account=account, marks=marks, rows=rows, is_merged=True)
    reached = rows[-1]["id"] if rows else lane.until
    is_done = len(rows) < EVENTS_AT_ONCE
    await tx.execute(_SWEPT, account.tenant_id, lane.erasure_id, account.id, reached, now if is_done else None)
    return replaced


async def _read_dead(db: Database, *, tenant_id: UUID) -> int | None:
    """Read events that rest unapplied since the last look: those that came after an erasure and were never understood.

    None where nobody was ever erased.
    """
    async with db.tenant(tenant_id) as tx:
        row = await tx.fetchrow(_DEAD_SINCE, tenant_id)
    if row is None:
        return None
    at, event_id, replaced = row["dead_read_to"] - DEAD_OVERLAP, _FIRST, 0
    marks = Marks(row["key"])
    for _ in range(ROUNDS_MAX):
        async with db.tenant(tenant_id) as tx:
            rows = await tx.fetch(_DEAD, tenant_id, at, event_id, EVENTS_AT_ONCE)
            for each in {row["gateway_account_id"] for row in rows}:
                own = [row for row in rows if row["gateway_account_id"] == each]
                account = Account(tenant_id, each, own[0]["gateway"])
                replaced += await _replace(tx, account=account, marks=marks, rows=own, is_merged=False)
            if rows:
                at, event_id = rows[-1]["at"], rows[-1]["id"]
                await tx.execute(_DEAD_READ, tenant_id, at)
        if len(rows) < EVENTS_AT_ONCE:
            break
    return replaced


async def _replace(tx: Transaction, *, account: Account, marks: Marks, rows: Sequence[Any], is_merged: bool) -> int:
    """Replace the bodies among these that name an erased person; return how many.

    is_merged: what they told is in the registers, where it is redacted, too; tx is then of whoever owns the lane.
    """
    rows = [row for row in rows if not row["is_erased"]]
    named = {row["id"]: _marks_named(row, account, marks) for row in rows}
    marked = await which_are_marked(tx, tenant_id=account.tenant_id, marks=set().union(*named.values()))
    told = [row for row in rows if named[row["id"]] & marked]
    if not told:
        return 0
    read = {row["id"]: _translated(row, account.gateway) for row in told}
    events = [translated for translated in read.values() if translated]
    done = redaction_of(events, account=account, marks=marks, named=named, marked=marked, is_late=False)
    unread = {event_id: body_of(None) for event_id, translated in read.items() if translated is None}
    await replace_bodies(tx, tenant_id=account.tenant_id, bodies={**done.bodies, **unread})
    if is_merged:
        # Somebody else's receipt may have gone to the person's address: it is in none of the person's purchases.
        told_of = await rewrite_same(tx, tenant_id=account.tenant_id, account_id=account.id, pairs=done.changed)
        await redact_purchases(tx, tenant_id=account.tenant_id, purchases=told_of)
    return len(told)


def _marks_named(row: Any, account: Account, marks: Marks) -> set[bytes]:
    """Return the marks of whatever a stored event names; what a gateway wrote is only read, not understood."""
    if is_in_own_words(origin=row["origin"], type=row["type"]):
        told = _translated(row, account.gateway)
        return marks_named(told, account=account, marks=marks) if told else set()
    bodies = [bytes(body) for body in (row["body"], row["differing"]) if body is not None]
    return {marks.of_text(account.id, text) for body in bodies for text in texts_of(body)}


def texts_of(body: bytes) -> Iterator[str]:
    """Yield every text of a stored body that may name somebody, whether it can be parsed or not."""
    try:
        parsed = parse_object(body)
    except (ValueError, RecursionError):
        yield from texts_of_bytes(body)
        return
    yield from texts_of_value(parsed)


def _translated(row: Any, gateway_name: str) -> Translated | None:
    """Return what an event says; None where nobody can tell."""
    event = Pending(row["id"], row["type"], row["origin"], row["occurred_at"], bytes(row["body"]))
    try:
        return translate(event, gateway_name=gateway_name)
    except EventInvalid:
        if not event.is_own:
            return None
    # An event of our own keeps its shape even where it says nothing.
    return Translated(event, Translation(is_ignored=True), parse_object(event.body))
