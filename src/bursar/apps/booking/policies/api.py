"""Routes of booking policies."""

from dataclasses import fields
from datetime import datetime
from typing import Annotated, Literal, Self

from fastapi import APIRouter, Path
from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from bursar.apps.booking.policies import keeping
from bursar.apps.booking.policies.terms import BOUNDS, FEATURE, FREE_MAX, ExpiredLot, Late, Terms, WaitlistMode
from bursar.kernel.auth import CallerOf, TenantRoute, needs
from bursar.kernel.http import Currency, Input, Name, View
from bursar.kernel.http.identifiers import BookingPolicyId

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["booking policies and rules"])

READING = "schedule:read"
WRITING = "schedule:write"

PolicyName = Annotated[Name, Field(max_length=120, examples=["24 hours"])]


class WantedTerms(Input):
    """Under what seats are booked. What is left out is as by default."""

    cancel_minutes: int = Field(
        default=1440,
        ge=BOUNDS["cancel_minutes"][0],
        le=BOUNDS["cancel_minutes"][1],
        description="Until so many elapsed minutes before the start cancelling costs nothing.",
    )
    grace_days: int = Field(
        default=14,
        ge=BOUNDS["grace_days"][0],
        le=BOUNDS["grace_days"][1],
        description="For how many days credits come back whose lot expired meanwhile, where `expired_lot` is `grace`.",
    )
    hold_minutes: int = Field(
        default=15,
        ge=BOUNDS["hold_minutes"][0],
        le=BOUNDS["hold_minutes"][1],
        description="How long a seat waits for its payment.",
    )
    money_back: int = Field(
        default=100,
        ge=BOUNDS["money_back"][0],
        le=BOUNDS["money_back"][1],
        description="Percent of the price that goes back on a cancellation in time.",
    )
    reschedules_max: int = Field(
        default=3,
        ge=BOUNDS["reschedules_max"][0],
        le=BOUNDS["reschedules_max"][1],
        description="How often a booking may be moved.",
    )
    reschedule_minutes: int = Field(
        default=1440,
        ge=BOUNDS["reschedule_minutes"][0],
        le=BOUNDS["reschedule_minutes"][1],
        description="Until so many elapsed minutes before the start a booking may be moved.",
    )
    waitlist_until_minutes: int = Field(
        default=60,
        ge=BOUNDS["waitlist_until_minutes"][0],
        le=BOUNDS["waitlist_until_minutes"][1],
        description="Nobody who waits is given a seat later than so many minutes before the start.",
    )
    offer_minutes: int = Field(
        default=60,
        ge=BOUNDS["offer_minutes"][0],
        le=BOUNDS["offer_minutes"][1],
        description="How long a seat is offered to who waits, where `waitlist_mode` is `offer`.",
    )
    late_cancel: Late = Field(default="keep", description="What becomes of the credits of a late cancellation.")
    no_show: Late = Field(default="keep", description="What becomes of the credits of who does not come.")
    expired_lot: ExpiredLot = Field(
        default="grace", description="What becomes of credits whose lot expired before they came back."
    )
    waitlist_mode: WaitlistMode = Field(default="auto", description="Whether who waits is given a seat, or offered it.")
    needs_approval: bool = Field(default=False, description="Whether a booking waits for staff to confirm it.")
    no_show_fee_minor: int = Field(
        default=0,
        ge=0,
        le=BOUNDS["no_show_fee_minor"][1],
        description="What is owed for a booking whose customer does not come, in minor units; 0 is nothing.",
    )
    late_cancel_fee_minor: int = Field(
        default=0,
        ge=0,
        le=BOUNDS["late_cancel_fee_minor"][1],
        description="What is owed for a booking that is cancelled late, in minor units; 0 is nothing.",
    )
    fee_currency: Currency | Literal[""] = Field(default="", description="Of both fees; a fee has one.")
    fee_after: int = Field(
        default=0,
        ge=BOUNDS["fee_after"][0],
        le=BOUNDS["fee_after"][1],
        description="So many no-shows and late cancellations, in the days of the rule `offences`, cost nothing first.",
    )
    fee_free_for: list[Annotated[str, Field(pattern=FEATURE, examples=["member"])]] = Field(
        default_factory=list,
        max_length=FREE_MAX,
        description="Features: who has one of them when it begins owes no fee.",
    )

    @model_validator(mode="after")
    def _fee_has_currency(self) -> Self:
        if (self.no_show_fee_minor or self.late_cancel_fee_minor) and not self.fee_currency:
            raise PydanticCustomError("fee_currency_missing", "A fee has a currency: say fee_currency, as EUR")
        return self


