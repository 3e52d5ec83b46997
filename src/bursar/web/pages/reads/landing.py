"""What a customer who holds the link of a checkout is shown: how it stands, what was bought, and what it granted."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

import msgspec

from bursar.kernel import ids
from bursar.kernel.amounts import Money
from bursar.kernel.db import Transaction
from bursar.kernel.identity.tokens import Token

SHOWN_FOR: Final = timedelta(days=30)
"""How long a link opens anything: what it shows may open a course."""
_EACH_MAX: Final = 50

State = Literal["preparing", "open", "confirming", "paid", "failed", "expired", "refused"]


@dataclass(frozen=True, slots=True)
class Line:
    """What is bought. lookup_key: set where it may be bought anew by link."""

    product: str
    quantity: int
    money: Money
    interval: str | None
    interval_count: int
    lookup_key: str | None

    @property
    def every(self) -> str:
        """How often it is paid, with a space before; empty for what is paid once."""
        if self.interval is None:
            return ""
        return f" a {self.interval}" if self.interval_count == 1 else f" every {self.interval_count} {self.interval}s"


@dataclass(frozen=True, slots=True)
class Granted:
    """What was granted, in words. code: of a licence."""

    kind: str
    text: str
    code: str | None
    status: str
    starts_at: datetime
    ends_at: datetime | None


@dataclass(frozen=True, slots=True)
class Landing:
    """A checkout as its customer sees it. url: sealed address of the gateway's page. failure: why the last attempt to pay failed.

    is_granting: it grants something that is not there yet.
    """

    state: State
    gateway: str
    mode: str
    call_id: UUID
    sealed_url: bytes | None
    lines: tuple[Line, ...]
    total: Money | None
    paid: Money | None
    returned: Money | None
    failure: str | None
    granted: tuple[Granted, ...]
    is_granting: bool
    expires_at: datetime | None

    @property
    def again(self) -> str | None:
        """The lookup key of what may be bought anew by link."""
        return self.lines[0].lookup_key if len(self.lines) == 1 else None

    @property
    def is_settled(self) -> bool:
        """True when nothing more is expected to be told."""
        return self.state in ("failed", "expired", "refused") or (self.state == "paid" and not self.is_granting)


# Whoever was erased has no page either: what it showed was his.
_LANDING = """
select c.mode, c.created_at, a.gateway, k.id as call_id, k.state as call_state, k.url as sealed_url, o.lines::text as lines,
  s.status as session_status, s.payment_status, s.amount_minor, s.currency, coalesce(s.expires_at, c.expires_at) as expires_at,
  coalesce(u.merged_into, u.id) as purchase_id, c.gateway_account_id as account_id
from checkout c
join gateway_call k on k.tenant_id = c.tenant_id and k.id = c.call_id
join customer_order o on o.tenant_id = c.tenant_id and o.id = c.order_id
join gateway_account a on a.tenant_id = c.tenant_id and a.id = c.gateway_account_id
left join checkout_session s on s.tenant_id = c.tenant_id and s.gateway_account_id = c.gateway_account_id and s.gateway_ref = k.ref
left join purchase u on u.tenant_id = s.tenant_id and u.id = s.purchase_id
where c.tenant_id = $1 and c.id = $2 and c.link_sha256 = $3 and c.created_at > $4
  and not exists (select from customer x where x.tenant_id = c.tenant_id and x.erased_at is not null
    and (x.id = c.customer_id or x.id = s.customer_id or x.id = u.customer_id))
"""

_LINES = """
select p.id, left(d.name, 120) as product, p.amount_minor, p.currency, p.interval, p.interval_count, p.grants <> '[]' as is_granting,
  case when b.is_on and p.is_active and d.is_active and p.deleted_at is null then p.lookup_key end as lookup_key
from price p
join product d on d.tenant_id = p.tenant_id and d.id = p.product_id
left join buy_link b on b.tenant_id = p.tenant_id and b.price_id = p.id
where p.tenant_id = $1 and p.id = any($2::uuid[])
"""

_PAYMENT = """
select status, amount_minor, currency, refunded_minor, left(coalesce(failure_message, failure_code), 200) as failure
from payment where tenant_id = $1 and purchase_id = $2 and superseded_by is null order by status = 'succeeded' desc, id desc limit 1
"""

_GRANTED = f"""
select g.kind, g.quantity, g.status, g.starts_at, coalesce(l.expires_at, e.ends_at, g.ends_at) as ends_at,
  l.pool, l.granted, left(coalesce(e.key, g.spec->>'name'), 120) as name, e.amount_max, left(k.key, 128) as code
