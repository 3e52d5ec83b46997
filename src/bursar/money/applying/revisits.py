"""What must be read again although no report spoke of it: the catalogue or a subscription changed what it means."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from uuid import UUID

from bursar.kernel.db import Transaction
from bursar.money.gateways.facts import SubscriptionFact
from bursar.money.merging import Reported

if TYPE_CHECKING:
    from bursar.money.applying.batch import Account
    from bursar.money.applying.translation import Translated

CATALOG_CHANGED = "bursar.catalog.changed"
_BATCH_MAX = 10_000

_LEANING = """
select id from purchase
where tenant_id = $1 and gateway_account_id = $2 and subscription_ref = any($3::text[]) and leans_on_subscription
order by id
"""

_UNMATCHED = """
select id from purchase
where tenant_id = $1 and gateway_account_id = $2 and is_paid and unmatched_reason is not null and unmatched_refs && $3::text[]
order by id limit $4
"""

_UNPRICED = """
select s.gateway_ref as ref from subscription s
join gateway_object o on o.tenant_id = s.tenant_id and o.gateway_account_id = s.gateway_account_id
  and o.kind = 'subscription' and o.ref = s.gateway_ref
where s.tenant_id = $1 and s.gateway_account_id = $2 and s.price_id is null
  and exists (select 1 from jsonb_path_query(o.state, 'strict $.lines[*].prices[*]', silent => true) as p where p #>> '{}' = any($3::text[]))
order by s.gateway_ref limit $4
"""


async def purchases_to_revisit(
    tx: Transaction, *, account: "Account", events: Sequence["Translated"], reported: Sequence[Reported]
) -> dict[UUID, UUID]:
    """Return purchases to be read again, each with the event that asks for it."""
    told = {r.fact.ref: r.event_id for r in reported if isinstance(r.fact, SubscriptionFact)}
    revisit: dict[UUID, UUID] = {}
    if told:
        any_event = next(iter(told.values()))
        for row in await tx.fetch(_LEANING, account.tenant_id, account.id, sorted(told)):
            revisit[row["id"]] = any_event
    for event, names in _catalogue_changes(events):
        for row in await tx.fetch(_UNMATCHED, account.tenant_id, account.id, names, _BATCH_MAX):
            revisit.setdefault(row["id"], event)
    return revisit


async def subscriptions_to_revisit(
    tx: Transaction, *, account: "Account", events: Sequence["Translated"]
) -> dict[str, UUID]:
    """Return subscriptions whose price the catalogue now knows, each with the event that says so."""
    revisit: dict[str, UUID] = {}
    for event, names in _catalogue_changes(events):
        for row in await tx.fetch(_UNPRICED, account.tenant_id, account.id, names, _BATCH_MAX):
            revisit.setdefault(row["ref"], event)
    return revisit


def _catalogue_changes(events: Sequence["Translated"]) -> list[tuple[UUID, list[str]]]:
    """Return the catalogue changes of the batch: event, and every name that now means something."""
    changes = []
    for translated in events:
        if translated.event.type == CATALOG_CHANGED and translated.event.origin == "operator":
            data: dict[str, Any] = translated.payload.get("data", {})
            names = [n for key in ("refs", "names") for n in data.get(key, ()) if isinstance(n, str)]
            changes.append((translated.event.id, sorted(set(names))))
    return changes
