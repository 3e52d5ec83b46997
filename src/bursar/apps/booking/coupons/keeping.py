"""Coupons of a business: made, changed, listed. What one takes off never changes; how often and until when does."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

import msgspec

from bursar.apps.booking.schedule import ClassNotFound, TemplateNotFound
from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict, FieldError, Invalid, NotFound
from bursar.kernel.listing import Listing, Part, Slice, part


class CouponNotFound(NotFound):
    """No coupon of this business has this id."""

    code = "coupon_not_found"


class CouponCodeTaken(Conflict):
    """The business has a coupon of this code already."""

    code = "coupon_code_taken"


class CouponTermsInvalid(Invalid):
    """A coupon takes either a share or an amount off, and ends after it begins."""

    code = "coupon_terms_invalid"


class CouponLimitTooLow(Conflict):
    """The coupon was taken oftener than it would be allowed."""

    code = "coupon_limit_too_low"


@dataclass(frozen=True, slots=True)
class Coupon:
    """A code that lessens a price. classes, templates: what it is for; both empty: all that is sold for money."""

    id: UUID
    code: str
    percent: int | None
    amount_minor: int | None
    currency: str | None
    valid_from: datetime | None
    valid_until: datetime | None
    uses_max: int | None
    uses_per_customer: int | None
    classes: Sequence[UUID]
    templates: Sequence[UUID]
    used: int
    is_on: bool
    created_at: datetime


@dataclass(frozen=True, slots=True)
class NewCoupon:
    """A coupon to be made. code: in whichever letters; kept in capitals."""

    code: str
    percent: int | None = None
    amount_minor: int | None = None
    currency: str | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    uses_max: int | None = None
    uses_per_customer: int | None = None
    classes: Sequence[UUID] = ()
    templates: Sequence[UUID] = ()


_SELECT: Final = """select k.id, k.code, k.percent, k.amount_minor, k.currency, k.valid_from, k.valid_until, k.uses_max, k.uses_per_customer,
  k.class_ids as classes, k.template_ids as templates, k.used, k.is_on, k.created_at from coupon k"""

COUPONS = Listing(
    select=_SELECT, tenant="k.tenant_id", key="k.id", filters={"code": "k.code = {}", "is_on": "k.is_on = {}"}
)

_ONE: Final = f"{_SELECT} where k.tenant_id = $1 and k.id = $2"
_LOCKED: Final = f"{_ONE} for no key update"

_ADD: Final = """
insert into coupon (tenant_id, id, code, percent, amount_minor, currency, valid_from, valid_until, uses_max, uses_per_customer, class_ids,
  template_ids)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) on conflict (tenant_id, code) do nothing returning id
