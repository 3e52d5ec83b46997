"""What is recorded and told within one act, kept back so that one statement can write all of it."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import UUID

from bursar.kernel.db import Transaction

if TYPE_CHECKING:
    from bursar.kernel.audit import Record
    from bursar.kernel.outbox import Told


@dataclass(frozen=True, slots=True)
class Gathered:
    """What is kept back of one transaction and tenant. records: of the audit trail. told: of the outbox."""

    tx: Transaction
    tenant_id: UUID
    records: list["Record"] = field(default_factory=list)
    told: list["Told"] = field(default_factory=list)


_gathered: ContextVar[Gathered | None] = ContextVar("gathered", default=None)


@contextmanager
def gathering(tx: Transaction, *, tenant_id: UUID) -> Iterator[Gathered]:
    """Keep back what is recorded and told within, all of it of this tenant and transaction, for whoever writes it at the end."""
    kept = Gathered(tx, tenant_id)
    token = _gathered.set(kept)
    try:
        yield kept
    finally:
        _gathered.reset(token)


def gathered(tx: Transaction, *, tenant_id: UUID) -> Gathered | None:
    """Return where to put what is to be written now, if it is kept back."""
    kept = _gathered.get()
    assert kept is None or (kept.tx, kept.tenant_id) == (tx, tenant_id), "what is gathered is of one transaction"
    return kept
