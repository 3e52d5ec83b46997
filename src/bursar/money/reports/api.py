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
from bursar.kernel.http.identifiers import AccountId
from bursar.kernel.listing import FilterNotFound, existence
from bursar.kernel.zones import Days, recent_days, time_zone_of
from bursar.money.payments.schemas import RefundState
from bursar.money.reports.daily import daily_payments
from bursar.money.reports.refunds import refund_report
from bursar.money.reports.schemas import DailyPayments, RefundReport
from bursar.money.reports.sheets import MEDIA_TYPE, daily_payments_sheet, refunds_sheet

_CSV: Final[dict[int | str, dict[str, Any]]] = {200: {"content": {MEDIA_TYPE: {"schema": {"type": "string"}}}}}
_ACCOUNT = existence("gateway_account")

router = APIRouter(prefix="/v1/reports", route_class=TenantRoute, tags=["reports"])


class ReportFilters(Filters):
    """Days are those of the business's zone; without any, the last thirty up to today."""

    first_day: Day | None = Field(default=None, description="Without it: thirty days up to the last one.")
    last_day: Day | None = Field(default=None, description="Included. Without it: today.")
    gateway_account: AccountId | None = None


class RefundReportFilters(ReportFilters):
    status: RefundState | None = None
    reason: Reason | None = None


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


def sheet_answer(sheet: str, name: str, days: Days) -> Response:
    """Return a report as a file. name: what it is of."""
    filename = f"{name}_{days.first}_{days.last}.csv"
    return Response(
        sheet,
        media_type=f"{MEDIA_TYPE}; charset=utf-8; header=present",
        headers={"content-disposition": f'attachment; filename="{filename}"'},
    )


async def _days(tx: Transaction, caller: Caller, filters: ReportFilters) -> Days:
    """Return the days asked for. Raises PeriodInvalid, FilterNotFound."""
    account_id = filters.gateway_account
    if account_id and not await tx.fetchval(_ACCOUNT, caller.tenant_id, account_id):
        wrong = FieldError("gateway_account", "not_found", "nothing of this tenant has this id")
        raise FilterNotFound("there is no such gateway account", fields=(wrong,))
    zone = await time_zone_of(tx, tenant_id=caller.tenant_id)
    return recent_days(zone, first=filters.first_day, last=filters.last_day, now=caller.now())


def _wants_csv(request: Request) -> bool:
    """True when CSV is named among what is accepted, and JSON is not."""
    accepted = [part.partition(";")[0].strip().lower() for part in request.headers.get("accept", "").split(",")]
    return MEDIA_TYPE in accepted and "application/json" not in accepted
