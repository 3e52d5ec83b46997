"""What must be read again although no report spoke of it: the catalogue or a subscription changed what it means."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any
from uuid import UUID

from bursar.kernel.db import Transaction
from bursar.money.gateways.facts import SubscriptionFact
from bursar.money.intake import file_own_event
from bursar.money.merging import Reported, history_bounds
from bursar.money.purchases import BESIDE

if TYPE_CHECKING:
    from bursar.money.applying.batch import Account
    from bursar.money.applying.translation import Translated

CATALOG_CHANGED = "bursar.catalog.changed"
REVISITS_MAX = 1_000
"""How many purchases, and how many subscriptions, a batch reads again because of the catalogue; the rest follow in further batches."""

# A purchase leans on the subscription as it was about when it was paid: what is told of a later time does not concern it.
_LEANING = """
select p.id, t.ref
from unnest($3::text[], $4::timestamptz[], $5::text[], $6::text[]) as t (ref, at, low, high)
left join lateral (
  select o.version_at from gateway_object o
  where o.tenant_id = $1 and o.gateway_account_id = $2 and o.kind = 'subscription_at' and o.ref >= t.low and o.ref < t.high
  order by o.ref limit 1
) as earliest on true
join purchase p on p.tenant_id = $1 and p.gateway_account_id = $2 and p.subscription_ref = t.ref and p.leans_on_subscription
where earliest.version_at is null or t.at <= earliest.version_at or p.paid_at >= t.at - $7::interval
order by p.id
"""

_WAITING_PURCHASES = """
select id from purchase
where tenant_id = $1 and gateway_account_id = $2 and is_paid and unmatched_refs <> '{}' and unmatched_refs && $3::text[] and id > $4
order by id limit $5
"""

_WAITING_SUBSCRIPTIONS = """
select gateway_ref as id from subscription
where tenant_id = $1 and gateway_account_id = $2 and unmatched_refs <> '{}' and unmatched_refs && $3::text[] and gateway_ref > $4
order by gateway_ref limit $5
"""

_FIRST = {"purchases": UUID(int=0), "subscriptions": ""}


@dataclass(frozen=True, slots=True)
class Revisits:
    """What to read again, each with the event that asks for it."""

    purchases: dict[UUID, UUID] = field(default_factory=dict)
    subscriptions: dict[str, UUID] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _CatalogueChange:
    """names: every name that now means something. after: how far earlier batches came with this change, for what is left."""

    event_id: UUID
    occurred_at: datetime
    names: list[str]
    after: dict[str, Any]


async def to_revisit(
    tx: Transaction, *, account: "Account", events: Sequence["Translated"], reported: Sequence[Reported]
) -> Revisits:
    """Return what must be read again; file an event of our own where the catalogue concerns more than one batch should read."""
    revisits = Revisits()
    told: dict[str, Reported] = {}
    for report in reported:
        if isinstance(report.fact, SubscriptionFact):
            known = told.get(report.fact.ref)
            told[report.fact.ref] = report if known is None or report.at < known.at else known
    if told:
        lows, highs = history_bounds(told)
        rows = await tx.fetch(
            _LEANING, account.tenant_id, account.id, list(told), [r.at for r in told.values()], lows, highs, BESIDE
        )
        revisits.purchases.update({row["id"]: told[row["ref"]].event_id for row in rows})
    for change in _catalogue_changes(events):
        left: dict[str, Any] = {}
        for kind, statement, found in (
            ("purchases", _WAITING_PURCHASES, revisits.purchases),
            ("subscriptions", _WAITING_SUBSCRIPTIONS, revisits.subscriptions),
        ):
            left[kind] = await _waiting(
                tx,
                account=account,
                change=change,
                after=change.after.get(kind),
                statement=statement,
                revisits=found,
            )
        await _continue(tx, account, change, {kind: at for kind, at in left.items() if at is not None})
    return revisits


async def _waiting(
    tx: Transaction,
    *,
    account: "Account",
    change: _CatalogueChange,
    after: Any,
    statement: str,
    revisits: dict[Any, UUID],
) -> Any:
    """Add what waits for the names of a change; return how far that came if there may be more, else None."""
    limit = REVISITS_MAX - len(revisits)
    if after is None or limit <= 0:
        return after
    rows = await tx.fetch(statement, account.tenant_id, account.id, change.names, after, limit)
    for row in rows:
        revisits.setdefault(row["id"], change.event_id)
    return rows[-1]["id"] if len(rows) == limit else None


async def _continue(tx: Transaction, account: "Account", change: _CatalogueChange, left: dict[str, Any]) -> None:
    if left:
        await file_own_event(
            tx,
            tenant_id=account.tenant_id,
            account_id=account.id,
            type=CATALOG_CHANGED,
            payload={"names": change.names, "after": {kind: str(at) for kind, at in left.items()}},
            occurred_at=change.occurred_at,
            event_id=f"continued:{change.event_id}",
        )


def _catalogue_changes(events: Iterable["Translated"]) -> list[_CatalogueChange]:
    changes = []
    for translated in events:
        event = translated.event
        if event.type == CATALOG_CHANGED and event.origin == "operator":
            data: dict[str, Any] = translated.payload.get("data", {})
            names = sorted({n for key in ("refs", "names") for n in data.get(key, ()) if isinstance(n, str)})
            after = dict(data["after"]) if "after" in data else _FIRST
            changes.append(_CatalogueChange(event.id, event.occurred_at, names, after))
    return changes
