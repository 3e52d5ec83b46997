"""Ask: write an intent and its job in the transaction that causes it."""

import asyncio
from datetime import timedelta
from typing import Final
from uuid import UUID

from bursar.kernel import audit, ids, jobs
from bursar.kernel.db import Database, Transaction
from bursar.kernel.errors import Conflict, NotFound
from bursar.kernel.logs import correlation_id
from bursar.money.calls.models import EXECUTE, CallState
from bursar.money.calls.writing import let_go
from bursar.money.gateways.calls import AnyCall, encode

_LOOK_EVERY_S: Final = 0.05


class CallNotFound(NotFound):
    """No gateway call of this tenant has this id."""

    code = "gateway_call_not_found"


class CallKeyReused(Conflict):
    """The key names an earlier call that asks something else."""

    code = "gateway_call_key_reused"


class CallNotUnknown(Conflict):
    """The call has an outcome, or is being made."""

    code = "gateway_call_not_unknown"


_ASK = """
insert into gateway_call (tenant_id, id, gateway_account_id, key, operation, subject, asker, actor, request, correlation_id)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
on conflict (tenant_id, key) do nothing
returning id
"""

_ASKED = "select id, gateway_account_id, request from gateway_call where tenant_id = $1 and key = $2"

_STATE = "select state from gateway_call where tenant_id = $1 and id = $2"

_TELL_TOO = """
update gateway_call set asker = case when asker = '' then $3 else asker || ' ' || $3 end
where tenant_id = $1 and key = $2 and state = 'asked' returning id
"""

_REOPEN = """
update gateway_call set state = 'asked', ended_at = null, must_look = true
where tenant_id = $1 and id = $2 and state = 'unknown' returning subject
"""


async def ask(
    tx: Transaction,
    *,
    tenant_id: UUID,
    account_id: UUID,
    call: AnyCall,
    subject: str,
    key: str,
    actor: str,
    asker: str = "",
    lane: str | None = None,
) -> UUID:
    """Write down a call and the job that makes it; return the call. Nothing is sent before the transaction commits.

    subject: public id of what it is about. key: the same one is the same call. asker: who is told, by its name.
    lane: calls of one lane are made one at a time, in this order; by default those of one subject.
    Raises CallKeyReused.
    """
    assert not call.is_read, f"{call.operation} changes nothing: read_now"
    call_id, request = ids.new(), encode(call)
    told_by = (correlation_id() or "")[:128] or None
    made = await tx.fetchval(
        _ASK, tenant_id, call_id, account_id, key, call.operation, subject, asker, actor, request, told_by
    )
    if made is None:
        earlier = await tx.fetchrow(_ASKED, tenant_id, key)
        is_same = bytes(earlier["request"]) in (request, let_go(request))
        if earlier["gateway_account_id"] != account_id or not is_same:
            raise CallKeyReused("this key was used for another call", hint="Give every call a key of its own.")
        return UUID(int=earlier["id"].int)
    await _enqueue(tx, tenant_id, call_id, lane or subject)
    return call_id


async def tell_too(tx: Transaction, *, tenant_id: UUID, key: str, asker: str) -> UUID:
    """Let one more be told what comes of a call, after those who are told already; return the call.

    In the transaction that asked for it, by the key that it was given.
    """
    call_id: UUID | None = await tx.fetchval(_TELL_TOO, tenant_id, key, asker)
    assert call_id is not None, f"nothing is asked for under {key}"
    return call_id


async def look_again(tx: Transaction, *, tenant_id: UUID, call_id: UUID, actor: str) -> None:
    """Look at the gateway what became of a call whose outcome is unknown. Raises CallNotFound, CallNotUnknown."""
    shown = ids.show(ids.GATEWAY_CALL, call_id)
    state = await tx.fetchval(_STATE, tenant_id, call_id)
    if state is None:
        raise CallNotFound(f"there is no gateway call {shown}")
    subject = await tx.fetchval(_REOPEN, tenant_id, call_id)
    if subject is None:
        raise CallNotUnknown(f"{shown} is {state}", hint="Only a call whose outcome is unknown can be looked for.")
    await _enqueue(tx, tenant_id, call_id, subject)
    await audit.record(
        tx, tenant_id=tenant_id, actor=actor, action="gateway_call.look_asked", subject=shown, changes={}
    )


async def waited(db: Database, *, tenant_id: UUID, call_id: UUID, at_most: timedelta) -> CallState:
    """Wait until a call that was committed has an outcome; return its state. Holds no connection meanwhile."""
    deadline = asyncio.get_running_loop().time() + at_most.total_seconds()
    while True:
        async with db.tenant(tenant_id) as tx:
            state: CallState = await tx.fetchval(_STATE, tenant_id, call_id)
        if state != "asked" or asyncio.get_running_loop().time() >= deadline:
            return state
        await asyncio.sleep(_LOOK_EVERY_S)


async def _enqueue(tx: Transaction, tenant_id: UUID, call_id: UUID, lane: str) -> None:
    shown = ids.show(ids.GATEWAY_CALL, call_id)
    await jobs.enqueue(
        tx, tenant_id=tenant_id, kind=EXECUTE, key=shown, request=call_id.bytes, lane=f"calls:{lane}"[:255]
    )
