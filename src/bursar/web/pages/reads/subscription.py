"""One subscription: its periods with what was paid, what it granted, and what was asked of it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.amounts import Money
from bursar.kernel.db import Transaction
from bursar.web.pages.reads.payment import GrantRow, grant_of_row
from bursar.web.pages.reads.payments import word_of
from bursar.web.pages.reads.subscriptions import Rhythm, rhythm_of

_PERIODS_MAX: Final = 24
_EACH_MAX: Final = 50
_OFFERS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class PeriodRow:
    """A purchase of the subscription: a period, or what settled a change within one. invoice: its number, or the gateway's name."""

    starts_at: datetime | None
    invoice: str | None
    invoice_status: str | None
    total: Money | None
    payment_id: str | None
    payment_word: str | None
    paid: Money | None


@dataclass(frozen=True, slots=True)
class ChangeRow:
    """What was asked for. outcome: pending, done, refused or unknown; trouble: why it was refused, or what holds it up."""

    id: str
    kind: str
    outcome: str
    at: datetime
    actor: str
    sells: str | None
    quantity: int | None
    ends: str | None
    trial_end: datetime | None
    trouble: str | None
    call_id: str

    @property
    def words(self) -> str:
        """What was asked for, in a few words."""
        if self.kind == "cancellation":
            return "end at once" if self.ends == "now" else "end with its period"
        return {
            "change": "sell something else",
            "pause": "pause",
            "resumption": "resume",
            "reactivation": "let it go on",
            "trial_extension": "extend the trial",
        }[self.kind]


@dataclass(frozen=True, slots=True)
class Subscription:
    """A subscription. sells: the product; None while no price of ours is known. further: how many more lines it has."""

    id: str
    uuid: UUID
    account_id: UUID
    account: str
    gateway: str
    has_key: bool
    gateway_ref: str
    status: str
    customer_id: str | None
    customer: str | None
    price_id: str | None
    sells: str | None
    quantity: int
    further: int
    rhythm: Rhythm | None
    period_start: datetime | None
    period_end: datetime | None
    is_ending: bool
    cancel_at: datetime | None
    canceled_at: datetime | None
    ended_at: datetime | None
    trial_end: datetime | None
    created_at: datetime
    periods: tuple[PeriodRow, ...]
    grants: tuple[GrantRow, ...]
    changes: tuple[ChangeRow, ...]

    @property
    def is_sandbox(self) -> bool:
        return self.gateway == "sandbox"

    @property
    def open_change(self) -> ChangeRow | None:
        return next((change for change in self.changes if change.outcome in ("pending", "unknown")), None)


@dataclass(frozen=True, slots=True)
class Offer:
    """A recurring price that a gateway account knows, to which a subscription there can be changed."""

    id: str
    product: str
    rhythm: Rhythm


_SUBSCRIPTION = """
select s.id, s.gateway_account_id as account_id, left(a.name, 60) as account, a.gateway, a.api_key is not null and a.is_active as has_key,
  left(s.gateway_ref, 255) as gateway_ref, s.gateway_ref as ref, s.status, s.price_id, left(d.name, 120) as sells,
  coalesce((o.state #>> '{lines,0,quantity}')::bigint, 1) as quantity, greatest(coalesce(jsonb_array_length(o.state->'lines'), 1) - 1, 0) as further,
  r.amount_minor, r.currency, r.interval, r.interval_count,
  s.current_period_start as period_start, s.current_period_end as period_end, s.cancel_at_period_end as is_ending, s.cancel_at,
  s.canceled_at, s.ended_at, s.trial_end, s.created_at, c.id as customer_id, left(coalesce(c.name, c.email, c.gateway_ref), 100) as customer
from subscription s
join gateway_account a on a.tenant_id = s.tenant_id and a.id = s.gateway_account_id
left join customer c on c.tenant_id = s.tenant_id and c.id = s.customer_id
left join price r on r.tenant_id = s.tenant_id and r.id = s.price_id
left join product d on d.tenant_id = r.tenant_id and d.id = r.product_id
left join gateway_object o on o.tenant_id = s.tenant_id and o.gateway_account_id = s.gateway_account_id
  and o.kind = 'subscription' and o.ref = s.gateway_ref
where s.tenant_id = $1 and s.id = $2
"""

_PERIODS = f"""
select coalesce(u.period_start, u.paid_at) as starts_at, i.name as invoice, i.status as invoice_status, i.total_minor, i.currency as invoice_currency,
  p.id as payment_id, p.status as payment_status, p.amount_minor, p.currency, p.refunded_minor, p.is_disputed
from purchase u
left join lateral (
  select left(coalesce(i.number, i.gateway_ref), 80) as name, i.status, i.total_minor, i.currency
  from gateway_object o
  join invoice i on i.tenant_id = o.tenant_id and i.gateway_ref = o.ref and i.gateway_account_id = o.gateway_account_id
  where o.tenant_id = u.tenant_id and o.purchase_id = u.id and o.kind = 'invoice' order by i.id limit 1
) as i on true
left join lateral (
  select id, status, amount_minor, currency, refunded_minor, is_disputed from payment
  where tenant_id = u.tenant_id and purchase_id = u.id and superseded_by is null order by status = 'succeeded' desc, id limit 1
) as p on true
where u.tenant_id = $1 and u.gateway_account_id = $2 and u.subscription_ref = $3 and u.merged_into is null
order by coalesce(u.period_start, u.paid_at) desc nulls first, u.id desc limit {_PERIODS_MAX}
"""

