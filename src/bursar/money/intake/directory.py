"""Gateway accounts as the hot path knows them: read once, kept for two seconds.

Two seconds is how long a removed secret may still be accepted, and a new account unknown.
"""

import asyncio
import time
from collections import OrderedDict
from dataclasses import dataclass
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.db import Database
from bursar.kernel.errors import NotFound
from bursar.kernel.seal import Seal

KEPT_S = 2.0
KEPT_MAX = 10_000
_AGAIN_S = KEPT_S / 2
_UNKNOWN = (float("-inf"), None)


class AccountUnknown(NotFound):
    """No active gateway account has this id."""

    code = "gateway_account_unknown"


@dataclass(frozen=True, slots=True)
class GatewayAccount:
    """secrets: every signing secret in force, in the clear. tolerance_s: for signed timestamps, either way.

    deliveries_per_minute: how many of those that are validly signed are taken; None: all.
    """

    id: UUID
    tenant_id: UUID
    gateway: str
    secrets: tuple[str, ...]
    tolerance_s: int
    deliveries_per_minute: int | None = None


_FIND = """
select tenant_id, gateway, signing_secrets, tolerance_s, deliveries_per_minute from gateway_account where id = $1 and is_active
"""


def signing_purpose(account_id: UUID) -> str:
    """Return what a sealed signing secret is bound to."""
    return f"gateway_account:{account_id}:signing"


class AccountDirectory:
    """Finds accounts, unknown ones too, without asking the database for each delivery."""

    def __init__(self, db: Database, seal: Seal) -> None:
        self._db = db
        self._seal = seal
        self._kept: OrderedDict[UUID, tuple[float, GatewayAccount | None]] = OrderedDict()
        self._reading: dict[UUID, asyncio.Task[GatewayAccount | None]] = {}

    def remembered(self, account_id: UUID) -> GatewayAccount | None:
        """Return an account that was read less than two seconds ago, else None. Half way through it is read again."""
        kept_until, account = self._kept.get(account_id, _UNKNOWN)
        left = kept_until - time.monotonic()
        if left < 0 or account is None:
            return None
        if left < _AGAIN_S:
            self._read_once(account_id)
        return account

    async def find(self, account_id: UUID) -> GatewayAccount:
        """Return the account. Raises AccountUnknown, DatabaseUnavailable."""
        kept_until, account = self._kept.get(account_id, _UNKNOWN)
        if kept_until < time.monotonic():
            # Sixty-four deliveries that miss at once are one question, and one that hangs up does not take it back.
            account = await asyncio.shield(self._read_once(account_id))
        if account is None:
            shown = ids.show(ids.GATEWAY_ACCOUNT, account_id)
            raise AccountUnknown(
                f"{shown} is no gateway account", hint="Copy the address that `bursar gateway add` printed."
            )
        return account

    def _read_once(self, account_id: UUID) -> "asyncio.Task[GatewayAccount | None]":
        reading = self._reading.get(account_id)
        if reading is None:
            reading = self._reading[account_id] = asyncio.create_task(self._renew(account_id))
            reading.add_done_callback(lambda done: done.cancelled() or done.exception())  # nobody may be waiting
        return reading

    async def _renew(self, account_id: UUID) -> GatewayAccount | None:
        try:
            account = await self._read(account_id)
        finally:
            del self._reading[account_id]
        self._kept[account_id] = (time.monotonic() + KEPT_S, account)
        self._kept.move_to_end(account_id)
        if len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)
        return account

    async def _read(self, account_id: UUID) -> GatewayAccount | None:
        async with self._db.engine() as tx:
            row = await tx.fetchrow(_FIND, account_id)
        if row is None:
            return None
        secrets = tuple(self._seal.open(s, purpose=signing_purpose(account_id)) for s in row["signing_secrets"])
        return GatewayAccount(
            account_id, row["tenant_id"], row["gateway"], secrets, row["tolerance_s"], row["deliveries_per_minute"]
        )
