"""Attempts at signing in, counted before they are judged: by address, by account, by both together.

The limit that a stranger reaches first is the one of the account from his own address, which locks nobody else out.
The larger one of the account alone stops many addresses; an address that the account signed in from lately is exempt.
Nothing here tells whether an account exists: what is counted is the text that was typed.
"""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from bursar.kernel.db import Transaction
from bursar.kernel.errors import LimitExceeded


@dataclass(frozen=True, slots=True)
class Limit:
    """So many attempts within a window."""

    attempts: int
    window: timedelta


PAIR: Final = Limit(10, timedelta(minutes=15))
"""One account from one address."""
ADDRESS: Final = Limit(100, timedelta(minutes=15))
"""One address, whatever the account."""
ACCOUNT: Final = Limit(100, timedelta(hours=1))
"""One account, whatever the address."""
MAILS: Final = Limit(5, timedelta(hours=1))
"""Mails to one address of an account, as asked for by strangers."""

_KEPT_OVER_MAX: Final = 20

# One guarded statement: at the limit nothing is updated and nothing returned.
_COUNT = """
insert into sign_in_throttle as t (tenant_id, counted, attempts, window_ends_at) values ($1, $2, 1, $3::timestamptz + $4)
on conflict (tenant_id, counted) do update set
  attempts = case when t.window_ends_at <= $3 then 1 else t.attempts + 1 end,
  window_ends_at = case when t.window_ends_at <= $3 then excluded.window_ends_at else t.window_ends_at end
where t.window_ends_at <= $3 or t.attempts < $5
returning attempts
"""

_COUNT_OPERATORS = """
insert into operator_throttle as t (counted, attempts, window_ends_at) values ($1, 1, $2::timestamptz + $3)
on conflict (counted) do update set
  attempts = case when t.window_ends_at <= $2 then 1 else t.attempts + 1 end,
  window_ends_at = case when t.window_ends_at <= $2 then excluded.window_ends_at else t.window_ends_at end
where t.window_ends_at <= $2 or t.attempts < $4
returning attempts
"""

_FORGIVE = "update sign_in_throttle set attempts = 0 where tenant_id = $1 and counted = $2"

_TIDY = f"""
delete from sign_in_throttle where tenant_id = $1 and counted in (
  select counted from sign_in_throttle where tenant_id = $1 and window_ends_at <= $2
  limit {_KEPT_OVER_MAX} for update skip locked)
"""


class SignInLimited(LimitExceeded):
    """Too many attempts; the password is not even looked at."""

    code = "sign_in_limited"


async def count(tx: Transaction, *, tenant_id: UUID, what: str, limit: Limit, now: datetime) -> bool:
    """Count one attempt, and return whether it is within the limit."""
    counted = await tx.fetchval(_COUNT, tenant_id, _hashed(what), now, limit.window, limit.attempts)
    return counted is not None


async def count_operators(tx: Transaction, *, what: str, limit: Limit, now: datetime) -> bool:
    """Count one attempt of somebody who says to be an operator, and return whether it is within the limit."""
    counted = await tx.fetchval(_COUNT_OPERATORS, _hashed(what), now, limit.window, limit.attempts)
    return counted is not None


async def forgive(tx: Transaction, *, tenant_id: UUID, what: str) -> None:
    """Begin to count anew: it was the right person after all."""
    await tx.execute(_FORGIVE, tenant_id, _hashed(what))


async def tidy(tx: Transaction, *, tenant_id: UUID, now: datetime) -> None:
    """Take away a few counts whose window is over, so that guesses at names do not fill the table."""
    await tx.execute(_TIDY, tenant_id, now)


def limited() -> SignInLimited:
    """Return the refusal. It is the same whatever was counted."""
    return SignInLimited(
        "too many attempts to sign in", hint="Wait a quarter of an hour, or set a new password.", retry_after_s=900
    )


def _hashed(what: str) -> bytes:
    return hashlib.sha256(what.encode("utf-8", "replace")).digest()
