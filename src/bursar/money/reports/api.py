"""Routes of reports: JSON, or CSV for whoever accepts only that."""

from typing import Annotated, Any, Final

from fastapi import APIRouter, Query
from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from bursar.kernel.auth import Caller, CallerOf, TenantRoute, needs
from bursar.kernel.db import Transaction
from bursar.kernel.errors import FieldError
from bursar.kernel.http import Day, Filters, Reason
from bursar.kernel.http.identifiers import AccountId, PriceId
from bursar.kernel.listing import FilterNotFound, existence
from bursar.kernel.zones import Days, recent_days, time_zone_of
from bursar.money.payments.schemas import RefundState
from bursar.money.reports.conversion import checkout_conversion
from bursar.money.reports.daily import daily_payments
from bursar.money.reports.plans import plan_mix
from bursar.money.reports.refunds import refund_report
from bursar.money.reports.schemas import CheckoutConversion, DailyPayments, PlanMix, RefundReport, TrialConversion
from bursar.money.reports.sheets import (
    MEDIA_TYPE,
    conversion_sheet,
    daily_payments_sheet,
    plans_sheet,
    refunds_sheet,
    trials_sheet,
)
from bursar.money.reports.trials import trial_conversion

_CSV: Final[dict[int | str, dict[str, Any]]] = {200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}}
_ACCOUNT = existence("gateway_account")
_PRICE = existence("price")

router = APIRouter(prefix="/v1/reports", route_class=TenantRoute, tags=["reports"])


class ReportFilters(Filters):
    """Days are those of the business's zone; without any, the last thirty up to today."""

    first_day: Day | None = Field(default=None, description="Without it: thirty days up to the last one.")
    last_day: Day | None = Field(default=None, description="Included. Without it: today.")
    gateway_account: AccountId | None = None


class RefundReportFilters(ReportFilters):
    status: RefundState | None = None
    reason: Reason | None = None


class ConversionFilters(ReportFilters):
    price: PriceId | None = Field(default=None, description="Only checkouts that sell it.")


class NoFilters(Filters):
    """It is of now, and of everything."""


@router.get("/daily-payments", responses=_CSV, response_model=DailyPayments)
@needs("payments:read")
async def get_daily_payments(caller: CallerOf, request: Request, filters: Annotated[ReportFilters, Query()]) -> Any:
    """Sum payments by day, gateway account, currency and state, with the rates of success and failure.

    A payment counts on the day on which the gateway made it, with the state that it has now. Amounts are before refunds.
    """
    async with caller.transaction() as tx:
        days = await _days(tx, caller, filters)
        report = await daily_payments(tx, tenant_id=caller.tenant_id, days=days, account_id=filters.gateway_account)
    return sheet_answer(daily_payments_sheet(report), "daily-payments", days) if _wants_csv(request) else report


@router.get("/refunds", responses=_CSV, response_model=RefundReport)
@needs("refunds:read")
async def get_refund_report(
    caller: CallerOf, request: Request, filters: Annotated[RefundReportFilters, Query()]
) -> Any:
    """Sum refunds by gateway account, reason, currency and state.

    A refund counts on the day on which the gateway made it, with the state that it has now.
    """
    async with caller.transaction() as tx:
        days = await _days(tx, caller, filters)
        report = await refund_report(
            tx,
            tenant_id=caller.tenant_id,
            days=days,
            account_id=filters.gateway_account,
            status=filters.status,
            reason=filters.reason,
        )
    return sheet_answer(refunds_sheet(report), "refunds", days) if _wants_csv(request) else report


@router.get("/checkouts", responses=_CSV, response_model=CheckoutConversion)
@needs("payments:read")
async def get_checkout_conversion(
    caller: CallerOf, request: Request, filters: Annotated[ConversionFilters, Query()]
) -> Any:
    """Count the checkouts that were started in a period by what became of them, with the rate of conversion, by day and by what they sell.

    A checkout counts on the day on which it was started here, with the outcome that it has now. What may still be paid is open, not lost.
    As CSV: by what they sell.
    """
    async with caller.transaction() as tx:
        days = await _days(tx, caller, filters)
        if filters.price and not await tx.fetchval(_PRICE, caller.tenant_id, filters.price):
            raise _not_found("price", "there is no such price")
        report = await checkout_conversion(
            tx,
            tenant_id=caller.tenant_id,
            days=days,
            now=caller.now(),
            account_id=filters.gateway_account,
            price_id=filters.price,
        )
    return sheet_answer(conversion_sheet(report), "checkouts", days) if _wants_csv(request) else report


@router.get("/trials", responses=_CSV, response_model=TrialConversion)
@needs("subscriptions:read")
async def get_trial_conversion(caller: CallerOf, request: Request, filters: Annotated[ReportFilters, Query()]) -> Any:
    """Count the trials that end in a period by what became of them, with the rate of conversion, by day and by what was tried.

    A trial counts on the day on which it ends, and is paid once money came for its subscription from then on. As CSV: by what was tried.
    """
    async with caller.transaction() as tx:
        days = await _days(tx, caller, filters)
        report = await trial_conversion(tx, tenant_id=caller.tenant_id, days=days, account_id=filters.gateway_account)
    return sheet_answer(trials_sheet(report), "trials", days) if _wants_csv(request) else report


@router.get("/plans", responses=_CSV, response_model=PlanMix)
@needs("subscriptions:read")
async def get_plan_mix(caller: CallerOf, request: Request, _filters: Annotated[NoFilters, Query()]) -> Any:
    """Show what is subscribed to now, recurring revenue by plan and altogether, and the churn of thirty days.

    Recurring revenue is list prices of active and past-due subscriptions per month: neither discounts nor quantities.
    """
    async with caller.transaction() as tx:
        report = await plan_mix(tx, tenant_id=caller.tenant_id, now=caller.now())
    return sheet_of(plans_sheet(report), f"plans_{report.at.date()}.csv") if _wants_csv(request) else report


def sheet_answer(sheet: str, name: str, days: Days) -> Response:
    """Return a report of some days as a file. name: what it is of."""
    return sheet_of(sheet, f"{name}_{days.first}_{days.last}.csv")


def sheet_of(sheet: str, filename: str) -> Response:
    """Return a report as a file."""
    return Response(
        sheet,
        media_type=f"{MEDIA_TYPE}; charset=utf-8; header=present",
        headers={"content-disposition": f'attachment; filename="{filename}"'},
    )


async def _days(tx: Transaction, caller: Caller, filters: ReportFilters) -> Days:
    """Return the days asked for. Raises PeriodInvalid, FilterNotFound."""
    account_id = filters.gateway_account
    if account_id and not await tx.fetchval(_ACCOUNT, caller.tenant_id, account_id):
        raise _not_found("gateway_account", "there is no such gateway account")
    zone = await time_zone_of(tx, tenant_id=caller.tenant_id)
    return recent_days(zone, first=filters.first_day, last=filters.last_day, now=caller.now())


def _not_found(name: str, said: str) -> FilterNotFound:
    return FilterNotFound(said, fields=(FieldError(name, "not_found", "nothing of this tenant has this id"),))


def _wants_csv(request: Request) -> bool:
    """True when CSV is named among what is accepted, and JSON is not."""
    accepted = [part.partition(";")[0].strip().lower() for part in request.headers.get("accept", "").split(",")]
    return MEDIA_TYPE in accepted and "application/json" not in accepted