"""

_SET: Final = """
update coupon set is_on = $3, valid_until = $4, uses_max = $5, uses_per_customer = $6, version = version + 1 where tenant_id = $1 and id = $2
"""

_TAKES_ANY: Final = "select exists (select from coupon where tenant_id = $1 and is_on)"
_CLASSES: Final = "select id from class_instance where tenant_id = $1 and id = any($2::uuid[]) and status <> 'deleted'"
_TEMPLATES: Final = "select id from class_template where tenant_id = $1 and id = any($2::uuid[]) and deleted_at is null"


async def coupon(tx: Transaction, *, tenant_id: UUID, coupon_id: UUID) -> Coupon:
    """Return one coupon. Raises CouponNotFound."""
    return _found(await tx.fetchrow(_ONE, tenant_id, coupon_id), coupon_id)


async def takes_any(tx: Transaction, *, tenant_id: UUID) -> bool:
    """Say whether a business has a code that it did not turn off."""
    found: bool = await tx.fetchval(_TAKES_ANY, tenant_id)
    return found


async def coupons(tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]) -> Part[Coupon]:
    """Return coupons, newest first. given: values by filter of `COUPONS`."""
    return await part(tx, COUPONS, tenant_id=tenant_id, given=given, page=page, view=lambda row: Coupon(**dict(row)))


async def add_coupon(tx: Transaction, *, tenant_id: UUID, new: NewCoupon, actor: str) -> Coupon:
    """Make a coupon. Raises CouponTermsInvalid, CouponCodeTaken, ClassNotFound, TemplateNotFound."""
    _check(new)
    await _require_meant(tx, tenant_id=tenant_id, new=new)
    coupon_id, code = ids.new(), new.code.upper()
    off = (new.percent, new.amount_minor, new.currency)
    limits = (new.valid_from, new.valid_until, new.uses_max, new.uses_per_customer)
    meant = (sorted(set(new.classes)), sorted(set(new.templates)))
    if not await tx.fetchval(_ADD, tenant_id, coupon_id, code, *off, *limits, *meant):
        raise CouponCodeTaken(f"there is a coupon {code} already", hint="Choose another code, or turn that one on.")
    made = await coupon(tx, tenant_id=tenant_id, coupon_id=coupon_id)
    await _record(tx, tenant_id, made, actor=actor, action="coupon.created", changes=_told(made))
    return made


async def change_coupon(
    tx: Transaction, *, tenant_id: UUID, coupon_id: UUID, changes: Mapping[str, Any], actor: str
) -> Coupon:
    """Change whether, until when and how often a coupon is taken. Raises CouponNotFound, CouponTermsInvalid, CouponLimitTooLow."""
    before = _found(await tx.fetchrow(_LOCKED, tenant_id, coupon_id), coupon_id)
    changeable = ("is_on", "valid_until", "uses_max", "uses_per_customer")
    wanted = {name: changes.get(name, getattr(before, name)) for name in changeable}
    if wanted["valid_until"] and before.valid_from and wanted["valid_until"] <= before.valid_from:
        raise _invalid("valid_until", "a coupon ends after it begins")
    if wanted["uses_max"] is not None and wanted["uses_max"] < before.used:
        raise CouponLimitTooLow(
            f"the coupon {before.code} was taken {before.used} times", hint="Allow as many at least, or turn it off."
        )
    await tx.execute(_SET, tenant_id, coupon_id, *wanted.values())
    after = await coupon(tx, tenant_id=tenant_id, coupon_id=coupon_id)
    if told := audit.changed(_told(before), _told(after)):
        await _record(tx, tenant_id, after, actor=actor, action="coupon.changed", changes=told)
    return after


def _check(new: NewCoupon) -> None:
    if (new.percent is None) == (new.amount_minor is None):
        raise _invalid("percent", "a coupon takes either a share or an amount off")
    if (new.amount_minor is None) != (new.currency is None):
        raise _invalid("currency", "an amount has a currency, and a share has none")
    if new.valid_from and new.valid_until and new.valid_until <= new.valid_from:
        raise _invalid("valid_until", "a coupon ends after it begins")


async def _require_meant(tx: Transaction, *, tenant_id: UUID, new: NewCoupon) -> None:
    if new.classes:
        known = {row["id"] for row in await tx.fetch(_CLASSES, tenant_id, list(new.classes))}
        for missing in set(new.classes) - known:
            raise ClassNotFound(f"there is no class {ids.show(ids.CLASS, missing)}", hint="See GET /v1/classes.")
    if new.templates:
        known = {row["id"] for row in await tx.fetch(_TEMPLATES, tenant_id, list(new.templates))}
        for missing in set(new.templates) - known:
            shown = ids.show(ids.CLASS_TEMPLATE, missing)
            raise TemplateNotFound(f"there is no class template {shown}", hint="See GET /v1/class-templates.")


async def _record(
    tx: Transaction, tenant_id: UUID, made: Coupon, *, actor: str, action: str, changes: dict[str, Any]
) -> None:
    shown = ids.show(ids.COUPON, made.id)
    await audit.record(tx, tenant_id=tenant_id, actor=actor, action=action, subject=shown, changes=changes)


def _told(made: Coupon) -> dict[str, Any]:
    silent = {"id", "used", "created_at", "classes", "templates"}
    told = {name: getattr(made, name) for name in Coupon.__dataclass_fields__ if name not in silent}
    told["classes"] = [ids.show(ids.CLASS, each) for each in made.classes]
    told["templates"] = [ids.show(ids.CLASS_TEMPLATE, each) for each in made.templates]
    plain: dict[str, Any] = msgspec.to_builtins(told)
    return plain


def _found(row: Any, coupon_id: UUID) -> Coupon:
    if row is None:
        raise CouponNotFound(f"there is no coupon {ids.show(ids.COUPON, coupon_id)}", hint="See GET /v1/coupons.")
    return Coupon(**dict(row))


def _invalid(field: str, message: str) -> CouponTermsInvalid:
    return CouponTermsInvalid(message, fields=(FieldError(field, "invalid", message),))
