"""Conversion and plans as a person reads them: what is really sold first, play money apart. Pure."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Final

from bursar.kernel.amounts import Money
from bursar.money.reports import CheckoutConversion, PlanMix, TrialConversion
from bursar.money.reports.schemas import ConversionTotal, Offered, Period, PlanShare, TrialTotal
from bursar.web.pages.drawing import Bar, Chart, Part, bar_chart

ROWS_SHOWN_MAX: Final = 200
"""Offers and plans of a page; the sheet has them all."""
_CHART_WIDTH: Final = 720
_CHART_HEIGHT: Final = 96


@dataclass(frozen=True, slots=True)
class Offering:
    """A price as a page names it. every: None where it is sold once."""

    name: str
    key: str | None
    price: Money
    every: str | None


@dataclass(frozen=True, slots=True)
class FunnelRow:
    """What became of checkouts or trials. offer, day: None in the row that sums them. free, refused: None of trials."""

    offer: Offering | None
    day: date | None
    started: int
    paid: int
    free: int | None
    open: int
    lost: int
    refused: int | None
    rate: str


@dataclass(frozen=True, slots=True)
class Funnel:
    """A cohort in one kind of money. left_out: how many offers are not shown."""

    is_sandbox: bool
    rows: tuple[FunnelRow, ...]
    days: tuple[FunnelRow, ...]
    total: FunnelRow
    left_out: int
    chart: Chart


@dataclass(frozen=True, slots=True)
class PlanRow:
    """Subscriptions to one price. mrr: None where nothing recurs or the catalogue does not know it."""

    offer: Offering | None
    active: int
    past_due: int
    trialing: int
    mrr: Money | None
    share: str


@dataclass(frozen=True, slots=True)
class Plans:
    """The plans in one currency; those that the catalogue does not know have none."""

    currency: str | None
    is_sandbox: bool
    rows: tuple[PlanRow, ...]
    left_out: int
    subscriptions: int
    mrr: Money | None
    arr: Money | None


@dataclass(frozen=True, slots=True)
class Lost:
    """Churn of thirty days."""

    is_sandbox: bool
    begun: int
    lost: int
    rate: str


def checkout_funnels(report: CheckoutConversion) -> tuple[Funnel, ...]:
    """Return what became of checkouts, a part for each kind of money."""
    return tuple(
        _funnel(
            report.period,
            is_sandbox=total.is_sandbox,
            total=_checkouts(total),
            offers=[_checkouts(row, offer=row.offer) for row in report.data if row.is_sandbox == total.is_sandbox],
            days=[_checkouts(row, day=row.day) for row in report.by_day if row.is_sandbox == total.is_sandbox],
        )
        for total in report.totals
    )


def trial_funnels(report: TrialConversion) -> tuple[Funnel, ...]:
    """Return what became of trials, a part for each kind of money."""
    return tuple(
        _funnel(
            report.period,
            is_sandbox=total.is_sandbox,
            total=_trials(total),
            offers=[_trials(row, offer=row.offer) for row in report.data if row.is_sandbox == total.is_sandbox],
            days=[_trials(row, day=row.day) for row in report.by_day if row.is_sandbox == total.is_sandbox],
        )
        for total in report.totals
    )


def plans_by_currency(report: PlanMix) -> tuple[Plans, ...]:
    """Return the plans, a part for each currency and kind of money; those that nobody knows last."""
    rows: dict[tuple[bool, str | None], list[PlanShare]] = defaultdict(list)
    for row in report.data:
        rows[row.is_sandbox, row.offer.currency if row.offer else None].append(row)
    sums = {(total.is_sandbox, total.currency): total for total in report.totals}
    found = []
    for (is_sandbox, currency), mine in rows.items():
        total = sums[is_sandbox, currency] if currency else None
        found.append(
            Plans(
                currency=currency,
                is_sandbox=is_sandbox,
                rows=tuple(_plan(row) for row in mine[:ROWS_SHOWN_MAX]),
                left_out=max(len(mine) - ROWS_SHOWN_MAX, 0),
                subscriptions=sum(row.active + row.past_due for row in mine),
                mrr=Money(total.mrr_minor, total.currency) if total else None,
                arr=Money(total.arr_minor, total.currency) if total else None,
            )
        )
    return tuple(found)


def churn(report: PlanMix) -> tuple[Lost, ...]:
    """Return what was lost within thirty days, by kind of money."""
    return tuple(Lost(row.is_sandbox, row.begun, row.lost, percent(row.rate)) for row in report.churn)


def percent(share: str | None) -> str:
    """Return a share of one as a person reads it."""
    return f"{Decimal(share) * 100:.2f} %" if share is not None else "–"


def _funnel(
    period: Period, *, is_sandbox: bool, total: FunnelRow, offers: Sequence[FunnelRow], days: Sequence[FunnelRow]
) -> Funnel:
    return Funnel(
        is_sandbox=is_sandbox,
        rows=tuple(offers[:ROWS_SHOWN_MAX]),
        days=tuple(reversed(days)),
        total=total,
        left_out=max(len(offers) - ROWS_SHOWN_MAX, 0),
        chart=_chart(period, days, total),
    )


def _checkouts(row: ConversionTotal, *, offer: Offered | None = None, day: date | None = None) -> FunnelRow:
    counted = (row.started, row.paid, row.free, row.open, row.lost, row.refused)
    return FunnelRow(_offering(offer), day, *counted, percent(row.conversion_rate))


def _trials(row: TrialTotal, *, offer: Offered | None = None, day: date | None = None) -> FunnelRow:
    return FunnelRow(
        _offering(offer), day, row.ended, row.paid, None, row.open, row.lost, None, percent(row.conversion_rate)
    )


def _plan(row: PlanShare) -> PlanRow:
    mrr = Money(row.mrr_minor, row.offer.currency) if row.offer and row.mrr_minor is not None else None
    return PlanRow(_offering(row.offer), row.active, row.past_due, row.trialing, mrr, percent(row.mrr_share))


def _offering(offer: Offered | None) -> Offering | None:
    if offer is None:
        return None
    count = offer.interval_count
    every = f"every {offer.interval}" if count == 1 else f"every {count} {offer.interval}s"
    return Offering(
        offer.product, offer.lookup_key, Money(offer.amount_minor, offer.currency), every if offer.interval else None
    )


def _chart(period: Period, days: Sequence[FunnelRow], total: FunnelRow) -> Chart:
    found = {row.day: row for row in days}
    shown = [period.first_day + timedelta(days=n) for n in range((period.last_day - period.first_day).days + 1)]
    label = f"{period.first_day} to {period.last_day}, days of {period.time_zone}: {_said(total)}"
    return bar_chart(
        [_bar(day, found.get(day)) for day in shown], width=_CHART_WIDTH, height=_CHART_HEIGHT, label=label
    )


def _bar(day: date, row: FunnelRow | None) -> Bar:
    if row is None:
        return Bar((), f"{day:%a %d %b %Y}: none")
    parts = (
        Part(row.paid + (row.free or 0), "applied"),
        Part(row.open, "received"),
        Part(row.lost + (row.refused or 0), "dead"),
    )
    return Bar(parts, f"{day:%a %d %b %Y}: {_said(row)}")


def _said(row: FunnelRow) -> str:
    return f"{row.started:,}, of which {row.paid + (row.free or 0):,} converted, {row.open:,} open, {row.lost:,} lost"
