"""Reports as a person reads them: a table and a drawing for each currency, and no sum over two of them. Pure."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal

from bursar.kernel.amounts import Money
from bursar.money.reports import DailyPayments, RefundReport
from bursar.money.reports.schemas import DayOutcome, MoneyOutcome, ReasonSums, RefundSums
from bursar.web.pages.drawing import Bar, Chart, Part, bar_chart

_CHART_WIDTH = 720
_CHART_HEIGHT = 96


@dataclass(frozen=True, slots=True)
class OutcomeRow:
    """What payments came to. day, gateway: None in the row that sums them. open: neither decided nor given up, or given up."""

    day: date | None
    gateway: str | None
    received: Money
    succeeded: int
    failed: int
    failed_amount: Money
    canceled: int
    open: int
    success: str


@dataclass(frozen=True, slots=True)
class CurrencyDays:
    """The payments of one currency, day by day, newest first. is_sandbox: play money."""

    currency: str
    is_sandbox: bool
    rows: tuple[OutcomeRow, ...]
    total: OutcomeRow
    by_gateway: tuple[OutcomeRow, ...]
    chart: Chart


@dataclass(frozen=True, slots=True)
class ReasonRow:
    """Refunds of one reason and state."""

    gateway: str
    reason: str | None
    is_other: bool
    status: str
    refunds: int
    money: Money


@dataclass(frozen=True, slots=True)
class CurrencyRefunds:
    """The refunds of one currency. totals: status, count, sum. is_sandbox: play money."""

    currency: str
    is_sandbox: bool
    rows: tuple[ReasonRow, ...]
    totals: tuple[tuple[str, int, Money], ...]


def by_currency(report: DailyPayments) -> tuple[CurrencyDays, ...]:
    """Return the daily summary, a part for each currency and kind of money."""
    days: dict[tuple[bool, str], list[DayOutcome]] = defaultdict(list)
    for row in report.data:
        days[row.is_sandbox, row.currency].append(row)
    return tuple(
        CurrencyDays(
            currency=total.currency,
            is_sandbox=total.is_sandbox,
            rows=tuple(_outcome(row, day=row.day, gateway=row.account_name) for row in reversed(mine)),
            total=_outcome(total),
            by_gateway=tuple(
                _outcome(row, gateway=row.account_name)
                for row in report.by_gateway
                if (row.is_sandbox, row.currency) == (total.is_sandbox, total.currency)
            ),
            chart=_chart(report, total.currency, mine),
        )
        for total in report.totals
        for mine in [days[total.is_sandbox, total.currency]]
    )


def refunds_by_currency(report: RefundReport) -> tuple[CurrencyRefunds, ...]:
    """Return the refund report, a part for each currency and kind of money."""
    kinds = sorted({(total.is_sandbox, total.currency) for total in report.totals})
    return tuple(
        CurrencyRefunds(
            currency=currency,
            is_sandbox=is_sandbox,
            rows=tuple(_reason(row) for row in report.data if _kind(row) == (is_sandbox, currency)),
            totals=tuple(
                (total.status, total.refunds, Money(total.amount_minor, currency))
                for total in report.totals
                if _kind(total) == (is_sandbox, currency)
            ),
        )
        for is_sandbox, currency in kinds
    )


def _kind(row: RefundSums) -> tuple[bool, str]:
    return row.is_sandbox, row.currency


def _reason(row: ReasonSums) -> ReasonRow:
    money = Money(row.amount_minor, row.currency)
    return ReasonRow(row.account_name, row.reason, row.is_other, row.status, row.refunds, money)


def _outcome(row: MoneyOutcome, *, day: date | None = None, gateway: str | None = None) -> OutcomeRow:
    def count(*statuses: str) -> int:
        return sum(sums.payments for status, sums in row.by_status.items() if status in statuses)

    def money(status: str) -> Money:
        return Money(sum(s.amount_minor for word, s in row.by_status.items() if word == status), row.currency)

    return OutcomeRow(
        day=day,
        gateway=gateway,
        received=money("succeeded"),
        succeeded=count("succeeded"),
        failed=count("failed"),
        failed_amount=money("failed"),
        canceled=count("canceled"),
        open=count("pending", "requires_action", "processing"),
        success=f"{Decimal(row.success_rate) * 100:.2f} %" if row.success_rate else "–",
    )


def _chart(report: DailyPayments, currency: str, rows: Sequence[DayOutcome]) -> Chart:
    received: dict[date, int] = defaultdict(int)
    for row in rows:
        received[row.day] += _outcome(row).received.minor
    period = report.period
    days = [period.first_day + timedelta(days=n) for n in range((period.last_day - period.first_day).days + 1)]
    bars = [
        Bar(
            (Part(received.get(day, 0), "taken-before"),), f"{day:%a %d %b %Y}: {Money(received.get(day, 0), currency)}"
        )
        for day in days
    ]
    whole = Money(sum(received.values()), currency)
    label = f"{currency} received by day, {period.first_day} to {period.last_day}, days of {period.time_zone}: {whole} in all"
    return bar_chart(bars, width=_CHART_WIDTH, height=_CHART_HEIGHT, label=label)
