"""Routes of coupons."""

from datetime import datetime
from typing import Annotated, Any, Final

from fastapi import APIRouter, Path, Query
from pydantic import Field

from bursar.apps.booking.coupons import keeping
from bursar.apps.booking.coupons.judging import CODE
from bursar.apps.booking.coupons.keeping import Coupon, NewCoupon
from bursar.kernel.auth import CallerOf, TenantRoute, needs
from bursar.kernel.http import AmountMinor, Currency, Input, Instant, Page, PageFilters, View, page_of
from bursar.kernel.http.identifiers import ClassId, ClassTemplateId, CouponId
from bursar.kernel.listing import Part

READING: Final = "schedule:read"
WRITING: Final = "schedule:write"

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["coupons"])

CouponPath = Annotated[CouponId, Path()]
Code = Annotated[str, Field(pattern=CODE, max_length=32, examples=["SPRING-10"])]
UsesMax = Annotated[int, Field(strict=True, ge=1, le=1_000_000)]
UsesOfCustomer = Annotated[int, Field(strict=True, ge=1, le=1000)]
_EVERYBODY: Final = "How often it is taken by all customers together; none: as often as one likes."


class WantedCoupon(Input):
    """A code that lessens the price of seats: by a share, or by an amount of its currency. What it takes off never changes."""

    code: Code = Field(description="Small letters are as good as capitals.")
    percent: Annotated[int, Field(strict=True, ge=1, le=100)] | None = None
    amount_minor: Annotated[AmountMinor, Field(ge=1)] | None = None
    currency: Currency | None = Field(default=None, description="Of the amount; the class has to cost the same.")
    valid_from: Instant | None = None
    valid_until: Instant | None = Field(default=None, description="From then on it is taken no more.")
    uses_max: UsesMax | None = Field(default=None, description=_EVERYBODY)
    uses_per_customer: UsesOfCustomer | None = None
    classes: list[ClassId] = Field(
        default=[], max_length=50, description="With `templates`: what it is for; none: all."
    )
    templates: list[ClassTemplateId] = Field(default=[], max_length=50)


class ChangedCoupon(Input):
    """What is left out stays. A limit of null is none; it is never below how often the coupon was taken."""

    is_on: bool | None = None
    valid_until: Instant | None = None
    uses_max: UsesMax | None = None
    uses_per_customer: UsesOfCustomer | None = None


class ShownCoupon(View):
    """A code that lessens the price of seats."""

    id: CouponId
    code: str
    percent: int | None
    amount_minor: int | None
    currency: str | None
    valid_from: datetime | None
    valid_until: datetime | None
    uses_max: int | None
    uses_per_customer: int | None
    classes: list[ClassId]
    templates: list[ClassTemplateId]
    used: int = Field(description="How many bookings have it; those that gave it back are not counted.")
    is_on: bool
    created_at: datetime

    @classmethod
    def shown(cls, coupon: Coupon) -> "ShownCoupon":
        told = {name: getattr(coupon, name) for name in Coupon.__dataclass_fields__}
        return cls(**told | {"classes": list(coupon.classes), "templates": list(coupon.templates)})


class CouponFilters(PageFilters):
    code: Code | None = None
    is_on: bool | None = None

    @property
    def given(self) -> dict[str, Any]:
        told = super().given
        return told | {"code": told["code"].upper()} if told.get("code") else told


@router.get("/coupons")
@needs(READING)
async def list_coupons(caller: CallerOf, filters: Annotated[CouponFilters, Query()]) -> Page[ShownCoupon]:
    """List coupons, newest first."""
    async with caller.transaction() as tx:
        found = await keeping.coupons(tx, tenant_id=caller.tenant_id, page=filters.slice, given=filters.given)
    return page_of(Part(tuple(map(ShownCoupon.shown, found.rows)), found.next_after))


@router.post("/coupons", status_code=201)
@needs(WRITING)
async def create_coupon(caller: CallerOf, new: WantedCoupon) -> ShownCoupon:
    """Make a coupon. Booking with it is `coupon` of POST /v1/bookings."""
    wanted = NewCoupon(**{name: getattr(new, name) for name in WantedCoupon.model_fields})
    async with caller.transaction() as tx:
        return ShownCoupon.shown(
            await keeping.add_coupon(tx, tenant_id=caller.tenant_id, new=wanted, actor=caller.actor)
        )


@router.get("/coupons/{coupon}")
@needs(READING)
async def get_coupon(caller: CallerOf, coupon: CouponPath) -> ShownCoupon:
    """Return one coupon."""
    async with caller.transaction() as tx:
        return ShownCoupon.shown(await keeping.coupon(tx, tenant_id=caller.tenant_id, coupon_id=coupon))


@router.patch("/coupons/{coupon}")
@needs(WRITING)
async def change_coupon(caller: CallerOf, coupon: CouponPath, changed: ChangedCoupon) -> ShownCoupon:
    """Turn a coupon on or off, or change until when and how often it is taken. Bookings that have it keep it."""
    changes = {
        name: getattr(changed, name)
        for name in changed.model_fields_set
        if name != "is_on" or changed.is_on is not None
    }
    async with caller.transaction() as tx:
        return ShownCoupon.shown(
            await keeping.change_coupon(
                tx, tenant_id=caller.tenant_id, coupon_id=coupon, changes=changes, actor=caller.actor
            )
        )
