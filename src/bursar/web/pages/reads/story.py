"""One event's story: what came, what was tried, what it did."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from bursar.kernel import ids
from bursar.kernel.amounts import Money
from bursar.kernel.db import Transaction
from bursar.web.pages.bodies import SHOWN_BYTES, Body, shown
from bursar.web.pages.reads.events import status_of
from bursar.web.pages.texts import duration

EFFECTS_MAX = 200
ATTEMPTS_MAX = 50
_APART = timedelta(seconds=30)
"""The rows of one transaction carry ids that were made within seconds of one another; so its rows are found without an
index of their own."""


@dataclass(frozen=True, slots=True)
class Moment:
    """Something that happened to the event. tone: a state's word. note: an error, or what is to come."""

    at: datetime
    word: str
    title: str
    note: str | None = None
    is_ahead: bool = False


@dataclass(frozen=True, slots=True)
class Fact:
    """What the event reported: a gateway object and its state."""

    kind: str
    ref: str
    status: str | None


@dataclass(frozen=True, slots=True)
class Effect:
    """What it changed. subject: a public id."""

    topic: str
    word: str
    subject: str
    money: Money | None
    note: str


@dataclass(frozen=True, slots=True)
class Posting:
    """One entry of a ledger transaction it caused."""

    source: str
    account: str
    debit: Money | None
    credit: Money | None


@dataclass(frozen=True, slots=True)
class CreditChange:
    """A movement of credits it caused. amount: signed."""

    kind: str
    amount: int
    pool: str
    customer: str
    customer_id: str


@dataclass(frozen=True, slots=True)
class Story:
    """An event with everything that is known of it."""

    id: str
    type: str
    status: str
    account: str
    account_id: str
    gateway: str
    gateway_event_id: str
    is_own: bool
    occurred_at: datetime
    received_at: datetime
    attempts: int
    body_sha256: str
    facts: tuple[Fact, ...]
    moments: tuple[Moment, ...]
    effects: tuple[Effect, ...]
    postings: tuple[Posting, ...]
    credits: tuple[CreditChange, ...]
    headers: tuple[tuple[str, str], ...]
    body: Body | None
    is_erased: bool

    @property
    def is_sandbox(self) -> bool:
        return self.gateway == "sandbox"


_EVENT = """
select e.id, e.type, e.origin, left(e.gateway_event_id, 255) as gateway_event_id, e.occurred_at, e.received_at,
  encode(e.body_sha256, 'hex') as body_sha256, a.id as account_id, left(a.name, 60) as account, a.gateway,
  q.event_id is not null as is_queued, q.tries, q.crashes, q.run_at, d.reason, left(d.error, 2000) as dead_error, d.at as dead_at,
  d.attempts as dead_attempts, o.outcome, n.repeats as differing_repeats, n.last_at as differing_at
from gateway_event e
join gateway_account a on a.tenant_id = e.tenant_id and a.id = e.gateway_account_id
left join gateway_event_queue q on q.tenant_id = e.tenant_id and q.event_id = e.id
left join gateway_event_dead d on d.tenant_id = e.tenant_id and d.event_id = e.id
left join gateway_event_differing n on n.tenant_id = e.tenant_id and n.event_id = e.id
left join lateral (
  select outcome from gateway_event_outcome o where o.tenant_id = e.tenant_id and o.event_id = e.id order by o.run desc limit 1
) as o on true
where e.tenant_id = $1 and e.id = $2
"""

_ATTEMPTS = f"""
select attempt, left(error, 2000) as error, at from gateway_event_attempt
where tenant_id = $1 and event_id = $2 order by id desc limit {ATTEMPTS_MAX}
"""

_OUTCOMES = """
select run, outcome, attempts, at from gateway_event_outcome where tenant_id = $1 and event_id = $2 order by run desc limit 50
"""

_AUDIT = """
select id, at, actor, action, subject, changes::text as changes from audit_record
where tenant_id = $1 and event_id = $2 order by id desc limit 20
"""

