"""What is offered: services, their tiers, and who gives them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final
from uuid import UUID

from bursar.apps.booking.policies import PolicyNotFound
from bursar.apps.booking.services.named import require_staff
from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict, FieldError, Invalid, NotFound
from bursar.money.catalog.queries import price_named
from bursar.money.catalog.selling import GrantCheck, add_price

SEAT: Final = "seat"


class ServiceNotFound(NotFound):
    """No service of this business has this id."""

    code = "service_not_found"


class TierNotFound(NotFound):
    """No tier of this service has this id."""

    code = "tier_not_found"


class TierPriceInvalid(Invalid):
    """The price cannot be a tier's: it recurs, or paying it grants no seat, or its deposit is none."""

    code = "tier_price_invalid"


class ServiceHasAppointments(Conflict):
    """Appointments are to come; what they are for cannot be deleted before them."""

    code = "service_has_appointments"


@dataclass(frozen=True, slots=True)
class NewService:
    """slot_min: minutes of the wall's clock at which appointments begin. lead_min: not sooner from now; horizon_days: not later."""

    name: str
    about: str = ""
    category: str = ""
    policy_id: UUID | None = None
    slot_min: int = 15
    lead_min: int = 0
    horizon_days: int = 90
    is_published: bool = True


@dataclass(frozen=True, slots=True)
class NewTier:
    """price, deposit_price: ids or lookup keys. deposit_percent: of the price, from which a price of its own is made."""

    name: str
    duration_min: int
    before_min: int = 0
    after_min: int = 0
    price: str | None = None
    deposit_price: str | None = None
    deposit_percent: int | None = None


_ADD = """
insert into service (tenant_id, id, name, about, category, policy_id, slot_min, lead_min, horizon_days, is_published)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""

_CHANGE = """
update service set name = $3, about = $4, category = $5, policy_id = $6, slot_min = $7, lead_min = $8, horizon_days = $9,
  is_published = $10, version = version + 1
where tenant_id = $1 and id = $2 and deleted_at is null returning id
"""

_POLICY = "select exists (select from booking_policy where tenant_id = $1 and id = $2 and deleted_at is null)"
_LOCK = "select id from service where tenant_id = $1 and id = $2 and deleted_at is null for update"
_STANDS = "select id from service where tenant_id = $1 and id = $2 and deleted_at is null for share"
_THERE = "select id from service where tenant_id = $1 and id = $2"
_LOCK_TIER = (
    "select id from tier where tenant_id = $1 and service_id = $2 and id = $3 and deleted_at is null for update"
)
_DELETE = "update service set deleted_at = $3 where tenant_id = $1 and id = $2"
_DELETE_TIER = "update tier set deleted_at = $3 where tenant_id = $1 and id = $2"

_COMING = """
select count(*) from booking
where tenant_id = $1 and service_id = $2 and starts_at > $3 and status in ('requested', 'held', 'booked')
  and ($4::uuid is null or tier_id = $4)
"""

_ADD_TIER = """
insert into tier (tenant_id, id, service_id, name, duration_min, before_min, after_min, price_id, deposit_price_id)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""

_PRICE = """
select p.id, p.product_id, p.amount_minor, p.currency, p.interval,
  exists (select from jsonb_array_elements(p.grants) as g where g ->> 'kind' = 'seat') as is_seat
from price p where p.tenant_id = $1 and p.id = $2
"""

_TEACH = """
insert into staff_skill (tenant_id, id, staff_id, service_id, tier_ids) values ($1, $2, $3, $4, $5)
on conflict on constraint staff_skill_once do update set tier_ids = excluded.tier_ids, ended_at = null
"""

_UNLEARN = "update staff_skill set ended_at = $4 where tenant_id = $1 and service_id = $2 and staff_id = $3 and ended_at is null returning id"
_OWN_TIERS = (
    "select count(*) from tier where tenant_id = $1 and service_id = $2 and id = any($3::uuid[]) and deleted_at is null"
)


async def add_service(tx: Transaction, *, tenant_id: UUID, new: NewService, actor: str) -> UUID:
    """Offer a service. It can be booked once it has a tier, somebody who gives it, and hours. Raises PolicyNotFound."""
    await _require_policy(tx, tenant_id, new.policy_id)
    service_id = ids.new()
    await tx.execute(_ADD, tenant_id, service_id, *_columns(new))
    await _tell(tx, tenant_id, actor, "service.added", service_id, {"name": new.name})
    return service_id