_GRANTS = f"""
select g.id, g.kind, g.quantity, g.spec->>'amount' as amount, g.spec->>'pool' as pool,
  left(coalesce(g.spec->>'feature', g.spec->>'course', g.spec->>'meter', g.spec->>'name'), 120) as name, g.status, g.starts_at, g.ends_at,
  g.event_id, l.granted, l.taken, l.remaining
from fulfilment_grant g
left join credit_lot l on l.tenant_id = g.tenant_id and l.grant_id = g.id
where g.tenant_id = $1 and g.status <> 'superseded' and g.source_id = any(
  select $2::uuid union all
  (select u.id from purchase u where u.tenant_id = $1 and u.gateway_account_id = $3 and u.subscription_ref = $4
   order by coalesce(u.period_start, u.paid_at) desc limit {_PERIODS_MAX}))
order by g.starts_at desc, g.id desc limit {_EACH_MAX}
"""

_CHANGES = f"""
select h.id, h.kind, case k.state when 'asked' then 'pending' when 'succeeded' then 'done' else k.state end as outcome, h.created_at as at,
  left(h.actor, 80) as actor, left(d.name, 120) as sells, h.quantity, h.at as ends, h.trial_end, h.call_id,
  left(coalesce(k.error_message, k.error_kind), 300) as trouble
from subscription_change h
join gateway_call k on k.tenant_id = h.tenant_id and k.id = h.call_id
left join price r on r.tenant_id = h.tenant_id and r.id = h.price_id
left join product d on d.tenant_id = r.tenant_id and d.id = r.product_id
where h.tenant_id = $1 and h.subscription_id = $2 order by h.id desc limit {_EACH_MAX}
"""

_OFFERS = f"""
select distinct on (d.name, r.amount_minor, r.id) r.id, left(d.name, 80) as product, r.amount_minor, r.currency, r.interval, r.interval_count, 1 as quantity
from price_gateway_ref f
join price r on r.tenant_id = f.tenant_id and r.id = f.price_id
join product d on d.tenant_id = r.tenant_id and d.id = r.product_id
where f.tenant_id = $1 and f.gateway_account_id = $2 and r.interval is not null and r.is_active and d.is_active
order by d.name, r.amount_minor, r.id limit {_OFFERS_MAX}
"""


async def subscription(tx: Transaction, *, tenant_id: UUID, subscription_id: UUID) -> Subscription | None:
    """Return one subscription; None when this tenant has none of this id."""
    row = await tx.fetchrow(_SUBSCRIPTION, tenant_id, subscription_id)
    if row is None:
        return None
    periods = await tx.fetch(_PERIODS, tenant_id, row["account_id"], row["ref"])
    grants = await tx.fetch(_GRANTS, tenant_id, subscription_id, row["account_id"], row["ref"])
    changes = await tx.fetch(_CHANGES, tenant_id, subscription_id)
    told = {name: row[name] for name in _TOLD}
    return Subscription(
        **told,
        id=ids.show(ids.SUBSCRIPTION, row["id"]),
        uuid=row["id"],
        customer_id=ids.show(ids.CUSTOMER, row["customer_id"]) if row["customer_id"] else None,
        price_id=ids.show(ids.PRICE, row["price_id"]) if row["price_id"] else None,
        rhythm=rhythm_of(row),
        periods=tuple(_period(p) for p in periods),
        grants=tuple(grant_of_row(g) for g in grants),
        changes=tuple(_change(c) for c in changes),
    )


async def offers_at(tx: Transaction, *, tenant_id: UUID, account_id: UUID) -> tuple[Offer, ...]:
    """Return what a subscription of this account can be changed to."""
    found = []
    for row in await tx.fetch(_OFFERS, tenant_id, account_id):
        rhythm = rhythm_of(row)
        assert rhythm is not None, "only recurring prices are asked for"
        found.append(Offer(ids.show(ids.PRICE, row["id"]), row["product"], rhythm))
    return tuple(found)


_TOLD: Final = (
    "account_id", "account", "gateway", "has_key", "gateway_ref", "status", "customer", "sells", "quantity", "further",
    "period_start", "period_end", "is_ending", "cancel_at", "canceled_at", "ended_at", "trial_end", "created_at",
)  # fmt: skip


def _period(row: Any) -> PeriodRow:
    paid = Money(row["amount_minor"], row["currency"]) if row["payment_id"] else None
    refunded = Money(row["refunded_minor"], row["currency"]) if row["refunded_minor"] else None
    return PeriodRow(
        starts_at=row["starts_at"],
        invoice=row["invoice"],
        invoice_status=row["invoice_status"],
        total=Money(row["total_minor"], row["invoice_currency"]) if row["invoice"] else None,
        payment_id=ids.show(ids.PAYMENT, row["payment_id"]) if row["payment_id"] else None,
        payment_word=word_of(row["payment_status"], paid, refunded, is_disputed=row["is_disputed"]) if paid else None,
        paid=paid,
    )


def _change(row: Any) -> ChangeRow:
    told = dict(row)
    call_id = told.pop("call_id")
    return ChangeRow(
        **(
            told
            | {
                "id": ids.show(ids.SUBSCRIPTION_CHANGE, row["id"]),
                "call_id": ids.show(ids.GATEWAY_CALL, call_id),
                "trouble": row["trouble"] if row["outcome"] != "done" else None,
            }
        )
    )
