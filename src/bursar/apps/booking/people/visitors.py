"""Sessions of customers on a business's own pages: an address that somebody has shown to be his, in one browser.

What it is not: a user of the business. A session is of one business and one address; which customers that is, is asked anew each time.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.identity import tokens
from bursar.kernel.identity.people import Device

LIFE: Final = timedelta(days=60)
IDLE: Final = timedelta(days=30)
_SEEN_EVERY: Final = timedelta(minutes=10)
_TIDIED_MAX: Final = 20


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who has shown that an address is his. id: of the session."""

    tenant_id: UUID
    id: UUID
    email: str

    @property
    def actor(self) -> str:
        """How the audit trail names him: by the session, so that the trail keeps no address."""
        return f"visitor:{ids.encode(self.id)}"


_OPEN = """
insert into visitor_session (tenant_id, id, email, token_sha256, user_agent, address, created_at, last_seen_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $7, $8)
"""

# Found, and noted as seen every few minutes at most, in one statement.
_FIND = """
with seen as (
  update visitor_session set last_seen_at = $4
  where tenant_id = $1 and id = $2 and token_sha256 = $3 and ended_at is null and last_seen_at <= $5 and last_seen_at > $6
)
select email from visitor_session
where tenant_id = $1 and id = $2 and token_sha256 = $3 and ended_at is null and expires_at > $4 and last_seen_at > $6
"""

_END = "update visitor_session set ended_at = $3 where tenant_id = $1 and id = $2 and ended_at is null returning id"
_END_ALL = (
    "update visitor_session set ended_at = $3 where tenant_id = $1 and email = $2 and ended_at is null returning id"
)

_TIDY = f"""
delete from visitor_session where tenant_id = $1 and id in (
  select id from visitor_session where tenant_id = $1 and expires_at <= $2 limit {_TIDIED_MAX} for update skip locked)
"""


async def admit(tx: Transaction, *, tenant_id: UUID, email: str, device: Device, now: datetime) -> str:
    """Open a session and return its token, for the cookie."""
    session_id = ids.new()
    text, digest = tokens.make(tenant_id, session_id)
    place = (device.user_agent, device.address)
    await tx.execute(_OPEN, tenant_id, session_id, email, digest, *place, now, now + LIFE)
    await tx.execute(_TIDY, tenant_id, now)
    return text


async def visitor(tx: Transaction, token: tokens.Token, *, now: datetime) -> Visitor | None:
    """Return whose session a token is and note that it is in use; None where it opens nothing (any more)."""
    email = await tx.fetchval(_FIND, token.tenant_id, token.id, token.sha256, now, now - _SEEN_EVERY, now - IDLE)
    return Visitor(token.tenant_id, token.id, email) if email else None


async def dismiss(tx: Transaction, who: Visitor, *, now: datetime) -> bool:
    """End a session; False when it was not open."""
    return await tx.fetchval(_END, who.tenant_id, who.id, now) is not None


async def dismiss_everywhere(tx: Transaction, *, tenant_id: UUID, email: str, now: datetime) -> int:
    """End every session of an address, and return how many were open."""
    return len(await tx.fetch(_END_ALL, tenant_id, email, now))
