"""Reports as CSV (RFC 4180), for a spreadsheet: one row for each sum, and the zone in every row."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Final

from bursar.money.reports.schemas import (
    CheckoutConversion,
    DailyPayments,
    Offered,
    Period,
    PlanMix,
    RefundReport,
    TrialConversion,
)

MEDIA_TYPE: Final = "text/csv"

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for a formula (OWASP, "CSV Injection")."""

_DAILY: Final = (
    "day", "time_zone", "gateway_account", "gateway", "account_name", "currency", "sandbox", "status", "payments", "amount_minor",
    "success_rate", "failure_rate",
)  # fmt: skip
_REFUNDS: Final = (
    "first_day", "last_day", "time_zone", "gateway_account", "gateway", "account_name", "reason", "other_reasons", "currency",
    "sandbox", "status", "refunds", "amount_minor",
)  # fmt: skip
_DAYS: Final = ("first_day", "last_day", "time_zone")
_OFFER: Final = ("price", "product", "lookup_key", "price_minor", "currency", "interval", "interval_count", "sandbox")
_CONVERSION: Final = (*_DAYS, *_OFFER, "started", "paid", "free", "open", "lost", "refused", "conversion_rate")
_TRIALS: Final = (*_DAYS, *_OFFER, "ended", "paid", "open", "lost", "conversion_rate")
_PLANS: Final = ("at", *_OFFER, "active", "past_due", "trialing", "mrr_minor", "mrr_share")


def daily_payments_sheet(report: DailyPayments) -> str:
    """Return a row for each day, gateway account, currency and state. The rates are of the row's day, account and currency."""
    zone = report.period.time_zone
    rows = []
    for each in report.data:
        shown = each.model_dump(mode="json")
        rows += [
            (
                shown["day"],
                zone,
                shown["gateway_account"],
                each.gateway,
                each.account_name,
                each.currency,
                _word(each.is_sandbox),
                status,
                sums.payments,
                sums.amount_minor,
                each.success_rate,
                each.failure_rate,
            )
            for status, sums in each.by_status.items()
        ]
    return _sheet(_DAILY, rows)


def refunds_sheet(report: RefundReport) -> str:
    """Return a row for each gateway account, reason, currency and state."""
    period = report.period.model_dump(mode="json")
    rows = []
    for each in report.data:
        shown = each.model_dump(mode="json")
        rows.append(
            (
                period["first_day"],
                period["last_day"],
                period["time_zone"],
                shown["gateway_account"],
                each.gateway,
                each.account_name,
                each.reason,
                _word(each.is_other),
                each.currency,
                _word(each.is_sandbox),
                each.status,
                each.refunds,
                each.amount_minor,
            )
        )
    return _sheet(_REFUNDS, rows)


def conversion_sheet(report: CheckoutConversion) -> str:
    """Return a row for each price that was sold."""
    days = _days(report.period)
    rows = [
        (
            *days,
            *_offer(each.offer, each.is_sandbox),
            *(each.started, each.paid, each.free, each.open, each.lost, each.refused, each.conversion_rate),
        )
        for each in report.data
    ]
    return _sheet(_CONVERSION, rows)


def trials_sheet(report: TrialConversion) -> str:
    """Return a row for each price that was tried."""
    days = _days(report.period)
    rows = [
        (
            *days,
            *_offer(each.offer, each.is_sandbox),
            *(each.ended, each.paid, each.open, each.lost, each.conversion_rate),
        )
        for each in report.data
    ]
    return _sheet(_TRIALS, rows)


def plans_sheet(report: PlanMix) -> str:
    """Return a row for each price that is subscribed to."""
    at = report.model_dump(mode="json", include={"at"})["at"]
    rows = [
        (
            at,
            *_offer(each.offer, each.is_sandbox),
            *(each.active, each.past_due, each.trialing, each.mrr_minor, each.mrr_share),
        )
        for each in report.data
    ]
    return _sheet(_PLANS, rows)


def _days(period: Period) -> tuple[object, ...]:
    shown = period.model_dump(mode="json")
    return shown["first_day"], shown["last_day"], period.time_zone


def _offer(offer: Offered | None, is_sandbox: object) -> tuple[object, ...]:
    told = offer.model_dump(mode="json") if offer else dict.fromkeys(Offered.model_fields)
    return *told.values(), _word(is_sandbox)


def _sheet(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(head)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return out.getvalue()


def _cell(value: object) -> object:
    """Keep what somebody typed from being taken for a formula."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _word(is_so: object) -> str:
    return "yes" if is_so else "no"
