"""Refunds by gateway account, reason, currency and state: read from an index, which holds all that is summed."""

from collections import defaultdict
from typing import Final
from uuid import UUID

from bursar.kernel.db import Transaction
from bursar.kernel.zones import Days
from bursar.money.payments.schemas import RefundState
from bursar.money.reports.counting import SANDBOX
from bursar.money.reports.schemas import ROWS_MAX, Period, ReasonSums, RefundReport, RefundSums, ReportTooLarge

REASON_LENGTH_MAX: Final = 80
REASONS_MAX: Final = 100

# People type reasons: those beyond the most frequent are summed as others, so that no report is a list of them.
_REFUNDS = """
with told as (
  select r.gateway_account_id, r.reason_told, r.currency, r.status, count(*) as refunds, sum(r.amount_minor) as amount_minor
  from refund r
  where r.tenant_id = $1 and r.created_at >= $2 and r.created_at < $3 and ($4::uuid is null or r.gateway_account_id = $4)
    and ($5::text is null or r.status = $5) and ($6::text is null or r.reason_told = $6)
  group by 1, 2, 3, 4
), named as (
  select reason_told from told where reason_told is not null
  group by reason_told order by sum(refunds) desc, reason_told limit $7
)
select t.gateway_account_id, a.gateway, a.name, n.reason_told as reason,
  t.reason_told is not null and n.reason_told is null as is_other, t.currency, t.status,
  sum(t.refunds) as refunds, sum(t.amount_minor) as amount_minor
from told t
join gateway_account a on a.tenant_id = $1 and a.id = t.gateway_account_id
left join named n on n.reason_told = t.reason_told
group by t.gateway_account_id, a.gateway, a.name, n.reason_told, is_other, t.currency, t.status
order by a.gateway, a.name, t.gateway_account_id, is_other, n.reason_told nulls first, t.currency, t.status
limit $8
"""


async def refund_report(
    tx: Transaction,
    *,
    tenant_id: UUID,
    days: Days,
    account_id: UUID | None = None,
    status: str | None = None,
    reason: str | None = None,
) -> RefundReport:
    """Return what the refunds of these days came to. account_id, status, reason: only of these. Raises ReportTooLarge."""
    wanted = reason[:REASON_LENGTH_MAX] if reason else None
    rows = await tx.fetch(
        _REFUNDS, tenant_id, days.starts_at, days.ends_at, account_id, status, wanted, REASONS_MAX, ROWS_MAX + 1
    )
    if len(rows) > ROWS_MAX:
        raise ReportTooLarge(f"these are more than {ROWS_MAX} sums", hint="Ask for fewer days, or one gateway account.")
    data = [
        ReasonSums(
            gateway_account=row["gateway_account_id"],
            gateway=row["gateway"],
            account_name=row["name"],
            reason=row["reason"],
            is_other=row["is_other"],
            currency=row["currency"],
            is_sandbox=row["gateway"] == SANDBOX,
            status=row["status"],
            refunds=int(row["refunds"]),
            amount_minor=int(row["amount_minor"]),
        )
        for row in rows
    ]
    return RefundReport(period=Period.of_days(days), data=data, totals=_totals(data))


def _totals(data: list[ReasonSums]) -> list[RefundSums]:
    sums: dict[tuple[bool, str, RefundState], list[ReasonSums]] = defaultdict(list)
    for row in data:
        sums[row.is_sandbox, row.currency, row.status].append(row)
    return [
        RefundSums(
            currency=currency,
            is_sandbox=is_sandbox,
            status=status,
            refunds=sum(row.refunds for row in rows),
            amount_minor=sum(row.amount_minor for row in rows),
        )
        for (is_sandbox, currency, status), rows in sorted(sums.items())
    ]
