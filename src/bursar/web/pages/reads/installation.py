"""The figures of the installation as an operator reads them: all businesses together, as the job last took them. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from bursar.kernel.amounts import Money
from bursar.money.reports.conversion import OUTCOMES
from bursar.money.reports.counting import share
from bursar.web.pages.reads.conversion import percent

Figures = Mapping[tuple[str, str, str], float]
"""By name and two labels, as `health` has them."""

INTERVALS: Final = ("day", "week", "month", "year")
_TRIALS: Final = ("paid", "open", "lost")


@dataclass(frozen=True, slots=True)
class Recurring:
    """Recurring revenue in one currency. mix: what is billed how often: interval, subscriptions, a month, share."""

    currency: str
    mrr: Money
    arr: Money
    lost: Money
    captured: Money
    mix: tuple[tuple[str, int, Money, str], ...]


@dataclass(frozen=True, slots=True)
class AtGateway:
    """What came of checkouts, trials, payments and disputes at one gateway."""

    gateway: str
    checkouts: tuple[int, ...]
    conversion: str
    trials: tuple[int, ...]
    trial_conversion: str
    payments: int
    payment_success: str
    dispute_rate: str


@dataclass(frozen=True, slots=True)
class Installation:
    """All businesses together."""

    tenants: int
    subscriptions: int
    begun: int
    lost: int
    churn: str
    currencies: tuple[Recurring, ...]
    gateways: tuple[AtGateway, ...]


def installation(figures: Figures) -> Installation:
    """Return the figures of the business, by currency and by gateway."""
    begun, lost = _of(figures, "subscriptions_month_begun"), _of(figures, "subscriptions_month_lost")
    money = ("mrr_minor", "captured_day_minor", "mrr_month_lost_minor")
    currencies = sorted({label for name, label, _ in figures if name in money})
    counted = ("checkouts_month", "trials_month", "payments_day", "payments_month", "disputes_month")
    gateways = sorted({label for name, label, _ in figures if name in counted})
    return Installation(
        tenants=_of(figures, "tenants"),
        subscriptions=sum(_of(figures, "subscriptions", status) for status in ("active", "past_due", "trialing")),
        begun=begun,
        lost=lost,
        churn=percent(share(lost, begun)),
        currencies=tuple(_recurring(figures, currency) for currency in currencies),
        gateways=tuple(_at(figures, gateway) for gateway in gateways),
    )


def _of(figures: Figures, name: str, label: str = "", other: str = "") -> int:
    return round(figures.get((name, label, other), 0))


def _recurring(figures: Figures, currency: str) -> Recurring:
    def money(name: str, interval: str = "") -> Money:
        return Money(_of(figures, name, currency, interval), currency)

    mrr = money("mrr_minor")
    mix = [
        (interval, subscriptions, money("plan_mrr_minor", interval))
        for interval in INTERVALS
        if (subscriptions := _of(figures, "plan_subscriptions", currency, interval))
    ]
    return Recurring(
        currency=currency,
        mrr=mrr,
        arr=money("arr_minor"),
        lost=money("mrr_month_lost_minor"),
        captured=money("captured_day_minor"),
        mix=tuple((*row, percent(share(row[2].minor, mrr.minor))) for row in mix),
    )


def _at(figures: Figures, gateway: str) -> AtGateway:
    checkouts = {outcome: _of(figures, "checkouts_month", gateway, outcome) for outcome in OUTCOMES}
    trials = {outcome: _of(figures, "trials_month", gateway, outcome) for outcome in _TRIALS}
    won = checkouts["paid"] + checkouts["free"]
    succeeded, failed = (_of(figures, "payments_day", gateway, status) for status in ("succeeded", "failed"))
    disputes, payments = _of(figures, "disputes_month", gateway), _of(figures, "payments_month", gateway)
    return AtGateway(
        gateway=gateway,
        checkouts=tuple(checkouts.values()),
        conversion=percent(share(won, won + checkouts["lost"])),
        trials=tuple(trials.values()),
        trial_conversion=percent(share(trials["paid"], trials["paid"] + trials["lost"])),
        payments=succeeded + failed,
        payment_success=percent(share(succeeded, succeeded + failed)),
        dispute_rate=percent(share(disputes, payments)),
    )
