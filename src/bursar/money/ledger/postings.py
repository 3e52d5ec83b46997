"""Post what ought to stand: the difference between the sums that should be in the books and those that are."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.db import Transaction


@dataclass(frozen=True, slots=True)
class Posting:
    """The sum that ought to stand for one source: `amount_minor` moved from `credit` to `debit`.

    source_kind: payment, refund or dispute. source_ref: the gateway's id of it.
    """

    source_kind: str
    source_ref: str
    debit: str
    credit: str
    amount_minor: int
    currency: str


@dataclass(frozen=True, slots=True)
class Cause:
    """Why the books of a source move: whose purchase it is, which event told, when it happened."""

    customer_id: UUID | None
    event_id: UUID
    occurred_at: datetime


_STANDING = """
select t.source_kind, t.source_ref, e.account, e.currency, sum(e.amount_minor)::bigint as amount_minor, max(t.sequence) as sequence
from unnest($3::text[]) as wanted (ref) cross join lateral (
  select id, source_kind, source_ref, sequence from ledger_transaction
  where tenant_id = $1 and gateway_account_id = $2 and source_ref = wanted.ref offset 0
) t cross join lateral (
  select account, currency, amount_minor from ledger_entry where tenant_id = $1 and transaction_id = t.id offset 0
) e
group by t.source_kind, t.source_ref, e.account, e.currency
"""

_POST = """
with posted as (
  insert into ledger_transaction (tenant_id, id, gateway_account_id, source_kind, source_ref, sequence, customer_id, event_id, occurred_at)
  select $1, id, $2, source_kind, source_ref, sequence, customer_id, event_id, occurred_at
  from unnest($3::uuid[], $4::text[], $5::text[], $6::int[], $7::uuid[], $8::uuid[], $9::timestamptz[])
    as new (id, source_kind, source_ref, sequence, customer_id, event_id, occurred_at)
), entry as (
  select * from unnest($10::uuid[], $11::text[], $12::text[], $13::bigint[]) as new (transaction_id, account, currency, amount_minor)
), written as (
  insert into ledger_entry (tenant_id, transaction_id, account, currency, amount_minor)
  select $1, transaction_id, account, currency, amount_minor from entry
)
insert into ledger_balance (tenant_id, account, currency, balance_minor)
select $1, account, currency, sum(amount_minor) from entry group by account, currency order by account, currency
on conflict (tenant_id, account, currency) do update set balance_minor = ledger_balance.balance_minor + excluded.balance_minor
"""

Source = tuple[str, str]
"""Kind (payment, refund or dispute) and gateway id: objects of different kinds may share an id."""

_Sums = dict[tuple[str, str], int]


class _Transaction(NamedTuple):
    id: UUID
    source: Source
    sequence: int
    cause: Cause


async def post_differences(
    tx: Transaction, *, tenant_id: UUID, account_id: UUID, postings: Sequence[Posting], causes: Mapping[Source, Cause]
) -> list[UUID]:
    """Bring the books of these sources to what `postings` say; return the new transactions.

    causes: every source whose postings are to be compared; one without a posting is brought to zero.
    Calling it twice posts nothing the second time.
    """
    standing, sequences = await _standing(tx, tenant_id=tenant_id, account_id=account_id, sources=causes)
    wanted = _wanted(postings)
    transactions: list[_Transaction] = []
    entries: list[tuple[UUID, str, str, int]] = []
    for source in sorted(wanted.keys() | standing.keys()):
        if difference := _difference(wanted.get(source, {}), standing.get(source, {})):
            transaction = _Transaction(ids.new(), source, sequences.get(source, -1) + 1, causes[source])
            transactions.append(transaction)
            entries.extend(
                (transaction.id, account, currency, amount) for (account, currency), amount in difference.items()
            )
    if transactions:
        await _write(tx, tenant_id=tenant_id, account_id=account_id, transactions=transactions, entries=entries)
    return [transaction.id for transaction in transactions]


async def _standing(
    tx: Transaction, *, tenant_id: UUID, account_id: UUID, sources: Collection[Source]
) -> tuple[dict[Source, _Sums], dict[Source, int]]:
    sums: dict[Source, _Sums] = {}
    sequences: dict[Source, int] = {}
    refs = sorted({ref for _, ref in sources})
    for row in await tx.fetch(_STANDING, tenant_id, account_id, refs) if refs else ():
        source = (row["source_kind"], row["source_ref"])
        if source not in sources:
            continue
        sums.setdefault(source, {})[row["account"], row["currency"]] = row["amount_minor"]
        sequences[source] = max(sequences.get(source, -1), row["sequence"])
    return sums, sequences


def _wanted(postings: Sequence[Posting]) -> dict[Source, _Sums]:
    sums: dict[Source, _Sums] = {}
    for posting in postings:
        of_source = sums.setdefault((posting.source_kind, posting.source_ref), {})
        for account, sign in ((posting.debit, 1), (posting.credit, -1)):
            key = (account, posting.currency)
            of_source[key] = of_source.get(key, 0) + sign * posting.amount_minor
    return sums


def _difference(wanted: _Sums, standing: _Sums) -> _Sums:
    keys = wanted.keys() | standing.keys()
    return {key: gap for key in sorted(keys) if (gap := wanted.get(key, 0) - standing.get(key, 0))}


async def _write(
    tx: Transaction,
    *,
    tenant_id: UUID,
    account_id: UUID,
    transactions: Sequence[_Transaction],
    entries: Sequence[tuple[UUID, str, str, int]],
) -> None:
    await tx.execute(
        _POST,
        tenant_id,
        account_id,
        [t.id for t in transactions],
        [t.source[0] for t in transactions],
        [t.source[1] for t in transactions],
        [t.sequence for t in transactions],
        [t.cause.customer_id for t in transactions],
        [t.cause.event_id for t in transactions],
        [t.cause.occurred_at for t in transactions],
        [transaction_id for transaction_id, *_ in entries],
        [account for _, account, *_ in entries],
        [currency for _, _, currency, _ in entries],
        [amount for *_, amount in entries],
    )
