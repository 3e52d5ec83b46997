"""Bookings on the gateway's balance: kept as they are listed, because nobody reports them, and compared with what they are about."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from bursar.kernel.db import Transaction
from bursar.money.gateways.bookings import BalanceEntry
from bursar.money.reconciliation.models import Class, Found, Run, State, Why

KIND: Final = "balance_transaction"
_LATE: Final = timedelta(days=1)
_WHOLE: Final = frozenset({"charge", "payment", "refund", "payment_refund"})
"""Bookings of all of what they are about. An adjustment of a dispute may book part of it."""

_KNOWN = """
select n.ref, b.fee_minor, b.net_minor, b.currency, b.ref is not null as is_known,
  coalesce(r.amount_minor, p.amount_minor) as source_minor, coalesce(r.currency, p.currency) as source_currency,
  exists (
    select from reconciliation_difference d
    where d.tenant_id = $1 and d.gateway_account_id = $2 and d.kind = case when r.ref is null then 'payment' else 'refund' end
      and d.ref = coalesce(r.ref, p.ref) and d.state in ('waiting', 'repairing', 'open')
  ) as is_doubtful
from unnest($3::text[], $4::text[]) as n (ref, source)
left join lateral (
  select ref, fee_minor, net_minor, currency from balance_transaction where tenant_id = $1 and gateway_account_id = $2 and ref = n.ref offset 0
) b on true
left join lateral (
  select gateway_ref as ref, amount_minor, currency from payment
  where tenant_id = $1 and charge_ref = n.source and gateway_account_id = $2 and status = 'succeeded' and superseded_by is null limit 1
) p on true
left join lateral (
  select gateway_ref as ref, amount_minor, currency from refund where tenant_id = $1 and gateway_ref = n.source and gateway_account_id = $2 limit 1
) r on true
"""

_KEEP = """
insert into balance_transaction (tenant_id, gateway_account_id, ref, kind, source_ref, amount_minor, fee_minor, net_minor, currency,
  is_available, available_at, created_at)
select $1, $2, ref, kind, source_ref, amount_minor, fee_minor, net_minor, currency, is_available, available_at, created_at
from unnest($3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::bigint[], $9::text[], $10::bool[], $11::timestamptz[],
  $12::timestamptz[]) as new (ref, kind, source_ref, amount_minor, fee_minor, net_minor, currency, is_available, available_at, created_at)
on conflict (tenant_id, gateway_account_id, ref) do update
set amount_minor = excluded.amount_minor, fee_minor = excluded.fee_minor, net_minor = excluded.net_minor, currency = excluded.currency,
  is_available = excluded.is_available, available_at = excluded.available_at
where (balance_transaction.amount_minor, balance_transaction.fee_minor, balance_transaction.net_minor, balance_transaction.currency,
    balance_transaction.is_available, balance_transaction.available_at)
  is distinct from (excluded.amount_minor, excluded.fee_minor, excluded.net_minor, excluded.currency, excluded.is_available, excluded.available_at)
"""


async def compare_and_keep(
    tx: Transaction, run: Run, *, tenant_id: UUID, entries: Sequence[BalanceEntry], now: datetime
) -> list[Found]:
    """Return what differs in a page of bookings, and keep them as the gateway has them now."""
    if not entries:
        return []
    refs, sources = [entry.ref for entry in entries], [entry.source for entry in entries]
    rows = {row["ref"]: row for row in await tx.fetch(_KNOWN, tenant_id, run.account_id, refs, sources)}
    found = [difference for entry in entries if (difference := compared(rows[entry.ref], entry, now=now))]
    await tx.execute(
        _KEEP,
        tenant_id,
        run.account_id,
        refs,
        [entry.kind[:100] for entry in entries],
        sources,
        [entry.amount_minor for entry in entries],
        [entry.fee_minor for entry in entries],
        [entry.net_minor for entry in entries],
        [entry.currency for entry in entries],
        [entry.is_available for entry in entries],
        [entry.available_at for entry in entries],
        [entry.created_at for entry in entries],
    )
    return found


def compared(row: Any, entry: BalanceEntry, *, now: datetime) -> Found | None:
    """Return the difference of one booking: from what it is about, from what it was, or within itself."""
    booked = abs(entry.amount_minor)
    if row["is_known"] and row["currency"] != entry.currency:
        return _found(entry, Class.currency, {"currency": row["currency"]}, {"currency": entry.currency})
    if row["is_known"] and row["fee_minor"] != entry.fee_minor:
        ours = {"fee_minor": row["fee_minor"], "net_minor": row["net_minor"]}
        return _found(entry, Class.fee, ours, {"fee_minor": entry.fee_minor, "net_minor": entry.net_minor})
    if entry.amount_minor - entry.fee_minor != entry.net_minor:
        told = {"amount_minor": entry.amount_minor, "fee_minor": entry.fee_minor, "net_minor": entry.net_minor}
        return _found(entry, Class.fee, None, told, state=State.open, why=Why.sums_not)
    # What was converted into the account's currency cannot be compared; and what differs itself is told of once.
    is_same = row["source_currency"] == entry.currency and entry.kind in _WHOLE and not row["is_doubtful"]
    if is_same and row["source_minor"] != booked:
        ours = {"amount_minor": row["source_minor"], "source": entry.source}
        theirs = {"amount_minor": booked, "source": entry.source}
        return _found(entry, Class.amount, ours, theirs, state=State.open, why=Why.booked_otherwise)
    if not entry.is_available and entry.available_at and entry.available_at < now - _LATE:
        late = {"status": "pending", "available_at": entry.available_at}
        return _found(entry, Class.timing, None, late, state=State.open, why=Why.payout_late)
    return None


def _found(
    entry: BalanceEntry,
    difference: Class,
    here: dict[str, Any] | None,
    there: dict[str, Any],
    *,
    state: State = State.repaired,
    why: Why = Why.recorded,
) -> Found:
    return Found(KIND, entry.ref, difference, here, there, state, why, made_at=entry.created_at)
