"""The desk's calling half: nobody is at the other end, so everything is refused by name, with what to do instead."""

from datetime import datetime
from typing import Final

from bursar.money.gateways.calling import (
    DEADLINE_S,
    PAGE_SIZE_MAX,
    Answer,
    Credentials,
    OperationUnsupported,
    Page,
)
from bursar.money.gateways.calls import AnyCall, Kind

_INSTEAD: Final = {
    "create_refund": "Hand the money back, then record it with POST /v1/manual-refunds.",
    "create_payment": "Take the money, then record it with POST /v1/manual-payments.",
    "create_checkout": "Take the money at the desk and record it, or use an account of a payment gateway.",
}
_ELSE: Final = "Use an account of a payment gateway."


class DeskCaller:
    """See `calling.Caller`."""

    name = "manual"
    repeats_safely_s: int | None = None
    fetches: frozenset[Kind] = frozenset()
    lists: frozenset[Kind] = frozenset()

    def check(self, call: AnyCall) -> None:
        """Raises OperationUnsupported, always."""
        raise OperationUnsupported(
            f"the desk has nobody to ask: {call.operation}", hint=_INSTEAD.get(call.operation, _ELSE)
        )

    def finds(self, call: AnyCall) -> bool:
        del call
        return False

    async def execute(
        self, call: AnyCall, *, credentials: Credentials, idempotency_key: str, deadline_s: float = DEADLINE_S
    ) -> Answer:
        """Raises OperationUnsupported, always."""
        del credentials, idempotency_key, deadline_s
        self.check(call)
        raise AssertionError("check refuses every call")

    async def find(
        self,
        call: AnyCall,
        *,
        credentials: Credentials,
        idempotency_key: str,
        since: datetime,
        deadline_s: float = DEADLINE_S,
    ) -> Answer | None:
        """Raises OperationUnsupported, always."""
        del credentials, idempotency_key, since, deadline_s
        self.check(call)
        return None

    async def fetch(
        self, kind: Kind, ref: str, *, credentials: Credentials, deadline_s: float = DEADLINE_S
    ) -> Answer | None:
        """Raises OperationUnsupported, always."""
        del ref, credentials, deadline_s
        raise _nothing_to_show(kind)

    async def objects(
        self,
        kind: Kind,
        *,
        credentials: Credentials,
        since: datetime | None = None,
        until: datetime | None = None,
        customer: str | None = None,
        cursor: str | None = None,
        limit: int = PAGE_SIZE_MAX,
        deadline_s: float = DEADLINE_S,
    ) -> Page:
        """Raises OperationUnsupported, always."""
        del credentials, since, until, customer, cursor, limit, deadline_s
        raise _nothing_to_show(kind)

    async def close(self) -> None:
        """There is nothing to close."""


def _nothing_to_show(kind: Kind) -> OperationUnsupported:
    return OperationUnsupported(
        f"the desk keeps no {kind} of its own", hint="What was recorded at the desk is in Bursar alone."
    )