async def change_service(tx: Transaction, *, tenant_id: UUID, service_id: UUID, new: NewService, actor: str) -> None:
    """Offer it on other terms from now on; appointments that there are stay as they are. Raises ServiceNotFound, PolicyNotFound."""
    await _require_policy(tx, tenant_id, new.policy_id)
    if await tx.fetchval(_CHANGE, tenant_id, service_id, *_columns(new)) is None:
        raise _unknown(service_id)
    await _tell(tx, tenant_id, actor, "service.changed", service_id, {"name": new.name})


async def delete_service(tx: Transaction, *, tenant_id: UUID, service_id: UUID, actor: str, now: datetime) -> None:
    """Offer it no more; by its id it can still be read. Raises ServiceNotFound, ServiceHasAppointments."""
    if await tx.fetchval(_LOCK, tenant_id, service_id) is None:
        raise _unknown(service_id)
    await _refuse_coming(tx, tenant_id=tenant_id, service_id=service_id, tier_id=None, now=now)
    await tx.execute(_DELETE, tenant_id, service_id, now)
    await _tell(tx, tenant_id, actor, "service.deleted", service_id, {})


async def add_tier(
    tx: Transaction, *, tenant_id: UUID, service_id: UUID, new: NewTier, check: GrantCheck, actor: str, now: datetime
) -> UUID:
    """Offer a service in a length and for a price; its terms never change, new terms are a new tier.

    Raises ServiceNotFound, PriceNotFound, PriceDeleted, TierPriceInvalid.
    """
    if await tx.fetchval(_STANDS, tenant_id, service_id) is None:
        raise _unknown(service_id)
    price_id, deposit_id = await _prices(tx, tenant_id=tenant_id, new=new, check=check, actor=actor, now=now)
    tier_id = ids.new()
    times = (new.duration_min, new.before_min, new.after_min)
    await tx.execute(_ADD_TIER, tenant_id, tier_id, service_id, new.name, *times, price_id, deposit_id)
    changes = {"tier": ids.show(ids.TIER, tier_id), "name": new.name, "duration_min": new.duration_min}
    await _tell(tx, tenant_id, actor, "service.tier_added", service_id, changes)
    return tier_id


async def delete_tier(
    tx: Transaction, *, tenant_id: UUID, service_id: UUID, tier_id: UUID, actor: str, now: datetime
) -> None:
    """Offer a tier no more. Raises TierNotFound, ServiceHasAppointments."""
    if await tx.fetchval(_LOCK_TIER, tenant_id, service_id, tier_id) is None:
        raise TierNotFound(f"there is no tier {ids.show(ids.TIER, tier_id)} of this service")
    await _refuse_coming(tx, tenant_id=tenant_id, service_id=service_id, tier_id=tier_id, now=now)
    await tx.execute(_DELETE_TIER, tenant_id, tier_id, now)
    await _tell(tx, tenant_id, actor, "service.tier_deleted", service_id, {"tier": ids.show(ids.TIER, tier_id)})


async def set_skill(
    tx: Transaction, *, tenant_id: UUID, service_id: UUID, staff_id: UUID, tier_ids: Sequence[UUID], actor: str
) -> None:
    """Say that somebody gives a service: these tiers of it, or all where none is named.

    Raises ServiceNotFound, TierNotFound, StaffNotFound.
    """
    if await tx.fetchval(_STANDS, tenant_id, service_id) is None:
        raise _unknown(service_id)
    await require_staff(tx, tenant_id=tenant_id, staff_id=staff_id)
    wanted = sorted(set(tier_ids))
    if await tx.fetchval(_OWN_TIERS, tenant_id, service_id, wanted) != len(wanted):
        raise TierNotFound("one of the tiers is not of this service", hint="List the service's tiers.")
    await tx.execute(_TEACH, tenant_id, ids.new(), staff_id, service_id, wanted)
    changes = {"staff": ids.show(ids.STAFF, staff_id), "tiers": [ids.show(ids.TIER, each) for each in wanted]}
    await _tell(tx, tenant_id, actor, "service.staff_set", service_id, changes)


async def end_skill(
    tx: Transaction, *, tenant_id: UUID, service_id: UUID, staff_id: UUID, actor: str, now: datetime
) -> None:
    """Say that somebody gives a service no more; appointments that there are stay. Raises ServiceNotFound, StaffNotFound."""
    if await tx.fetchval(_THERE, tenant_id, service_id) is None:
        raise _unknown(service_id)
    await require_staff(tx, tenant_id=tenant_id, staff_id=staff_id)
    if await tx.fetchval(_UNLEARN, tenant_id, service_id, staff_id, now):
        changes = {"staff": ids.show(ids.STAFF, staff_id)}
        await _tell(tx, tenant_id, actor, "service.staff_ended", service_id, changes)


