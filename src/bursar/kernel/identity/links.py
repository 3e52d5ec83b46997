"""Links that are mailed: each good once, for one purpose, until it expires."""

from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Invalid
from bursar.kernel.identity import tokens

Purpose = Literal["invitation", "password_reset", "email_verification"]

_LIVES: Final[dict[str, timedelta]] = {
    "invitation": timedelta(days=7),
    "password_reset": timedelta(hours=1),
    "email_verification": timedelta(days=3),
}

_MAKE = (
    "insert into user_link (tenant_id, id, user_id, purpose, secret_sha256, expires_at) values ($1, $2, $3, $4, $5, $6)"
)

_LOOK = """
select l.user_id from user_link l join tenant_user u on u.tenant_id = l.tenant_id and u.id = l.user_id
where l.tenant_id = $1 and l.id = $2 and l.secret_sha256 = $3 and l.purpose = any($4) and l.used_at is null and l.expires_at > $5
  and u.deactivated_at is null
"""

# One guarded statement: of two that use a link at the same moment, one gets a row.
_USE = """
update user_link l set used_at = $5 from tenant_user u
where l.tenant_id = $1 and l.id = $2 and l.secret_sha256 = $3 and l.purpose = any($4) and l.used_at is null and l.expires_at > $5
  and u.tenant_id = l.tenant_id and u.id = l.user_id and u.deactivated_at is null
returning l.user_id
"""

_VOID = "update user_link set used_at = $3 where tenant_id = $1 and user_id = $2 and used_at is null and purpose <> 'email_verification'"


class LinkInvalid(Invalid):
    """The link was used, has expired, or is not ours."""

    code = "link_invalid"
    status = 400


def days(purpose: Purpose) -> int:
    """Return how long a link is good, in days."""
    return _LIVES[purpose].days


async def make(tx: Transaction, *, tenant_id: UUID, user_id: UUID, purpose: Purpose, now: datetime) -> str:
    """Return a new link's token, to be given away once."""
    link_id = ids.new()
    text, digest = tokens.make(tenant_id, link_id)
    await tx.execute(_MAKE, tenant_id, link_id, user_id, purpose, digest, now + _LIVES[purpose])
    return text


async def look(tx: Transaction, token: tokens.Token, *, purposes: tuple[Purpose, ...], now: datetime) -> UUID:
    """Return whose link this is, without using it. Raises LinkInvalid."""
    user_id: UUID | None = await tx.fetchval(_LOOK, token.tenant_id, token.id, token.sha256, list(purposes), now)
    if user_id is None:
        raise invalid()
    return user_id


async def use(tx: Transaction, token: tokens.Token, *, purposes: tuple[Purpose, ...], now: datetime) -> UUID:
    """Use a link up and return whose it was. Raises LinkInvalid."""
    user_id: UUID | None = await tx.fetchval(_USE, token.tenant_id, token.id, token.sha256, list(purposes), now)
    if user_id is None:
        raise invalid()
    return user_id


async def void_all_of(tx: Transaction, *, tenant_id: UUID, user_id: UUID, now: datetime) -> None:
    """Make worthless what else could set this user's password."""
    await tx.execute(_VOID, tenant_id, user_id, now)


def invalid() -> LinkInvalid:
    return LinkInvalid(
        "this address has been used, is too old, or is not ours", hint="Ask for a new one: “Forgot your password?”"
    )