from fulfilment_grant g
left join credit_lot l on l.tenant_id = g.tenant_id and l.grant_id = g.id
left join entitlement e on e.tenant_id = g.tenant_id and e.grant_id = g.id
left join licence k on k.tenant_id = e.tenant_id and k.entitlement_id = e.id
where g.tenant_id = $1 and g.status <> 'superseded' and g.source_id = any(
  select $2::uuid union all
  select s.id from purchase u
  join subscription s on s.tenant_id = u.tenant_id and s.gateway_account_id = u.gateway_account_id and s.gateway_ref = u.subscription_ref
  where u.tenant_id = $1 and u.id = $2)
order by g.id limit {_EACH_MAX}
"""


async def landing(tx: Transaction, token: Token, *, now: datetime) -> Landing | None:
    """Return what a link opens; None when it opens nothing, or no more."""
    row = await tx.fetchrow(_LANDING, token.tenant_id, token.id, token.sha256, now - SHOWN_FOR)
    if row is None:
        return None
    lines, is_granting = await _lines(tx, token.tenant_id, row["lines"])
    purchase_id = row["purchase_id"]
    payment = await tx.fetchrow(_PAYMENT, token.tenant_id, purchase_id) if purchase_id else None
    granted = await tx.fetch(_GRANTED, token.tenant_id, purchase_id) if purchase_id else ()
    state = _state(row, payment)
    return Landing(
        state=state,
        gateway=row["gateway"],
        mode=row["mode"],
        call_id=row["call_id"],
        sealed_url=row["sealed_url"],
        lines=lines,
        total=_total(row, lines),
        paid=Money(payment["amount_minor"], payment["currency"]) if payment and state == "paid" else None,
        returned=Money(payment["refunded_minor"], payment["currency"])
        if payment and payment["refunded_minor"]
        else None,
        failure=payment["failure"] if payment and payment["status"] in ("failed", "canceled", "pending") else None,
        granted=tuple(_granted(g) for g in granted),
        is_granting=state == "paid" and is_granting and not granted,
        expires_at=row["expires_at"],
    )


_OF_PAYMENT: Final[dict[str, State]] = {"paid": "paid", "no_payment_required": "paid", "failed": "failed"}


def _state(row: Any, payment: Any) -> State:
    if payment and payment["status"] == "succeeded":
        return "paid"
    if row["call_state"] == "asked":
        return "preparing"
    if row["call_state"] != "succeeded":
        return "refused"
    status: Literal["open", "expired", "complete"] = row["session_status"] or "open"
    return _OF_PAYMENT.get(row["payment_status"], "confirming") if status == "complete" else status


async def _lines(tx: Transaction, tenant_id: UUID, told: str) -> tuple[tuple[Line, ...], bool]:
    """Return what was ordered, and whether any of it grants something."""
    ordered = [(ids.parse(ids.PRICE, line["price"]), line["quantity"]) for line in msgspec.json.decode(told)]
    rows = {row["id"]: row for row in await tx.fetch(_LINES, tenant_id, [price for price, _ in ordered])}
    lines = tuple(_line(rows[price], quantity) for price, quantity in ordered)
    return lines, any(row["is_granting"] for row in rows.values())


def _line(row: Any, quantity: int) -> Line:
    money = Money(row["amount_minor"] * quantity, row["currency"])
    return Line(row["product"], quantity, money, row["interval"], row["interval_count"], row["lookup_key"])


def _total(row: Any, lines: tuple[Line, ...]) -> Money | None:
    """Return what the gateway says it comes to; before it does, what the lines come to."""
    if row["amount_minor"] is not None and row["currency"]:
        return Money(row["amount_minor"], row["currency"])
    if not lines:
        return None
    return Money(sum(line.money.minor for line in lines), lines[0].money.currency)


def _granted(row: Any) -> Granted:
    if row["granted"] is not None:
        text = f"{row['granted']:,} {row['pool'] or ''} credits".replace("  ", " ")
    else:
        text = row["name"] or row["kind"]
        if row["amount_max"] is not None and row["kind"] != "licence":
            text += f", {row['amount_max']:,}"
    return Granted(row["kind"], text[:200], row["code"], row["status"], row["starts_at"], row["ends_at"])
