"""Reports as others see them."""

from datetime import date, datetime
from typing import Annotated, Final

from pydantic import Field

from bursar.kernel.errors import Invalid
from bursar.kernel.http import View
from bursar.kernel.http.identifiers import AccountId
from bursar.kernel.zones import Days
from bursar.money.payments.schemas import Code, RefundState

ROWS_MAX: Final = 50_000
"""Sums read for one report; with more, a shorter period is asked for."""

Sum = Annotated[int, Field(examples=[450000], description="Minor units of the currency (ISO 4217), summed.")]
Rate = Annotated[str | None, Field(examples=["0.9731"], description="Null where nothing was decided.")]


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
