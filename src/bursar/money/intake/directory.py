"""Gateway accounts as the hot path knows them: read once, kept for two seconds.

Two seconds is how long a removed secret may still be accepted, and a new account unknown.
"""

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


class AccountUnknown(NotFound):
    """No active gateway account has this id."""

    code = "gateway_account_unknown"


@dataclass(frozen=True, slots=True)
class GatewayAccount:
    """secrets: every signing secret in force, in the clear. tolerance_s: for signed timestamps, either way."""

    id: UUID
    tenant_id: UUID
    gateway: str
    secrets: tuple[str, ...]
    tolerance_s: int


_FIND = """
select tenant_id, gateway, signing_secrets, tolerance_s from gateway_account where id = $1 and is_active
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

    async def find(self, account_id: UUID) -> GatewayAccount:
        """Return the account. Raises AccountUnknown, DatabaseUnavailable."""
        kept = self._kept.get(account_id)
        if kept is None or kept[0] < time.monotonic():
            account = await self._read(account_id)
            self._kept[account_id] = (time.monotonic() + KEPT_S, account)
            self._kept.move_to_end(account_id)
            if len(self._kept) > KEPT_MAX:
                self._kept.popitem(last=False)
        else:
            account = kept[1]
        if account is None:
            shown = ids.show(ids.GATEWAY_ACCOUNT, account_id)
            raise AccountUnknown(
                f"{shown} is no gateway account", hint="Copy the address that `bursar gateway add` printed."
            )
        return account

    async def _read(self, account_id: UUID) -> GatewayAccount | None:
        async with self._db.engine() as tx:
            row = await tx.fetchrow(_FIND, account_id)
        if row is None:
            return None
        secrets = tuple(self._seal.open(s, purpose=signing_purpose(account_id)) for s in row["signing_secrets"])
        return GatewayAccount(account_id, row["tenant_id"], row["gateway"], secrets, row["tolerance_s"])
