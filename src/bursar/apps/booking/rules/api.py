"""Routes of the rules of booking, and of why somebody cannot book."""

from typing import Annotated

from fastapi import APIRouter, Path, Query
from pydantic import Field, StrictBool, StrictInt, StrictStr

from bursar.apps.booking.coupons import CODE
from bursar.apps.booking.rules import keeping
from bursar.apps.booking.rules.deciding import failures
from bursar.apps.booking.rules.models import Area, Failure, Parameter, Pays, Source
from bursar.apps.booking.rules.situations import situation
from bursar.kernel.auth import CallerOf, TenantRoute, needs
from bursar.kernel.http import Filters, Input, Key, View
from bursar.kernel.http.identifiers import ClassId, CustomerId

router = APIRouter(prefix="/v1", route_class=TenantRoute, tags=["booking policies and rules"])

_PARAMETERS_MAX = 20

ParameterValue = StrictBool | StrictInt | Annotated[StrictStr, Field(max_length=64)]


class WantedBookingRule(Input):
    """How a rule holds. A parameter that is left out is as by default."""

    is_on: bool
    parameters: dict[Annotated[str, Field(max_length=64)], ParameterValue] = Field(
        default_factory=dict, max_length=_PARAMETERS_MAX
    )


class RuleParameter(View):
    """Something of a rule that a business chooses. `least` and `most` bound a number, `choices` are the words there are."""

    name: str
    value: ParameterValue
    default: ParameterValue
    description: str
    least: int | None
    most: int | None
    choices: list[str]


class BookingRule(View):
    """A rule of the catalogue as the business has it."""

    rule: str = Field(description="Permanent.", examples=["bookings_per_day"])
    number: int = Field(description="Its place among the rules that were asked for.")
    area: Area
    code: str | None = Field(description="Of the refusal. Permanent. Null: it refuses nothing, it decides.")
    description: str
    enforced: str = Field(description="When or where it is decided.")
    is_on: bool
    is_switchable: bool
    is_waivable: bool = Field(description="Whether staff may go on nevertheless, with a reason.")
    parameters: list[RuleParameter]


class BookingRules(View):
    data: list[BookingRule]


class Asked(Filters):
    customer: CustomerId
    seats: int = Field(default=1, ge=1, le=100)
    source: Source = Field(default="online", description="As what the booking would be made.")
    pays: Pays = Field(
        default="auto",
        description="`credits`: money may not stand in for them. `both`: money for those that are missing.",
    )
    coupon: Annotated[str, Field(pattern=CODE, max_length=32)] | None = None


class FailedRule(View):
    """A rule that is not kept."""

    rule: str
    code: str
    message: str = Field(description="What is in the way.")
    hint: str = Field(description="What to do.")
    is_waivable: bool = Field(description="Whether staff may go on nevertheless, with a reason.")
    context: dict[str, str | int]


class Bookability(View):
    """Whether a customer may book, and everything that is in the way."""

    is_bookable: bool
    failures: list[FailedRule]


@router.get("/booking-rules")
@needs("schedule:read")
async def list_booking_rules(caller: CallerOf) -> BookingRules:
    """List every rule of the catalogue, as the business has it."""
    async with caller.transaction() as tx:
        found = await keeping.rules_of(tx, tenant_id=caller.tenant_id)
    return BookingRules(data=[_shown(each) for each in found])


@router.put("/booking-rules/{rule}")
@needs("schedule:write")
async def put_booking_rule(caller: CallerOf, rule: Annotated[Key, Path()], wanted: WantedBookingRule) -> BookingRule:
    """Let a rule hold, or no more, and with which parameters. What is out of bounds is refused, with the bounds."""
    async with caller.transaction() as tx:
        chosen = await keeping.set_rule(
            tx,
            tenant_id=caller.tenant_id,
            rule_id=rule,
            is_on=wanted.is_on,
            values=wanted.parameters,
            actor=caller.actor,
        )
    return _shown(chosen)


@router.get("/classes/{class}/bookability")
@needs("bookings:read")
async def get_bookability(
    caller: CallerOf, class_id: Annotated[ClassId, Path(alias="class")], asked: Annotated[Asked, Query()]
) -> Bookability:
    """Say whether a customer may book a class now, and if not every reason. It is what booking decides by."""
    async with caller.transaction() as tx:
        found = failures(
            await situation(
                tx,
                tenant_id=caller.tenant_id,
                class_id=class_id,
                customer_id=asked.customer,
                seats=asked.seats,
                source=asked.source,
                pays=asked.pays,
                coupon=asked.coupon,
                now=caller.now(),
            )
        )
    return Bookability(is_bookable=not found, failures=[_failed(each) for each in found])


def _shown(chosen: keeping.Chosen) -> BookingRule:
    rule = chosen.rule
    return BookingRule(
        rule=rule.id,
        number=rule.number,
        area=rule.area,
        code=rule.code,
        description=rule.told,
        enforced=rule.where,
        is_on=chosen.is_on,
        is_switchable=rule.is_switchable,
        is_waivable=rule.is_waivable,
        parameters=[_parameter(each, chosen) for each in rule.parameters],
    )


def _parameter(parameter: Parameter, chosen: keeping.Chosen) -> RuleParameter:
    return RuleParameter(
        name=parameter.name,
        value=chosen.values[parameter.name],
        default=parameter.default,
        description=parameter.description,
        least=parameter.least,
        most=parameter.most,
        choices=list(parameter.choices),
    )


def _failed(failure: Failure) -> FailedRule:
    return FailedRule(
        rule=failure.rule,
        code=failure.code,
        message=failure.message,
        hint=failure.hint,
        is_waivable=failure.is_waivable,
        context=failure.context,
    )
