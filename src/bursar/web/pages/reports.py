"""Reports: payments, refunds, conversion, plans, as pages and as sheets; and the zone in which their days begin."""

from datetime import date
from typing import Annotated

from fastapi import APIRouter, Query
from starlette.responses import Response

from bursar.kernel.auth import needs
from bursar.kernel.db import Transaction
from bursar.kernel.zones import Days, PeriodInvalid, recent_days, set_time_zone, time_zone_of, zone_names
from bursar.money.reports import (
    checkout_conversion,
    conversion_sheet,
    daily_payments,
    daily_payments_sheet,
    plan_mix,
    plans_sheet,
    refund_report,
    refunds_sheet,
    trial_conversion,
    trials_sheet,
)
from bursar.money.reports.api import sheet_answer, sheet_of
from bursar.web.pages.reads.conversion import checkout_funnels, churn, plans_by_currency, trial_funnels
from bursar.web.pages.reads.reports import by_currency, refunds_by_currency
from bursar.web.pages.routing import PageRoute
from bursar.web.pages.visits import Visit, Visiting, to

DayText = Annotated[str, Query(max_length=20)]

router = APIRouter(route_class=PageRoute)


@router.get("/reports")
@needs("payments:read")
async def daily_page(visit: Visiting, first_day: DayText = "", last_day: DayText = "") -> Response:
    """Show what payments came to, day by day."""
    async with visit.open() as page:
        days = await days_asked(page.tx, visit, first_day, last_day)
        report = await daily_payments(page.tx, tenant_id=visit.tenant_id, days=days)
        return page.answer("report_days.html", parts=by_currency(report), period=report.period, asked=_asked(days))


@router.get("/reports/daily-payments.csv")
@needs("payments:read")
async def daily_sheet(visit: Visiting, first_day: DayText = "", last_day: DayText = "") -> Response:
    """Give the same as a sheet."""
    async with visit.resources.db.tenant(visit.tenant_id) as tx:
        days = await days_asked(tx, visit, first_day, last_day)
        report = await daily_payments(tx, tenant_id=visit.tenant_id, days=days)
    return sheet_answer(daily_payments_sheet(report), "daily-payments", days)


@router.get("/reports/refunds")
@needs("refunds:read")
async def refunds_page(visit: Visiting, first_day: DayText = "", last_day: DayText = "") -> Response:
    """Show what refunds came to, by reason."""
    async with visit.open() as page:
        days = await days_asked(page.tx, visit, first_day, last_day)
        report = await refund_report(page.tx, tenant_id=visit.tenant_id, days=days)
        parts = refunds_by_currency(report)
        return page.answer("report_refunds.html", parts=parts, period=report.period, asked=_asked(days))


@router.get("/reports/refunds.csv")
@needs("refunds:read")
async def refunds_file(visit: Visiting, first_day: DayText = "", last_day: DayText = "") -> Response:
    """Give the same as a sheet."""
    async with visit.resources.db.tenant(visit.tenant_id) as tx:
        days = await days_asked(tx, visit, first_day, last_day)
        report = await refund_report(tx, tenant_id=visit.tenant_id, days=days)
    return sheet_answer(refunds_sheet(report), "refunds", days)


@router.get("/reports/conversion")
@needs("payments:read")
async def conversion_page(visit: Visiting, first_day: DayText = "", last_day: DayText = "") -> Response:
    """Show which checkouts and trials were paid."""
    async with visit.open() as page:
        tx, tenant_id = page.tx, visit.tenant_id
        days = await days_asked(tx, visit, first_day, last_day)
        checkouts = await checkout_conversion(tx, tenant_id=tenant_id, days=days, now=visit.now)
        is_seen = visit.may("subscriptions:read")
        trials = await trial_conversion(tx, tenant_id=tenant_id, days=days) if is_seen else None
        return page.answer(
            "report_conversion.html",
            checkouts=checkout_funnels(checkouts),
            trials=trial_funnels(trials) if trials else (),
            period=checkouts.period,
            asked=_asked(days),
        )


@router.get("/reports/checkouts.csv")
@needs("payments:read")
async def checkouts_file(visit: Visiting, first_day: DayText = "", last_day: DayText = "") -> Response:
    """Give what became of checkouts as a sheet."""
    async with visit.resources.db.tenant(visit.tenant_id) as tx:
        days = await days_asked(tx, visit, first_day, last_day)
        report = await checkout_conversion(tx, tenant_id=visit.tenant_id, days=days, now=visit.now)
    return sheet_answer(conversion_sheet(report), "checkouts", days)


@router.get("/reports/trials.csv")
@needs("subscriptions:read")
async def trials_file(visit: Visiting, first_day: DayText = "", last_day: DayText = "") -> Response:
    """Give what became of trials as a sheet."""
    async with visit.resources.db.tenant(visit.tenant_id) as tx:
        days = await days_asked(tx, visit, first_day, last_day)
        report = await trial_conversion(tx, tenant_id=visit.tenant_id, days=days)
    return sheet_answer(trials_sheet(report), "trials", days)


@router.get("/reports/plans")
@needs("subscriptions:read")
async def plans_page(visit: Visiting) -> Response:
    """Show what is subscribed to, and what it brings."""
    async with visit.open() as page:
        report = await plan_mix(page.tx, tenant_id=visit.tenant_id, now=visit.now)
        return page.answer("report_plans.html", parts=plans_by_currency(report), churn=churn(report), asked={})


@router.get("/reports/plans.csv")
@needs("subscriptions:read")
async def plans_file(visit: Visiting) -> Response:
    """Give the same as a sheet."""
    async with visit.resources.db.tenant(visit.tenant_id) as tx:
        report = await plan_mix(tx, tenant_id=visit.tenant_id, now=visit.now)
    return sheet_of(plans_sheet(report), f"plans_{report.at.date()}.csv")


@router.get("/reports/time-zone")
@needs("settings:write")
async def zone_page(visit: Visiting) -> Response:
    """Show in which zone days begin, and ask for another one."""
    async with visit.open() as page:
        zone = await time_zone_of(page.tx, tenant_id=visit.tenant_id)
        return page.answer("report_zone.html", zone=zone.key, names=zone_names())


@router.post("/reports/time-zone")
@needs("settings:write")
async def change_zone(visit: Visiting) -> Response:
    """Cut days in another zone from now on."""
    name = (await visit.form()).get("time_zone", "")
    async with visit.open() as page:
        await set_time_zone(page.tx, tenant_id=visit.tenant_id, name=name, actor=visit.actor)
    return to("/reports")


async def days_asked(tx: Transaction, visit: Visit, first: str, last: str) -> Days:
    """Return the days of a report; what cannot be read as a day is left out. Raises PeriodInvalid."""
    zone = await time_zone_of(tx, tenant_id=visit.tenant_id)
    return recent_days(zone, first=_day(first), last=_day(last), now=visit.now)


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(text) if text else None
    except ValueError as error:
        raise PeriodInvalid("There is no such day.", hint="Write a day like 2026-01-31.") from error


def _asked(days: Days) -> dict[str, str]:
    return {"first_day": days.first.isoformat(), "last_day": days.last.isoformat()}
