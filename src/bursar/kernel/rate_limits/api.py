"""Routes of a tenant's rate limits."""

from typing import Annotated

from fastapi import APIRouter
from pydantic import Field

from bursar.kernel.auth import Caller, CallerOf, TenantRoute, needs
from bursar.kernel.errors import FieldError, Invalid
from bursar.kernel.http import Input, View
from bursar.kernel.rate_limits.classes import Holder, RateClass, defaults
from bursar.kernel.rate_limits.overrides import Own, own_limits, set_own_limits

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["rate limits"])

PerMinute = Annotated[int, Field(ge=1, le=1_000_000, examples=[600])]


class RateLimitTooHigh(Invalid):
    """A tenant's limit is larger than the installation allows."""

    code = "rate_limit_too_high"


class RateLimitTwice(Invalid):
    """A class and holder are named twice."""

    code = "rate_limit_twice"


class OwnRateLimit(Input):
    rate_class: RateClass = Field(alias="class")
    holder: Holder
    per_minute: PerMinute


class OwnRateLimits(Input):
    """What is not named has the installation's number."""

    limits: list[OwnRateLimit] = Field(max_length=20)


class RateLimit(View):
    """How many requests of a class one user or key may make in a minute."""

    rate_class: RateClass = Field(serialization_alias="class")
    holder: Holder
    per_minute: int = Field(examples=[600])
    is_own: bool = Field(description="False: the installation's number.")


class RateLimits(View):
    limits: list[RateLimit]


@router.get("/rate-limits")
@needs("settings:write")
async def get_rate_limits(caller: CallerOf) -> RateLimits:
    """Show how often one user or key may ask."""
    async with caller.transaction() as tx:
        return _shown(caller, await own_limits(tx, tenant_id=caller.tenant_id))


@router.put("/rate-limits")
@needs("settings:write")
async def set_rate_limits(caller: CallerOf, wanted: OwnRateLimits) -> RateLimits:
    """Set the tenant's own limits in place of the ones it has. They count within five seconds."""
    own = _checked(caller, wanted)
    async with caller.transaction() as tx:
        await set_own_limits(tx, tenant_id=caller.tenant_id, own=own, actor=caller.actor)
    return _shown(caller, own)


def _checked(caller: Caller, wanted: OwnRateLimits) -> Own:
    most = caller.resources.settings.rate_tenant_max
    for index, limit in enumerate(wanted.limits):
        if limit.per_minute > most:
            wrong = FieldError(f"limits.{index}.per_minute", "out_of_range", f"at most {most} here")
            raise RateLimitTooHigh(
                f"this installation allows at most {most} a minute",
                hint="Whoever runs it can raise BURSAR_RATE_TENANT_MAX.",
                fields=(wrong,),
            )
    own: Own = {(limit.rate_class, limit.holder): limit.per_minute for limit in wanted.limits}
    if len(own) != len(wanted.limits):
        raise RateLimitTwice("a class and holder are named twice", hint="Name each once.")
    return own


def _shown(caller: Caller, own: Own) -> RateLimits:
    numbers = defaults(caller.resources.settings) | dict(own)
    return RateLimits(
        limits=[
            RateLimit(rate_class=rate, holder=holder, per_minute=number, is_own=(rate, holder) in own)
            for (rate, holder), number in numbers.items()
        ]
    )
