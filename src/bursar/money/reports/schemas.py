"""Reports as others see them."""

from datetime import date, datetime
from typing import Annotated, Final, Literal

from pydantic import Field

from bursar.kernel.errors import Invalid
from bursar.kernel.http import View
from bursar.kernel.http.identifiers import AccountId, PriceId
from bursar.kernel.zones import Days
from bursar.money.payments.schemas import Code, RefundState

ROWS_MAX: Final = 50_000
"""Sums read for one report; with more, a shorter period is asked for."""

Sum = Annotated[int, Field(examples=[450000], description="Minor units of the currency (ISO 4217), summed.")]
Rate = Annotated[str | None, Field(examples=["0.9731"], description="Null where nothing was decided.")]
IsSandbox = Annotated[bool, Field(description="Play money, never added to the other kind.")]


class ReportTooLarge(Invalid):
    """The report has more rows than one answer may have."""

    code = "report_too_large"


class Period(View):
    """Which days a report is of, both included, and which instants they are: from `starts_at`, up to and without `ends_at`."""

    time_zone: str = Field(examples=["Europe/Berlin"])
    first_day: date
    last_day: date
    starts_at: datetime
    ends_at: datetime

    @classmethod
    def of_days(cls, days: Days) -> "Period":
        """Return the period of these days."""
        return cls(
            time_zone=days.zone.key,
            first_day=days.first,
            last_day=days.last,
            starts_at=days.starts_at,
            ends_at=days.ends_at,
        )


class Sums(View):
    """Payments of one state."""

    payments: int
    amount_minor: Sum


class MoneyOutcome(View):
    """What payments in one currency came to. Rates are of the payments that were decided: succeeded or failed."""

    currency: Code
    is_sandbox: bool = Field(description="Play money, never added to the other kind.")
    payments: int = Field(description="Of every state.")
    by_status: dict[str, Sums] = Field(
        description="By the payments' state. Amounts are before refunds. A state without payments is left out."
    )
    success_rate: Rate
    failure_rate: Rate


class GatewayOutcome(MoneyOutcome):
    """What payments through one gateway account came to."""

    gateway_account: AccountId
    gateway: str = Field(examples=["stripe"])
    account_name: str


class DayOutcome(GatewayOutcome):
    """The same of one day."""

    day: date


class DailyPayments(View):
    """Payments by the day on which the gateway made them, with the state that each has now."""

    period: Period
    data: list[DayOutcome] = Field(
        description="By day, gateway account and currency. A day without payments is left out."
    )
    by_gateway: list[GatewayOutcome]
    totals: list[MoneyOutcome]


class RefundSums(View):
    """Refunds of one currency and state."""

    currency: Code
    is_sandbox: bool = Field(description="Play money, never added to the other kind.")
    status: RefundState
    refunds: int
    amount_minor: Sum


class ReasonSums(RefundSums):
    """Refunds of one gateway account, reason, currency and state."""

    gateway_account: AccountId
    gateway: str = Field(examples=["stripe"])
    account_name: str
    reason: str | None = Field(examples=["requested_by_customer"], description="Its first 80 characters.")
    is_other: bool = Field(description="Sums the reasons that are not among the 100 most frequent ones of the report.")


class RefundReport(View):
    """Refunds by the day on which the gateway made them, with the state that each has now."""

    period: Period
    data: list[ReasonSums] = Field(description="By gateway account, reason, currency and state.")
    totals: list[RefundSums]


class Offered(View):
    """A price, as far as a report names it."""

    price: PriceId
    product: str = Field(examples=["Ten classes"], description="Its name, up to 120 characters.")
    lookup_key: str | None
    amount_minor: int = Field(examples=[4500], description="Minor units of the currency (ISO 4217).")
    currency: Code
    interval: Literal["day", "week", "month", "year"] | None = Field(description="Null where it is sold once.")
    interval_count: int


class ConversionTotal(View):
    """What became of checkouts, as of now. Started is the sum of the five others."""

    is_sandbox: IsSandbox
    started: int
    paid: int = Field(description="Money came. What was given back later does not change it.")
    free: int = Field(description="Completed, and nothing was to be paid: a trial began.")
    open: int = Field(description="May still be paid.")
    lost: int = Field(description="The page ended and nobody paid, or the payment failed.")
    refused: int = Field(description="The gateway did not make the page: no customer saw it.")
    conversion_rate: Rate = Field(description="Paid and free among paid, free and lost. Null where none is.")


class ConversionOfOffer(ConversionTotal):
    """The same of the checkouts that sold one price."""

    offer: Offered | None = Field(description="Null where the price is not known any more.")


class ConversionOfDay(ConversionTotal):
    """The same of the checkouts that were started on one day."""

    day: date


class CheckoutConversion(View):
    """Checkouts by when they were started, and what became of them by now."""

    period: Period
    data: list[ConversionOfOffer] = Field(
        description="By what was sold. A checkout that sells several prices is counted at each of them."
    )
    by_day: list[ConversionOfDay] = Field(description="A day without checkouts is left out.")
    totals: list[ConversionTotal]


class TrialTotal(View):
    """What became of trials, as of now. Ended is the sum of the three others."""

    is_sandbox: IsSandbox
    ended: int = Field(description="Those that ended in the period, or are to end in it.")
    paid: int = Field(description="Money came for the subscription after the trial.")
    open: int = Field(description="It runs, or goes on without having paid yet.")
    lost: int = Field(description="The subscription ended without having paid.")
    conversion_rate: Rate = Field(description="Paid among paid and lost. Null where none is.")


class TrialsOfOffer(TrialTotal):
    """The same of the trials of one price."""

    offer: Offered | None = Field(description="Null where the catalogue does not know what is subscribed to.")


class TrialsOfDay(TrialTotal):
    """The same of the trials that end on one day."""

    day: date


class TrialConversion(View):
    """Trials by the day on which they end, and what became of them by now."""

    period: Period
    data: list[TrialsOfOffer] = Field(description="By what was tried.")
    by_day: list[TrialsOfDay] = Field(description="A day on which no trial ends is left out.")
    totals: list[TrialTotal]


class PlanShare(View):
    """Subscriptions to one price, and what they bring in a month."""

    offer: Offered | None = Field(description="Null where the catalogue does not know what is subscribed to.")
    is_sandbox: IsSandbox
    active: int
    past_due: int
    trialing: int = Field(description="They bring nothing yet.")
    mrr_minor: int | None = Field(
        examples=[450000], description="List prices of active and past-due ones, per month. Null where no price recurs."
    )
    mrr_share: str | None = Field(examples=["0.4210"], description="Of the recurring revenue in this currency.")


class RecurringRevenue(View):
    """Recurring revenue in one currency."""

    is_sandbox: IsSandbox
    currency: Code
    subscriptions: int = Field(description="Active and past due.")
    mrr_minor: Sum
    arr_minor: int = Field(description="Twelve times the monthly.")


class Churn(View):
    """Of the subscriptions that ran thirty days ago, past their trial, those that ended since."""

    is_sandbox: IsSandbox
    since: datetime
    begun: int
    lost: int
    rate: Rate


class PlanMix(View):
    """What is subscribed to, as of now."""

    at: datetime
    data: list[PlanShare] = Field(description="By currency, the plan that brings most first.")
    totals: list[RecurringRevenue]
    churn: list[Churn]
