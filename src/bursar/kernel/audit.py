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
from typing import Any, Final
from uuid import UUID

import msgspec
from starlette.types import Scope

from bursar.kernel import ids
from bursar.kernel.db import Transaction

_ADDRESS_MAX, _USER_AGENT_MAX, _CORRELATION_MAX = 64, 120, 128

_APPEND = """
insert into audit_record (tenant_id, id, actor, action, event_id, subject, changes, address, user_agent, correlation_id)
values ($1, $2, $3, $4, $5, $6, $7::text::jsonb, $8, $9, $10)
"""

_APPEND_ALL = """
insert into audit_record (tenant_id, id, actor, action, subject, changes, address, user_agent, correlation_id)
select $1, id, $2, action, subject, changes::jsonb, $3, $4, $5
from unnest($6::uuid[], $7::text[], $8::text[], $9::text[]) as new (id, action, subject, changes)
"""

_NOTE = "insert into audit_note (tenant_id, record_id, salt, told) values ($1, $2, $3, $4::text::jsonb)"

NOTED: Final = ("reason", "fingerprint")
"""Fields of `changes` in which somebody's own words or a person's device may stand."""
NOTE: Final = "note"
_SALT_BYTES: Final = 16

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
    by, record_id = origin(), ids.new()
    noted = {name: changes[name] for name in NOTED if changes.get(name)}
    if noted:
        salt = os.urandom(_SALT_BYTES)
        changes = {k: v for k, v in changes.items() if k not in noted} | {NOTE: note_hash(salt, noted)}
        await tx.execute(_NOTE, tenant_id, record_id, salt, msgspec.json.encode(noted).decode())
    told = msgspec.json.encode(changes).decode()
    await tx.execute(
        _APPEND,
        tenant_id,
        record_id,
        actor,
        action,
        event_id,
        subject,
        told,
        by.address,
        by.user_agent,
        by.correlation_id,
    )


async def record_all(
    tx: Transaction, *, tenant_id: UUID, actor: str, records: Sequence[tuple[str, str | None, dict[str, Any]]]
) -> None:
    """Append many records in one statement: action, subject, changes. None of them may have a text of `NOTED`."""
    assert not any(changes.get(name) for *_, changes in records for name in NOTED), "notes are kept one by one"
    if records:
        by = origin()
        told = [msgspec.json.encode(changes).decode() for *_, changes in records]
        actions, subjects = [action for action, *_ in records], [subject for _, subject, _ in records]
        origins = (by.address, by.user_agent, by.correlation_id)
        record_ids = [ids.new() for _ in records]
        await tx.execute(_APPEND_ALL, tenant_id, actor, *origins, record_ids, actions, subjects, told)


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
