"""Refund what is unused of a pack: the credits go at once, the money when the gateway reports it, each once.

The credits are spent under the refund's name in the transaction that promises the money, so that nobody books with them meanwhile. When
the refund is reported, the core takes back its share of the pack, and what was reserved for that goes back to the lot: nothing is left.
When the gateway refuses, all of it goes back.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal
from uuid import UUID

from bursar.apps.booking import bookings, rules
from bursar.apps.booking.packs.offers import Pack, UsedCosts, Worth, worth
from bursar.apps.booking.rules.elsewhere import PACK_REFUND, REFUND_WINDOW
from bursar.kernel import audit, ids, jobs
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict, FieldError
from bursar.money import refunding
from bursar.money.fulfilment import returning, spending
from bursar.money.payments.queries import PaymentNotFound

SETTLE: Final = "packs.settle_refund"
_TOLD_MAX: Final = 50
_AGAIN: Final = timedelta(minutes=1)
_SOON: Final = timedelta(seconds=5)
_CANCELLED: Final = "The pack that paid for it was refunded."

SPENDS: Final = spending.Reserved(
    "pack-refund:", "refunds of packs", "They go back by themselves where the gateway refuses the refund."
)
"""The spends of refunds of packs. Permanent."""

Status = Literal["asked", "refunded", "failed"]


class PackNotRefundable(Conflict):
    """The payment bought no pack of credits that could be refunded by itself."""

    code = "pack_not_refundable"


class PackRefunded(Conflict):
    """The pack was refunded, or is being refunded."""

    code = "pack_refunded_already"


class PackUsedUp(Conflict):
    """Nothing is left of the pack that is worth anything."""

    code = "pack_used_up"


class PackHasBookings(Conflict):
    """Bookings to come are paid with the pack. `errors` lists them."""

    code = "pack_has_bookings"


class PackRefundChanged(Conflict):
    """The offer is another one by now."""

    code = "pack_refund_changed"


class RefundWindowOver(Conflict):
    """The pack was paid too long ago."""

    code = "refund_window_over"


@dataclass(frozen=True, slots=True)
class Using:
    """A booking to come that is paid with the pack. amount: of the pack's credits."""

    booking_id: UUID
    number: str
    starts_at: datetime
    class_id: UUID | None
    amount: int


@dataclass(frozen=True, slots=True)
class Offer:
    """What would go back for a pack now. bookings: what it pays for still. is_cancelling: they are cancelled first, so that their credits
    count as unused; else they are in the way.
    """

    payment_id: UUID
    lot_id: UUID
    pack: Pack
    worth: Worth
    currency: str
    bookings: tuple[Using, ...]
    is_cancelling: bool


@dataclass(frozen=True, slots=True)
class PackRefund:
    """What went back for a pack, or is on its way."""

    refund_id: UUID
    payment_id: UUID
    lot_id: UUID
    status: Status
    amount_minor: int
    currency: str
    granted: int
    used: int
    unused: int
    created_at: datetime


_COLUMNS: Final = "refund_id, payment_id, lot_id, status, amount_minor, currency, granted, used, unused, created_at"

_PAYMENT = """
select p.id, p.status, p.amount_minor, p.refunded_minor, p.amount_minor - p.refunded_minor - p.promised_minor as left_minor, p.currency,
  p.purchase_id, coalesce(u.paid_at, p.created_at) as paid_at
from payment p left join purchase u on u.tenant_id = p.tenant_id and u.id = p.purchase_id
where p.tenant_id = $1 and p.id = (select coalesce(superseded_by, id) from payment where tenant_id = $1 and id = $2)
"""

_GRANTS = """
select g.kind, g.status, l.id as lot_id, l.granted, l.taken, l.is_suspended,
  case when l.expires_at <= $3 then 0 else l.remaining end as unused
from fulfilment_grant g left join credit_lot l on l.tenant_id = g.tenant_id and l.grant_id = g.id
where g.tenant_id = $1 and g.source_kind = 'purchase' and g.source_id = $2 and g.status <> 'superseded'
order by g.id limit 2
"""

_LOCK_LOT = "select 1 from credit_lot where tenant_id = $1 and id = $2 for update"

_USING = f"""
select b.id as booking_id, b.number, b.starts_at, b.class_id, s.amount
from (select m.spend_id, sum(-m.amount)::int as amount from credit_movement m
      where m.tenant_id = $1 and m.lot_id = $2 and m.kind = 'spent' group by m.spend_id) as s
join booking b on b.tenant_id = $1 and b.spend_id = s.spend_id and b.status in ('requested', 'held', 'booked') and b.starts_at > $3
order by b.starts_at, b.id limit {_TOLD_MAX}
"""