class ShownTerms(WantedTerms):
    """Under what seats are booked."""


class WantedPolicy(Input):
    """Terms under a name. A change reaches bookings made from now on; each booking keeps the terms it was made under."""

    name: PolicyName
    terms: WantedTerms = WantedTerms()
    is_default: bool = Field(default=False, description="Of classes that name no policy. There is one at most.")


class BookingPolicy(View):
    id: BookingPolicyId
    name: str
    is_default: bool
    terms: ShownTerms
    version: int = Field(description="Counts the changes.")
    created_at: datetime


class BookingPolicies(View):
    data: list[BookingPolicy]


@router.get("/booking-policies")
@needs(READING)
async def list_booking_policies(caller: CallerOf) -> BookingPolicies:
    """List the policies, the default first; at most 200."""
    async with caller.transaction() as tx:
        found = await keeping.policies_of(tx, tenant_id=caller.tenant_id)
    return BookingPolicies(data=[_shown(policy) for policy in found])


@router.post("/booking-policies", status_code=201)
@needs(WRITING)
async def create_booking_policy(caller: CallerOf, new: WantedPolicy) -> BookingPolicy:
    """Add a policy."""
    async with caller.transaction() as tx:
        made = await keeping.create_policy(
            tx,
            tenant_id=caller.tenant_id,
            name=new.name,
            terms=_terms(new.terms),
            is_default=new.is_default,
            actor=caller.actor,
        )
    return _shown(made)


@router.get("/booking-policies/{policy}")
@needs(READING)
async def get_booking_policy(caller: CallerOf, policy: Annotated[BookingPolicyId, Path()]) -> BookingPolicy:
    """Return one policy."""
    async with caller.transaction() as tx:
        return _shown(await keeping.policy_of(tx, tenant_id=caller.tenant_id, policy_id=policy))


@router.put("/booking-policies/{policy}")
@needs(WRITING)
async def put_booking_policy(
    caller: CallerOf, policy: Annotated[BookingPolicyId, Path()], wanted: WantedPolicy
) -> BookingPolicy:
    """Change a policy. Bookings that were made keep the terms they were made under."""
    async with caller.transaction() as tx:
        changed = await keeping.change_policy(
            tx,
            tenant_id=caller.tenant_id,
            policy_id=policy,
            name=wanted.name,
            terms=_terms(wanted.terms),
            is_default=wanted.is_default,
            actor=caller.actor,
        )
    return _shown(changed)


@router.delete("/booking-policies/{policy}", status_code=204)
@needs(WRITING)
async def delete_booking_policy(caller: CallerOf, policy: Annotated[BookingPolicyId, Path()]) -> None:
    """Delete a policy. Refused with `booking_policy_in_use` while templates or coming classes are under it."""
    async with caller.transaction() as tx:
        await keeping.delete_policy(
            tx, tenant_id=caller.tenant_id, policy_id=policy, actor=caller.actor, now=caller.now()
        )


def _terms(wanted: WantedTerms) -> Terms:
    return Terms(**wanted.model_dump())


def _shown(policy: keeping.Policy) -> BookingPolicy:
    told = {field.name: getattr(policy.terms, field.name) for field in fields(Terms)}
    terms = ShownTerms(**told | {"fee_free_for": list(policy.terms.fee_free_for)})
    return BookingPolicy(
        id=policy.id,
        name=policy.name,
        is_default=policy.is_default,
        terms=terms,
        version=policy.version,
        created_at=policy.created_at,
    )
