"""Payments by day, gateway account, currency and state: read from the tally, which is by the quarter of an hour."""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from bursar.kernel.db import Transaction
from bursar.kernel.zones import Days
from bursar.money.reports.counting import SANDBOX, share
from bursar.money.reports.schemas import (
    ROWS_MAX,
    DailyPayments,
    DayOutcome,
    GatewayOutcome,
    MoneyOutcome,
    Period,
    ReportTooLarge,
    Sums,
)

# Days have as many bounds as they are; a bucket is the day that a quarter lies in, from 1.
_DAILY = """
with summed as (
  select width_bucket(t.quarter, $2::timestamptz[]) as day, t.gateway_account_id, t.currency, t.status,
    sum(t.payments) as payments, sum(t.amount_minor) as amount_minor
  from payment_tally t
  where t.tenant_id = $1 and t.quarter >= $3 and t.quarter < $4 and ($5::uuid is null or t.gateway_account_id = $5)
  group by 1, 2, 3, 4
)
select s.day, s.gateway_account_id, a.gateway, a.name, s.currency, s.status, s.payments, s.amount_minor
from summed s join gateway_account a on a.tenant_id = $1 and a.id = s.gateway_account_id
where s.payments <> 0
order by s.day, a.gateway, a.name, s.gateway_account_id, s.currency, s.status
limit $6
"""

_Cell = tuple[int, int]
"""Payments and minor units."""


@dataclass(frozen=True, slots=True)
class _Account:
    id: UUID
    gateway: str
    name: str


async def daily_payments(
    tx: Transaction, *, tenant_id: UUID, days: Days, account_id: UUID | None = None
) -> DailyPayments:
    """Return what the payments of these days came to. account_id: only of this one. Raises ReportTooLarge."""
    rows = await tx.fetch(_DAILY, tenant_id, days.bounds[:-1], days.starts_at, days.ends_at, account_id, ROWS_MAX + 1)
    if len(rows) > ROWS_MAX:
        raise ReportTooLarge(f"these are more than {ROWS_MAX} sums", hint="Ask for fewer days, or one gateway account.")
    by_day: dict[tuple[date, _Account, str], dict[str, _Cell]] = defaultdict(dict)
    by_account: dict[tuple[_Account, str], dict[str, _Cell]] = defaultdict(dict)
    totals: dict[tuple[bool, str], dict[str, _Cell]] = defaultdict(dict)
    for row in rows:
        account = _Account(row["gateway_account_id"], row["gateway"], row["name"])
        cell = int(row["payments"]), int(row["amount_minor"])
        by_day[days.days[row["day"] - 1], account, row["currency"]][row["status"]] = cell
        for sums in (
            by_account[account, row["currency"]],
            totals[account.gateway == SANDBOX, row["currency"]],
        ):
            payments, amount_minor = sums.get(row["status"], (0, 0))
            sums[row["status"]] = payments + cell[0], amount_minor + cell[1]
    return DailyPayments(
        period=Period.of_days(days),
        data=[DayOutcome(day=day, **_of(account, currency, sums)) for (day, account, currency), sums in by_day.items()],
        by_gateway=[
            GatewayOutcome(**_of(account, currency, sums))
            for (account, currency), sums in sorted(by_account.items(), key=lambda item: _order(*item[0]))
        ],
        totals=[
            MoneyOutcome(**_outcome(currency, sums, is_sandbox=is_sandbox))
            for (is_sandbox, currency), sums in sorted(totals.items())
        ],
    )


def _order(account: _Account, currency: str) -> tuple[str, str, UUID, str]:
    return account.gateway, account.name, account.id, currency


def _of(account: _Account, currency: str, sums: Mapping[str, _Cell]) -> dict[str, Any]:
    named = {"gateway_account": account.id, "gateway": account.gateway, "account_name": account.name}
    return named | _outcome(currency, sums, is_sandbox=account.gateway == SANDBOX)


def _outcome(currency: str, sums: Mapping[str, _Cell], *, is_sandbox: bool) -> dict[str, Any]:
    success, failure = _rates(sums.get("succeeded", (0, 0))[0], sums.get("failed", (0, 0))[0])
    return {
        "currency": currency,
        "is_sandbox": is_sandbox,
        "payments": _count(sums.values()),
        "by_status": {status: Sums(payments=n, amount_minor=minor) for status, (n, minor) in sorted(sums.items())},
        "success_rate": success,
        "failure_rate": failure,
    }


def _count(cells: Iterable[_Cell]) -> int:
    return sum(payments for payments, _ in cells)


def _rates(succeeded: int, failed: int) -> tuple[str | None, str | None]:
    """Return both shares of what was decided; together they are one."""
    success = share(succeeded, succeeded + failed)
    return success, str(1 - Decimal(success)) if success else None
