"""Tell what happened: an audit record for each event, and the outbox for everyone who waits for changes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import msgspec

from bursar.kernel import ids, outbox
from bursar.kernel.db import Transaction
from bursar.money.applying.translation import Translated
from bursar.money.fulfilment import Change, GrantStatus
from bursar.money.payments import Recorded

_PREFIX = {"payment": ids.PAYMENT, "refund": ids.REFUND, "dispute": ids.DISPUTE, "invoice": ids.INVOICE}


@dataclass(frozen=True, slots=True)
class Effect:
    """One change. topic: `payment.succeeded`, `credits.revoked`, …; subject: public id; state: what it now says."""

    event_id: UUID
    topic: str
    subject: str
    state: dict[str, Any]


_AUDIT = """
insert into audit_record (tenant_id, id, actor, action, event_id, subject, changes)
select $1, id, actor, action, event_id, subject, changes::jsonb
from unnest($2::uuid[], $3::text[], $4::text[], $5::uuid[], $6::text[], $7::text[]) as new (id, actor, action, event_id, subject, changes)
"""


def effects_of(
    *,
    recorded: Sequence[Recorded],
    subscriptions: Sequence[tuple[UUID, dict[str, object]]],
    changes: Sequence[Change],
    told_by: Mapping[UUID | tuple[str, str], UUID],
) -> list[Effect]:
    """Return every change with the event that caused it."""
    effects = [
        Effect(told_by[r.purchase_id], f"{r.kind}.{r.state['status']}", ids.show(_PREFIX[r.kind], r.id), r.state)
        for r in recorded
    ]
    effects += [
        Effect(event_id, f"subscription.{row['status']}", ids.show(ids.SUBSCRIPTION, UUID(str(row["id"]))), _plain(row))
        for event_id, row in subscriptions
    ]
    effects += [
        Effect(
            change.event_id,
            f"{change.target.kind}.{_grant_word(change)}",
            ids.show(ids.GRANT, change.grant.id),
            {
                "customer": ids.show(ids.CUSTOMER, change.target.customer_id),
                "price": ids.show(ids.PRICE, change.target.price_id),
                "quantity": change.target.quantity,
                "status": change.target.status.value,
                "taken_minor": change.target.taken_minor,
                "paid_minor": change.target.paid_minor,
            },
        )
        for change in changes
    ]
    return effects


async def tell(tx: Transaction, *, tenant_id: UUID, events: Sequence[Translated], effects: Sequence[Effect]) -> None:
    """Write one audit record for each event with its facts and effects, and each effect to the outbox."""
    by_event: dict[UUID, list[Effect]] = {}
    for effect in effects:
        by_event.setdefault(effect.event_id, []).append(effect)
    await tx.execute(
        _AUDIT,
        tenant_id,
        [ids.new() for _ in events],
        [e.event.origin for e in events],
        ["event.ignored" if e.translation.is_ignored else "event.applied" for e in events],
        [e.event.id for e in events],
        [by_event[e.event.id][0].subject if e.event.id in by_event else None for e in events],
        [_changes(e, by_event.get(e.event.id, ())) for e in events],
    )
    told = [outbox.Told(e.topic, e.subject, e.state, e.event_id) for e in effects]
    await outbox.emit(tx, tenant_id=tenant_id, told=told)


def _changes(event: Translated, effects: Sequence[Effect]) -> str:
    facts = [
        {"kind": fact.kind, "ref": fact.ref} | ({"status": status} if (status := getattr(fact, "status", None)) else {})
        for fact in event.translation.facts
    ]
    told = [{"topic": e.topic, "subject": e.subject, "state": e.state} for e in effects]
    return msgspec.json.encode({"facts": facts, "effects": told}).decode()


def _grant_word(change: Change) -> str:
    if change.before is None:
        return "granted"
    if change.target.status is change.before.status:
        return "changed"
    return {GrantStatus.active: "restored"}.get(change.target.status, change.target.status.value)


def _plain(row: Mapping[str, object]) -> dict[str, Any]:
    return {key: value for key, value in row.items() if key != "id"}
