"""The books: what stands in every account, and the newest transactions."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.amounts import Money
from bursar.kernel.db import Transaction
from bursar.web.pages.paging import ROWS, Slice, sliced

_ACCOUNTS_MAX = 500


@dataclass(frozen=True, slots=True)
class AccountRow:
    """A balance on its side: one of debit and credit is None."""

    account: str
    debit: Money | None
    credit: Money | None


@dataclass(frozen=True, slots=True)
class CurrencyBooks:
    """All accounts of one currency. difference: of the two sides; anything but zero is a broken invariant."""

    currency: str
    accounts: tuple[AccountRow, ...]
    debits: Money
    credits: Money
    difference: int


@dataclass(frozen=True, slots=True)
class EntryRow:
    account: str
    debit: Money | None
    credit: Money | None


@dataclass(frozen=True, slots=True)
class TransactionRow:
    """A transaction with its entries. is_correction: it corrects an earlier one of the same source."""

    id: str
    source_kind: str
    source_ref: str
    is_correction: bool
    customer_id: str | None
    customer: str | None
    event_id: str
    at: datetime
    entries: tuple[EntryRow, ...]


_BALANCES = f"""
select account, currency, balance_minor from ledger_balance where tenant_id = $1 order by currency, account limit {_ACCOUNTS_MAX}
"""

_TRANSACTIONS = """
select t.id, t.source_kind, left(t.source_ref, 120) as source_ref, t.sequence, t.customer_id, t.event_id, t.created_at,
  left(coalesce(c.name, c.email, c.gateway_ref), 80) as customer
from ledger_transaction t left join customer c on c.tenant_id = t.tenant_id and c.id = t.customer_id
where t.tenant_id = $1 and t.id < $2 order by t.id desc limit $3
"""

_ENTRIES = """
select transaction_id, account, currency, amount_minor from ledger_entry
where tenant_id = $1 and transaction_id = any($2::uuid[]) order by transaction_id, amount_minor desc, account
"""


async def balances(tx: Transaction, *, tenant_id: UUID) -> tuple[CurrencyBooks, ...]:
    """Return every account by currency, with both sides added up."""
    by_currency: dict[str, list[tuple[str, int]]] = {}
    for row in await tx.fetch(_BALANCES, tenant_id):
        by_currency.setdefault(row["currency"], []).append((row["account"], int(Decimal(row["balance_minor"]))))
    return tuple(_books(currency, accounts) for currency, accounts in by_currency.items())


async def transactions(tx: Transaction, *, tenant_id: UUID, below: UUID, limit: int = ROWS) -> Slice[TransactionRow]:
    """Return a page of ledger transactions, newest first."""
    rows = await tx.fetch(_TRANSACTIONS, tenant_id, below, limit + 1)
    entries: dict[UUID, list[EntryRow]] = {}
    for entry in await tx.fetch(_ENTRIES, tenant_id, [row["id"] for row in rows]):
        debit, credit = _sides(entry["amount_minor"], entry["currency"])
        entries.setdefault(entry["transaction_id"], []).append(EntryRow(entry["account"], debit, credit))
    views = [
        TransactionRow(
            id=ids.show(ids.LEDGER_TRANSACTION, row["id"]),
            source_kind=row["source_kind"],
            source_ref=row["source_ref"],
            is_correction=row["sequence"] > 0,
            customer_id=ids.show(ids.CUSTOMER, row["customer_id"]) if row["customer_id"] else None,
            customer=row["customer"],
            event_id=ids.show(ids.EVENT, row["event_id"]),
            at=row["created_at"],
            entries=tuple(entries.get(row["id"], ())),
        )
        for row in rows
    ]
    return sliced(views, [view.id for view in views], limit=limit)


def _books(currency: str, accounts: list[tuple[str, int]]) -> CurrencyBooks:
    debits = sum(balance for _, balance in accounts if balance > 0)
    credited = -sum(balance for _, balance in accounts if balance < 0)
    rows = tuple(AccountRow(account, *_sides(balance, currency)) for account, balance in accounts)
    return CurrencyBooks(currency, rows, Money(debits, currency), Money(credited, currency), debits - credited)


def _sides(minor: int, currency: str) -> tuple[Money | None, Money | None]:
    money = Money(abs(minor), currency)
    return (money, None) if minor >= 0 else (None, money)
