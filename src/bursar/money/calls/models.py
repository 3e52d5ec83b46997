"""What a call is, what it came to, and who is told."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Literal
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.money.gateways.calling import Json
from bursar.money.gateways.calls import AnyCall, Kind, decode

CallState = Literal["asked", "succeeded", "refused", "unknown"]

EXECUTE: Final = "gateways.execute_call"
"""The kind of job that sends a call. Its key is the call's id."""
LOOK: Final = "gateways.look_for_call"
"""The kind of job that looks what became of a call whose outcome is unknown. It sends nothing. Its key is the call's id."""


FAILURE: Final = """case when g.state = 'refused' then g.error_code end as failure_code,
  case when g.state = 'refused' then g.error_message end as failure"""
"""Columns: why the gateway refused the call `g`."""


@dataclass(frozen=True, slots=True)
class Intent:
    """A call as its sender sees it; the columns of the table say what each field is."""

    tenant_id: UUID
    id: UUID
    account_id: UUID
    operation: str
    subject: str
    asker: str
    request: bytes = field(repr=False)
    state: CallState
    attempts: int
    key_number: int
    in_doubt: bool
    must_look: bool
    first_sent_at: datetime | None
    created_at: datetime

    @property
    def call(self) -> AnyCall:
        """What is asked. Raises CallUnreadable."""
        return decode(self.request)

    @property
    def idempotency_key(self) -> str:
        """The call's own id, which the gateway keeps with what it does; numbered where an earlier key did nothing."""
        own = ids.show(ids.GATEWAY_CALL, self.id)
        return own if self.key_number == 1 else f"{own}-{self.key_number}"


@dataclass(frozen=True, slots=True)
class Ended:
    """A call and its outcome. ref, object: what the gateway answered, or told with its refusal. code, message: why it refused."""

    tenant_id: UUID
    id: UUID
    account_id: UUID
    subject: str
    call: AnyCall
    object_kind: Kind | None = None
    ref: str | None = None
    object: Json | None = None
    code: str | None = None
    message: str | None = None


Hear = Callable[[Transaction, Ended], Awaitable[None]]


async def _nothing(_tx: Transaction, _ended: Ended) -> None:
    """Whoever does not care hears nothing."""


@dataclass(frozen=True, slots=True)
class Asker:
    """Who is told outcomes, in the transactions that write them. name: permanent, one word; a call carries those of all its askers.

    on_unknown: may be followed by one of the others, when somebody has looked.
    """

    name: str
    on_succeeded: Hear = _nothing
    on_refused: Hear = _nothing
    on_unknown: Hear = _nothing
