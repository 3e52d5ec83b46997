"""The audit trail: who did what, from where, written in the transaction that does it. Append-only, and sealed later.

What somebody wrote in his own words stands beside the record, which holds the salted hash of it: so it can be forgotten
with the person it tells of, and nothing that is sealed changes (decision 0015).

What it is not: the chain that proves it unchanged; `money.trail` seals what has been committed.
"""

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, NamedTuple
from uuid import UUID

import msgspec
from starlette.types import Scope

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.gathering import gathered

_ADDRESS_MAX, _USER_AGENT_MAX, _CORRELATION_MAX = 64, 120, 128

APPEND: Final = """
insert into audit_record (tenant_id, id, actor, action, event_id, subject, changes, address, user_agent, correlation_id)
select $1, id, actor, action, event_id, subject, changes::jsonb, $2, $3, $4
from unnest($5::uuid[], $6::text[], $7::text[], $8::uuid[], $9::text[], $10::text[]) as new (id, actor, action, event_id, subject, changes)
"""

_NOTE = "insert into audit_note (tenant_id, record_id, salt, told) values ($1, $2, $3, $4::text::jsonb)"

NOTED: Final = ("reason", "fingerprint")
"""Fields of `changes` in which somebody's own words or a person's device may stand."""
NOTE: Final = "note"
_SALT_BYTES: Final = 16


class Record(NamedTuple):
    """A record to be appended, in the order of the columns. changes: as JSON."""

    id: UUID
    actor: str
    action: str
    event_id: UUID | None
    subject: str | None
    changes: str


AddressOf = Callable[[Scope], str]


@dataclass(frozen=True, slots=True)
class Origin:
    """From where a request came. user_agent: shortened. correlation_id: under which the logs tell of it."""

    address: str | None = None
    user_agent: str | None = None
    correlation_id: str | None = None


NOWHERE: Final = Origin()
"""The origin of what no request asked for: commands, jobs, policies."""

_asking: ContextVar[tuple[Scope, AddressOf] | None] = ContextVar("asking", default=None)


@contextmanager
def on_behalf_of(scope: Scope, address_of: AddressOf) -> Iterator[None]:
    """Let every record that is written within say that this request was its origin."""
    token = _asking.set((scope, address_of))
    try:
        yield
    finally:
        _asking.reset(token)


def origin() -> Origin:
    """Return from where what is being done now was asked for."""
    asking = _asking.get()
    if asking is None:
        return NOWHERE
    scope, address_of = asking
    agent = next((value for name, value in scope["headers"] if name == b"user-agent"), b"").decode("latin-1")
    return Origin(
        address_of(scope)[:_ADDRESS_MAX] or None,
        "".join(char for char in agent[:_USER_AGENT_MAX] if char.isprintable()) or None,
        str(scope.get("correlation_id", ""))[:_CORRELATION_MAX] or None,
    )


async def record(
    tx: Transaction,
    *,
    tenant_id: UUID,
    actor: str,
    action: str,
    subject: str | None,
    changes: dict[str, Any],
    event_id: UUID | None = None,
) -> None:
    """Append one record. actor: `key:key_…`, `operator`, `policy:…`. subject: public id of what changed most.

    changes: plain values; never a secret. What replaced something else is `changed(…)`. Texts of `NOTED` are kept beside it.
    """
    record_id = ids.new()
    noted = {name: changes[name] for name in NOTED if changes.get(name)}
    if noted:
        salt = os.urandom(_SALT_BYTES)
        changes = {k: v for k, v in changes.items() if k not in noted} | {NOTE: note_hash(salt, noted)}
        await tx.execute(_NOTE, tenant_id, record_id, salt, msgspec.json.encode(noted).decode())
    await _append(tx, tenant_id, [Record(record_id, actor, action, event_id, subject, _told(changes))])


async def record_all(
    tx: Transaction, *, tenant_id: UUID, actor: str, records: Sequence[tuple[str, str | None, dict[str, Any]]]
) -> None:
    """Append many records in one statement: action, subject, changes. None of them may have a text of `NOTED`."""
    assert not any(changes.get(name) for *_, changes in records for name in NOTED), "notes are kept one by one"
    rows = [Record(ids.new(), actor, action, None, subject, _told(changes)) for action, subject, changes in records]
    await _append(tx, tenant_id, rows)


async def _append(tx: Transaction, tenant_id: UUID, rows: Sequence[Record]) -> None:
    if kept := gathered(tx, tenant_id=tenant_id):
        kept.records.extend(rows)
    elif rows:
        await tx.execute(APPEND, tenant_id, *columns_of(rows))


def columns_of(rows: Sequence[Record]) -> list[Any]:
    """Return what APPEND takes after the tenant."""
    by = origin()
    columns = ([row[n] for row in rows] for n in range(len(Record._fields)))
    return [by.address, by.user_agent, by.correlation_id, *columns]


def _told(changes: dict[str, Any]) -> str:
    return msgspec.json.encode(changes).decode()


def note_hash(salt: bytes, noted: Mapping[str, Any]) -> str:
    """Return what a record holds of its note. Without the salt nothing can be guessed from it."""
    return hashlib.sha256(salt + msgspec.json.encode(dict(noted), order="sorted")).hexdigest()


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the fields that differ as `{field: {"before": …, "after": …}}`; what was not there before is None."""
    return {
        name: {"before": before.get(name), "after": after.get(name)}
        for name in after
        if before.get(name) != after.get(name)
    }
