"""What is written of a call: that it is sent, what went wrong, and its outcome. Each statement is guarded by its state."""

from datetime import datetime
from hashlib import sha256
from typing import Final
from uuid import UUID

from bursar.kernel.db import Transaction, storable
from bursar.money.calls.models import Intent
from bursar.money.gateways.calling import CallFailed

MESSAGE_MAX: Final = 500
CODE_MAX: Final = 100

_INTENT = """
select tenant_id, id, gateway_account_id as account_id, operation, subject, asker, request, state, attempts, key_number, in_doubt,
  must_look, first_sent_at, created_at
from gateway_call where tenant_id = $1 and id = $2
"""

# Before the first byte is sent: whoever finds the call afterwards knows that it may have been done.
_SENDING = """
update gateway_call set attempts = attempts + 1, in_doubt = true, last_sent_at = $3, first_sent_at = coalesce(first_sent_at, $3)
where tenant_id = $1 and id = $2 and state = 'asked' and key_number = $4
returning attempts
"""

# A neighbour that holds the call by now may have sent it meanwhile: then nothing is taken back.
_TROUBLED = """
update gateway_call set error_kind = $3, error_message = $4, in_doubt = case when attempts = $5 then $6 else in_doubt end,
  must_look = must_look or $7
where tenant_id = $1 and id = $2 and state = 'asked'
"""

_NEW_KEY = """
update gateway_call set key_number = key_number + 1, in_doubt = false, must_look = false, first_sent_at = null
where tenant_id = $1 and id = $2 and state = 'asked' and key_number = $3
returning key_number
"""

_SUCCEEDED = """
update gateway_call set state = 'succeeded', object_kind = $3, ref = $4, url = $5, event_id = $6, in_doubt = false, must_look = false,
  error_kind = null, error_code = null, error_message = null, ended_at = $7, request = coalesce($8, request)
where tenant_id = $1 and id = $2 and state = $9
returning id
"""

_ENDED = """
update gateway_call set state = $3, error_kind = $4, error_code = $5, error_message = $6, event_id = $7, ended_at = $8,
  request = coalesce($9, request)
where tenant_id = $1 and id = $2 and state = $10
returning id
"""


async def intent(tx: Transaction, *, tenant_id: UUID, call_id: UUID) -> Intent | None:
    row = await tx.fetchrow(_INTENT, tenant_id, call_id)
    return Intent(**dict(row)) if row else None


async def sending(tx: Transaction, it: Intent, *, now: datetime) -> int | None:
    """Write down that it is sent now; return the attempt's number. None: it has ended or has another key meanwhile."""
    number: int | None = await tx.fetchval(_SENDING, it.tenant_id, it.id, now, it.key_number)
    return number


async def troubled(
    tx: Transaction, it: Intent, failure: CallFailed, *, attempt: int, in_doubt: bool, must_look: bool = False
) -> None:
    """Write down what went wrong. attempt: of this sender. in_doubt: whether anything sent so far may have been done."""
    message = storable(failure.message, length_max=MESSAGE_MAX)
    await tx.execute(_TROUBLED, it.tenant_id, it.id, failure.kind, message, attempt, in_doubt, must_look)


async def new_key(tx: Transaction, it: Intent) -> bool:
    """Take a new key, because the old one surely did nothing. False: somebody else did."""
    return await tx.fetchval(_NEW_KEY, it.tenant_id, it.id, it.key_number) is not None


async def succeeded(
    tx: Transaction,
    it: Intent,
    *,
    kind: str,
    ref: str,
    url: bytes | None,
    event_id: UUID | None,
    now: datetime,
    is_let_go: bool = False,
) -> bool:
    """Write the outcome; False when it is not in the state any more in which its sender found it.

    is_let_go: what was carried is not kept.
    """
    kept = let_go(it.request) if is_let_go else None
    told = (kind, ref, url, event_id, now, kept, it.state)
    return await tx.fetchval(_SUCCEEDED, it.tenant_id, it.id, *told) is not None


async def ended(
    tx: Transaction,
    it: Intent,
    *,
    state: str,
    kind: str,
    code: str | None,
    message: str,
    now: datetime,
    event_id: UUID | None = None,
    is_let_go: bool = False,
) -> bool:
    """Write that it was refused, or that nobody can tell; False when it is not in the state any more in which it was found."""
    kept = let_go(it.request) if is_let_go else None
    told_code = code and storable(code, length_max=CODE_MAX)
    told = storable(message, length_max=MESSAGE_MAX)
    ending = (state, kind, told_code, told, event_id, now, kept, it.state)
    return await tx.fetchval(_ENDED, it.tenant_id, it.id, *ending) is not None


def let_go(request: bytes) -> bytes:
    """Return what stands in the place of bytes that are not kept: enough to tell whether others are the same."""
    return b"let go: sha256 " + sha256(request).hexdigest().encode()