_KNOWN = "select refund_id, status from pack_refund where tenant_id = $1 and payment_id = $2 and status <> 'failed'"

_WRITE = f"""
insert into pack_refund (tenant_id, refund_id, payment_id, lot_id, status, amount_minor, currency, granted, used, unused,
  reserved_spend_id, forfeited_spend_id, asked_by, created_at)
values ($1, $2, $3, $4, 'asked', $5, $6, $7, $8, $9, $10, $11, $12, $13)
returning {_COLUMNS}
"""

_OPEN = """
select r.status, k.reserved_spend_id, k.forfeited_spend_id from pack_refund k
join refund r on r.tenant_id = k.tenant_id and r.id = k.refund_id
where k.tenant_id = $1 and k.refund_id = $2 and k.status = 'asked' for update of k
"""

_SETTLED = (
    "update pack_refund set status = $3, settled_at = $4 where tenant_id = $1 and refund_id = $2 and status = 'asked'"
)


async def offer(tx: Transaction, *, tenant_id: UUID, payment_id: UUID, now: datetime) -> Offer:
    """Say what would go back for what is unused of a pack, and which bookings it pays for.

    Raises PaymentNotFound, PackNotRefundable, PackRefunded, PackUsedUp, RefundWindowOver.
    """
    payment = await tx.fetchrow(_PAYMENT, tenant_id, payment_id)
    if payment is None:
        raise PaymentNotFound(f"there is no payment {ids.show(ids.PAYMENT, payment_id)}")
    settings = await rules.settings_of(tx, tenant_id=tenant_id)
    known = await tx.fetchrow(_KNOWN, tenant_id, payment["id"])
    if known:
        shown = ids.show(ids.REFUND, known["refund_id"])
        raise PackRefunded(f"the pack's refund is {shown}", hint="A pack is refunded once.", context={"refund": shown})
    _check_window(settings, payment, now=now)
    chosen = settings.values(rules.BY_ID[PACK_REFUND])
    lot = _lot(payment, await tx.fetch(_GRANTS, tenant_id, payment["purchase_id"], now))
    rows = await tx.fetch(_USING, tenant_id, lot["lot_id"], now)
    using = tuple(Using(**dict(row)) for row in rows)
    is_cancelling = chosen["bookings_to_come"] == "cancel"
    pack = Pack(
        lot["granted"],
        lot["taken"],
        lot["unused"] + (sum(each.amount for each in using) if is_cancelling else 0),
        payment["amount_minor"],
        payment["refunded_minor"],
        payment["left_minor"],
    )
    used_costs: UsedCosts = "single_price" if chosen["used_costs"] == "single_price" else "pack_unit"
    value = worth(pack, used_costs=used_costs, single_minor=int(chosen["single_minor"]))
    return Offer(payment["id"], lot["lot_id"], pack, value, payment["currency"], using, is_cancelling)


async def refund_pack(
    tx: Transaction,
    *,
    tenant_id: UUID,
    payment_id: UUID,
    amount_minor: int | None,
    reason: str | None,
    actor: str,
    now: datetime,
) -> PackRefund:
    """Promise the money for what is unused of a pack, and take the credits out of it.

    amount_minor: what was offered; None takes what is offered now. Raises what `offer` does, PackHasBookings, PackRefundChanged,
    and what `refunding.ask_refund` does.
    """
    seen = await offer(tx, tenant_id=tenant_id, payment_id=payment_id, now=now)
    if seen.is_cancelling:
        await _cancel(tx, tenant_id, seen.bookings, actor=actor, now=now)
    # Seen again under the lock: who books with the pack waits for it, or was before us and is seen.
    await tx.fetchval(_LOCK_LOT, tenant_id, seen.lot_id)
    found = await offer(tx, tenant_id=tenant_id, payment_id=payment_id, now=now)
    _check(found, amount_minor=amount_minor)
    refund_id = ids.new()
    shown = ids.show(ids.REFUND, refund_id)
    spends: list[UUID | None] = []
    for what, count in (("reserved", found.worth.reserved), ("forfeited", found.worth.forfeited)):
        reference = f"{SPENDS.prefix}{shown}:{what}"
        place: dict[str, Any] = {"tenant_id": tenant_id, "lot_id": found.lot_id, "reference": reference}
        spends.append(await spending.spend_of_lot(tx, **place, amount=count, actor=actor, now=now) if count else None)
    await refunding.ask_refund(
        tx,
        tenant_id=tenant_id,
        payment_id=found.payment_id,
        amount_minor=found.worth.amount_minor,
        reason=reason,
        actor=actor,
        now=now,
        refund_id=refund_id,
    )
    pack = found.pack
    row = await tx.fetchrow(
        _WRITE,
        *(tenant_id, refund_id, found.payment_id, found.lot_id, found.worth.amount_minor, found.currency),
        *(pack.granted, pack.used, pack.unused, *spends, actor, now),
    )
    changes = {
        "payment": ids.show(ids.PAYMENT, found.payment_id),
        "lot": ids.show(ids.LOT, found.lot_id),
        "amount_minor": found.worth.amount_minor,
        "currency": found.currency,
        "used": pack.used,
        "unused": pack.unused,
    }
    await audit.record(tx, tenant_id=tenant_id, actor=actor, action="pack.refund_asked", subject=shown, changes=changes)
    await jobs.enqueue(tx, tenant_id=tenant_id, kind=SETTLE, key=shown, run_at=now + _SOON)
    return PackRefund(**dict(row))