_POSTINGS = f"""
select t.source_kind, left(t.source_ref, 120) as source_ref, e.account, e.currency, e.amount_minor
from unnest($3::uuid[], $4::uuid[]) as span (low, high)
join ledger_transaction t on t.tenant_id = $1 and t.id between span.low and span.high and t.event_id = $2
join ledger_entry e on e.tenant_id = t.tenant_id and e.transaction_id = t.id
order by t.id, e.amount_minor desc limit {EFFECTS_MAX}
"""

_CREDITS = f"""
select m.kind, m.amount, l.pool, m.customer_id, left(coalesce(c.name, c.email, c.gateway_ref), 80) as customer
from unnest($3::uuid[], $4::uuid[]) as span (low, high)
join credit_movement m on m.tenant_id = $1 and m.id between span.low and span.high and m.event_id = $2
join credit_lot l on l.tenant_id = m.tenant_id and l.id = m.lot_id
join customer c on c.tenant_id = m.tenant_id and c.id = m.customer_id
order by m.id limit {EFFECTS_MAX}
"""

_BODY = f"""
select headers::text as headers, substring(body for {SHOWN_BYTES}) as head, octet_length(body) as size,
  erased_at is not null as is_erased
from gateway_event_body where tenant_id = $1 and event_id = $2 and received_at = $3
"""

_WHOLE_BODY = """
select b.body from gateway_event e
join gateway_event_body b on b.tenant_id = e.tenant_id and b.event_id = e.id and b.received_at = e.received_at
where e.tenant_id = $1 and e.id = $2
"""


async def story(tx: Transaction, *, tenant_id: UUID, event_id: UUID) -> Story | None:
    """Return an event's story; None when this tenant has no such event."""
    row = await tx.fetchrow(_EVENT, tenant_id, event_id)
    if row is None:
        return None
    attempts = await tx.fetch(_ATTEMPTS, tenant_id, event_id)
    outcomes = await tx.fetch(_OUTCOMES, tenant_id, event_id)
    audits = await tx.fetch(_AUDIT, tenant_id, event_id)
    told = [_changes(audit["changes"]) for audit in audits]
    spans = _spans([audit["id"] for audit in audits])
    postings = await tx.fetch(_POSTINGS, tenant_id, event_id, *spans) if audits else []
    moved = await tx.fetch(_CREDITS, tenant_id, event_id, *spans) if audits else []
    raw = await tx.fetchrow(_BODY, tenant_id, event_id, row["received_at"])
    return Story(
        id=ids.show(ids.EVENT, row["id"]),
        type=row["type"],
        status=status_of(row),
        account=row["account"],
        account_id=ids.show(ids.GATEWAY_ACCOUNT, row["account_id"]),
        gateway=row["gateway"],
        gateway_event_id=row["gateway_event_id"],
        is_own=row["origin"] == "operator",
        occurred_at=row["occurred_at"],
        received_at=row["received_at"],
        attempts=max((a["attempt"] for a in attempts), default=0),
        body_sha256=row["body_sha256"],
        facts=_facts(told),
        moments=_moments(row, attempts, outcomes),
        effects=_effects(told),
        postings=tuple(_posting(posting) for posting in postings),
        credits=tuple(
            CreditChange(c["kind"], c["amount"], c["pool"], c["customer"], ids.show(ids.CUSTOMER, c["customer_id"]))
            for c in moved
        ),
        headers=_headers(raw["headers"]) if raw else (),
        body=shown(bytes(raw["head"]), size=raw["size"]) if raw else None,
        is_erased=bool(raw and raw["is_erased"]),
    )


async def whole_body(tx: Transaction, *, tenant_id: UUID, event_id: UUID) -> bytes | None:
    """Return the bytes as they were received; None when they are not kept."""
    body = await tx.fetchval(_WHOLE_BODY, tenant_id, event_id)
    return None if body is None else bytes(body)