def share_of(amount_minor: int, percent: int) -> int:
    """Return so many per cent of an amount in whole minor units, a half rounded up."""
    return int((Decimal(amount_minor) * percent / 100).quantize(Decimal(1), rounding=ROUND_HALF_UP))


async def _prices(
    tx: Transaction, *, tenant_id: UUID, new: NewTier, check: GrantCheck, actor: str, now: datetime
) -> tuple[UUID | None, UUID | None]:
    """Return the tier's price and its deposit's."""
    if new.price is None:
        if new.deposit_price is not None or new.deposit_percent is not None:
            raise _wrong("deposit_price", "a tier without a price has no deposit")
        return None, None
    price = await _sellable(tx, tenant_id, new.price, field="price", is_paid=new.deposit_price is None)
    if new.deposit_price is not None:
        deposit = await _sellable(tx, tenant_id, new.deposit_price, field="deposit_price", is_paid=True)
        if deposit["currency"] != price["currency"] or not 0 < deposit["amount_minor"] < price["amount_minor"]:
            raise _wrong(
                "deposit_price", "a deposit is of the price's currency, more than nothing and less than the price"
            )
        return price["id"], deposit["id"]
    if new.deposit_percent is None:
        return price["id"], None
    amount = share_of(price["amount_minor"], new.deposit_percent)
    if not 0 < amount < price["amount_minor"]:
        raise _wrong("deposit_percent", "of this price that is nothing, or all of it")
    made = await add_price(
        tx,
        tenant_id=tenant_id,
        product_id=price["product_id"],
        lookup_key=None,
        amount_minor=amount,
        currency=price["currency"],
        interval=None,
        interval_count=1,
        grants=[{"kind": SEAT}],
        gateway_refs=[],
        recovers_shortfall=False,
        check=check,
        actor=actor,
        now=now,
    )
    return price["id"], made


async def _sellable(tx: Transaction, tenant_id: UUID, name: str, *, field: str, is_paid: bool) -> Any:
    price = await tx.fetchrow(_PRICE, tenant_id, await price_named(tx, tenant_id=tenant_id, name=name))
    if price["interval"]:
        raise _wrong(field, "a price that recurs pays for no appointment")
    if is_paid and not price["is_seat"]:
        raise _wrong(field, 'paying this price grants no seat; make a price with grants [{"kind": "seat"}]')
    if price["amount_minor"] == 0:
        raise _wrong(field, "a price of nothing; leave it out, and the tier costs nothing")
    return price


async def _require_policy(tx: Transaction, tenant_id: UUID, policy_id: UUID | None) -> None:
    if policy_id and not await tx.fetchval(_POLICY, tenant_id, policy_id):
        raise PolicyNotFound(f"there is no booking policy {ids.show(ids.BOOKING_POLICY, policy_id)}")


async def _refuse_coming(
    tx: Transaction, *, tenant_id: UUID, service_id: UUID, tier_id: UUID | None, now: datetime
) -> None:
    if coming := await tx.fetchval(_COMING, tenant_id, service_id, now, tier_id):
        raise ServiceHasAppointments(
            f"{coming} appointments are to come",
            hint="Cancel or move them first, or unpublish the service so that no more are made.",
            context={"appointments": coming},
        )


async def _tell(  # noqa: PLR0917
    tx: Transaction, tenant_id: UUID, actor: str, action: str, service_id: UUID, changes: dict[str, Any]
) -> None:
    subject = ids.show(ids.SERVICE, service_id)
    await audit.record(tx, tenant_id=tenant_id, actor=actor, action=action, subject=subject, changes=changes)


def _columns(new: NewService) -> tuple[object, ...]:
    times = (new.slot_min, new.lead_min, new.horizon_days)
    return (new.name, new.about, new.category, new.policy_id, *times, new.is_published)


def _unknown(service_id: UUID) -> ServiceNotFound:
    return ServiceNotFound(f"there is no service {ids.show(ids.SERVICE, service_id)}")


def _wrong(field: str, message: str) -> TierPriceInvalid:
    return TierPriceInvalid(message, fields=(FieldError(field, "invalid", message),))