async def _cancel(tx: Transaction, tenant_id: UUID, using: tuple[Using, ...], *, actor: str, now: datetime) -> None:
    """Cancel what the pack pays for, in the order in which classes are locked. All of it comes back, late or not."""
    for each in sorted(using, key=lambda each: (each.class_id or each.booking_id, each.booking_id)):
        await bookings.cancel(
            tx,
            tenant_id=tenant_id,
            booking_id=each.booking_id,
            is_customer=False,
            reason=_CANCELLED,
            actor=actor,
            now=now,
        )


async def settle_refund(work: jobs.Work) -> None:
    """Bring a pack's refund to its end when the gateway's report, or its refusal, has come. Until then it waits."""
    tenant_id, refund_id = work.job.tenant_id, ids.parse(ids.REFUND, work.job.key)
    now = work.resources.now()
    async with work.finish() as tx:
        row = await tx.fetchrow(_OPEN, tenant_id, refund_id)
        if row is None:
            return
        if row["status"] == "pending":
            raise jobs.Postponed("the gateway has not said what became of the refund", after=_AGAIN)
        is_done = row["status"] == "succeeded"
        back = [row["reserved_spend_id"]] if is_done else [row["reserved_spend_id"], row["forfeited_spend_id"]]
        spends = [spend_id for spend_id in back if spend_id]
        await returning.give_back_all(tx, tenant_id=tenant_id, spend_ids=spends, actor="policy:pack-refund", now=now)
        await tx.execute(_SETTLED, tenant_id, refund_id, "refunded" if is_done else "failed", now)


KINDS: Final = (jobs.Kind(SETTLE, settle_refund),)


def _lot(payment: Any, grants: list[Any]) -> Any:
    if payment["status"] != "succeeded" or len(grants) != 1 or grants[0]["lot_id"] is None:
        raise PackNotRefundable(
            "the payment did not buy one pack of credits, and nothing else",
            hint="Refund it with POST /v1/refunds: its share of everything that it bought is taken back.",
        )
    if grants[0]["is_suspended"]:
        raise PackNotRefundable("the pack is suspended", hint="Wait for the end of its dispute.")
    if grants[0]["status"] == "revoked":
        raise PackRefunded("the payment was given back in full", hint="A pack is refunded once.")
    return grants[0]


def _check_window(settings: rules.Settings, payment: Any, *, now: datetime) -> None:
    rule = rules.BY_ID[REFUND_WINDOW]
    days = int(settings.values(rule)["days"])
    if settings.is_on(rule) and now >= payment["paid_at"] + timedelta(days=days):
        raise RefundWindowOver(
            f"the pack was paid {payment['paid_at'].date()}, and is refunded for {days} days",
            hint="POST /v1/refunds gives money back all the same.",
            context={"paid_on": payment["paid_at"].date().isoformat()},
        )


def _check(found: Offer, *, amount_minor: int | None) -> None:
    if found.bookings:
        told = ", ".join(each.number for each in found.bookings)
        raise PackHasBookings(
            f"{len(found.bookings)} bookings to come are paid with the pack: {told}",
            hint="Cancel them first.",
            fields=tuple(
                FieldError(ids.show(ids.BOOKING, each.booking_id), "pack_has_bookings", each.number)
                for each in found.bookings
            ),
            context={"bookings": len(found.bookings)},
        )
    if not found.worth.amount_minor:
        raise PackUsedUp(
            f"{found.pack.used} of {found.pack.granted} credits are gone", hint="Nothing is left to refund."
        )
    if amount_minor is not None and amount_minor != found.worth.amount_minor:
        raise PackRefundChanged(
            f"{found.worth.amount_minor} are offered by now, not {amount_minor}",
            hint="Ask for the offer again.",
            context={"amount_minor": found.worth.amount_minor, "currency": found.currency},
        )