def _moments(row: Any, attempts: Any, outcomes: Any) -> tuple[Moment, ...]:
    delay = row["received_at"] - row["occurred_at"]
    by_whom = "recorded here" if row["origin"] == "operator" else "received, verified and stored"
    moments = [
        Moment(row["occurred_at"], "paused", "happened at the gateway"),
        Moment(
            row["received_at"],
            "received",
            by_whom,
            f"{duration(delay)} later" if delay > timedelta(seconds=5) else None,
        ),
    ]
    if row["origin"] == "operator":
        moments = moments[1:]
    moments += [Moment(a["at"], "failed", f"attempt {a['attempt']} failed", a["error"]) for a in attempts]
    first = min((o["run"] for o in outcomes), default=0)
    moments += [
        Moment(
            o["at"],
            o["outcome"],
            o["outcome"],
            f"{duration(max(o['at'] - row['received_at'], timedelta()))} after it was received",
        )
        if o["run"] == first
        else Moment(o["at"], o["outcome"], f"replayed: {o['outcome']} again")
        for o in outcomes
    ]
    if row["differing_repeats"]:
        times = "once" if row["differing_repeats"] == 1 else f"{row['differing_repeats']} times"
        title = f"delivered again with another content, {times}"
        moments.append(Moment(row["differing_at"], "unmatched", title, "The first content stands."))
    if row["reason"]:
        is_told = bool(attempts) and attempts[0]["error"] == row["dead_error"]
        title = f"rests as dead: {row['reason'].replace('_', ' ')}"
        moments.append(Moment(row["dead_at"], "dead", title, None if is_told else row["dead_error"]))
    moments.sort(key=lambda moment: moment.at)
    if row["is_queued"] and row["tries"]:
        moments.append(Moment(row["run_at"], "queued", "will be tried again", is_ahead=True))
    elif row["is_queued"]:
        moments.append(Moment(row["run_at"], "queued", "waits for a worker", is_ahead=True))
    return tuple(moments)


def _changes(text: str) -> dict[str, Any]:
    try:
        changes = msgspec.json.decode(text)
    except (msgspec.DecodeError, RecursionError):
        return {}
    return changes if isinstance(changes, dict) else {}


def _listed(told: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    """Return the entries of a list that every audit record may have."""
    return [item for changes in told for item in _items(changes.get(name)) if isinstance(item, dict)]


def _items(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _facts(told: list[dict[str, Any]]) -> tuple[Fact, ...]:
    facts = [
        Fact(
            str(item.get("kind", ""))[:60],
            str(item.get("ref", ""))[:255],
            str(item["status"])[:40] if item.get("status") else None,
        )
        for item in _listed(told, "facts")
    ]
    return tuple(dict.fromkeys(facts))[:EFFECTS_MAX]


def _effects(told: list[dict[str, Any]]) -> tuple[Effect, ...]:
    return tuple(_effect(item) for item in _listed(told, "effects")[:EFFECTS_MAX])


def _effect(item: dict[str, Any]) -> Effect:
    state = item.get("state")
    state = state if isinstance(state, dict) else {}
    amount, currency = state.get("amount_minor", state.get("total_minor")), state.get("currency")
    topic = str(item.get("topic", ""))[:120]
    notes = [
        f"{name.replace('_', ' ')} {state[name]}"
        for name in ("quantity", "number", "current_period_end")
        if state.get(name) is not None
    ]
    refunded = state.get("refunded_minor")
    if type(refunded) is int and refunded and isinstance(currency, str):
        notes.append(f"refunded {Money(refunded, currency)}")
    return Effect(
        topic=topic,
        word=topic.rpartition(".")[2],
        subject=str(item.get("subject") or "")[:60],
        money=Money(amount, currency) if type(amount) is int and isinstance(currency, str) else None,
        note=", ".join(notes)[:200],
    )


def _posting(row: Any) -> Posting:
    money = Money(abs(row["amount_minor"]), row["currency"])
    is_debit = row["amount_minor"] > 0
    source = f"{row['source_kind']} {row['source_ref']}"
    return Posting(source, row["account"], money if is_debit else None, None if is_debit else money)


def _headers(text: str) -> tuple[tuple[str, str], ...]:
    return tuple((str(name)[:120], str(value)[:2048]) for name, value in sorted(_changes(text).items()))


def _spans(made: list[UUID]) -> tuple[list[UUID], list[UUID]]:
    """Return the ranges of ids that were made around the given ones."""
    at = [datetime.fromtimestamp((value.int >> 80) / 1000, UTC) for value in made]
    return [ids.least_at(moment - _APART) for moment in at], [ids.least_at(moment + _APART) for moment in at]
