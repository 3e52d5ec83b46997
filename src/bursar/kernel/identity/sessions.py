"""Sessions: a row for each browser that is signed in, found by a random token of which only the hash is kept.

One mechanism for users, for API keys shown at the door, and for operators who act for a business. A session ends when
nobody used it for a while, at its own end however busy it is, when it is revoked, and with whoever it belongs to.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, Literal
from uuid import UUID

from pydantic import Field

from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import NotFound
from bursar.kernel.http.identifiers import ApiKeyId, SessionId, UserId
from bursar.kernel.http.views import View
from bursar.kernel.identity import tokens
from bursar.kernel.identity.people import Device
from bursar.kernel.listing import Listing, Part, Slice, part

LIFE: Final = timedelta(hours=12)
IDLE: Final = timedelta(hours=2)
PENDING_LIFE: Final = timedelta(minutes=5)
ACTING_LIFE: Final = timedelta(hours=1)
SEEN_EVERY: Final = timedelta(minutes=1)
KEPT: Final = timedelta(days=90)

Kind = Literal["user", "key", "operator"]


class SessionNotFound(NotFound):
    """No open session of this business has this id."""

    code = "session_not_found"


@dataclass(frozen=True, slots=True)
class Session:
    """An open session. who_id: the user, key or operator; None is an operator who came with a ticket.

    user_name, roles: of a user. is_pending: the password was right, the code is still to come.
    is_strong: a user has a second factor; sessions of others have none to have.
    proven_at: when whoever it belongs to last showed what opens it.
    """

    tenant_id: UUID
    id: UUID
    kind: Kind
    who_id: UUID | None
    user_name: str | None
    roles: tuple[str, ...]
    is_pending: bool
    reason: str | None
    expires_at: datetime
    is_strong: bool
    proven_at: datetime


class SessionView(View):
    """A browser that is signed in."""

    id: SessionId
    kind: Kind
    user: UserId | None
    api_key: ApiKeyId | None
    who: str | None = Field(description="The user's name, or the API key's.")
    user_agent: str = Field(description="As the browser calls itself, shortened.")
    address: str = Field(examples=["203.0.113.7"])
    created_at: datetime
    last_seen_at: datetime = Field(description="To the minute.")
    expires_at: datetime


_OPEN = """
insert into session (tenant_id, id, kind, user_id, api_key_id, operator_id, token_sha256, is_pending, reason, user_agent, address,
  created_at, last_seen_at, expires_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $12, $13)
"""

# Found and noted as seen (once a minute at most) in one statement.
_FIND = """
with seen as (
  update session set last_seen_at = $4
  where tenant_id = $1 and id = $2 and token_sha256 = $3 and ended_at is null and last_seen_at <= $5 and last_seen_at > $6
)
select s.kind, coalesce(s.user_id, s.api_key_id, s.operator_id) as who_id, u.name as user_name, u.roles, s.is_pending, s.reason,
  s.expires_at, s.kind <> 'user' or u.totp_on_at is not null as is_strong, coalesce(s.proven_at, s.created_at) as proven_at
from session s left join tenant_user u on u.tenant_id = s.tenant_id and u.id = s.user_id
where s.tenant_id = $1 and s.id = $2 and s.token_sha256 = $3 and s.ended_at is null and s.expires_at > $4 and s.last_seen_at > $6
  and u.deactivated_at is null
"""

_END = "update session set ended_at = $3 where tenant_id = $1 and id = $2 and ended_at is null and expires_at > $3 returning id"

_REVOKE = """
update session set ended_at = $3
where tenant_id = $1 and id = $2 and ended_at is null and expires_at > $3 and ($4::uuid is null or user_id = $4) returning id
"""

_END_OF_USER = """
update session set ended_at = $3
where tenant_id = $1 and user_id = $2 and ended_at is null and id is distinct from $4 returning id
"""

# A pending session becomes open, an open one gets a new token; the old token is worth nothing from then on.
_RENEW = """
update session set token_sha256 = $4, is_pending = false, last_seen_at = $3, expires_at = coalesce($5, expires_at)
where tenant_id = $1 and id = $2 and ended_at is null and expires_at > $3 and is_pending = $6 returning id
"""

_PROVE = "update session set proven_at = $3 where tenant_id = $1 and id = $2 and ended_at is null"

_SESSIONS = Listing(
    select="""
select s.id, s.kind, s.user_id as user, s.api_key_id as api_key, coalesce(u.name, k.name) as who, s.user_agent, s.address,
  s.created_at, s.last_seen_at, s.expires_at
from session s
left join tenant_user u on u.tenant_id = s.tenant_id and u.id = s.user_id
left join api_key k on k.tenant_id = s.tenant_id and k.id = s.api_key_id""",
    key="s.id",
    tenant="s.tenant_id",
    always=(
        "s.ended_at is null",
        "not s.is_pending",
        "s.expires_at > clock_timestamp()",
        f"s.last_seen_at > clock_timestamp() - interval '{int(IDLE.total_seconds())} s'",
    ),
    filters={"user": "s.user_id = {}"},
    refers={"user": "tenant_user"},
)

_TIDY = "delete from session where tenant_id = $1 and expires_at < $2"


async def open_session(
    tx: Transaction,
    *,
    tenant_id: UUID,
    kind: Kind,
    who_id: UUID | None,
    device: Device,
    now: datetime,
    is_pending: bool = False,
    reason: str | None = None,
) -> str:
    """Open a session and return its token, for the cookie. reason: why an operator acts for the business."""
    session_id = ids.new()
    text, digest = tokens.make(tenant_id, session_id)
    life = PENDING_LIFE if is_pending else ACTING_LIFE if reason else LIFE
    await tx.execute(
        _OPEN,
        tenant_id,
        session_id,
        kind,
        *(who_id if kind == one else None for one in ("user", "key", "operator")),
        digest,
        is_pending,
        reason,
        device.user_agent,
        device.address,
        now,
        now + life,
    )
    return text


async def session(tx: Transaction, token: tokens.Token, *, now: datetime) -> Session | None:
    """Return the open session of a token and note that it is in use; None when there is none.

    The transaction is the tenant's that the token names. Whether an API key is still in force is not asked here.
    """
    row = await tx.fetchrow(_FIND, token.tenant_id, token.id, token.sha256, now, now - SEEN_EVERY, now - IDLE)
    if row is None:
        return None
    return Session(
        tenant_id=token.tenant_id,
        id=token.id,
        kind=row["kind"],
        who_id=row["who_id"],
        user_name=row["user_name"],
        roles=tuple(row["roles"] or ()),
        is_pending=row["is_pending"],
        reason=row["reason"],
        expires_at=row["expires_at"],
        is_strong=row["is_strong"],
        proven_at=row["proven_at"],
    )


async def renew(tx: Transaction, *, tenant_id: UUID, session_id: UUID, now: datetime, admits: bool = False) -> str:
    """Give the session a new token and return it: what it may do has changed. admits: it was pending until now.

    Raises SessionNotFound.
    """
    text, digest = tokens.make(tenant_id, session_id)
    if not await tx.fetchval(_RENEW, tenant_id, session_id, now, digest, now + LIFE if admits else None, admits):
        raise not_found()
    return text


async def prove(tx: Transaction, *, tenant_id: UUID, session_id: UUID, now: datetime) -> None:
    """Note that whoever has the session has just shown the password again."""
    await tx.execute(_PROVE, tenant_id, session_id, now)


async def end(tx: Transaction, *, tenant_id: UUID, session_id: UUID, now: datetime) -> bool:
    """End a session; False when it was not open."""
    return await tx.fetchval(_END, tenant_id, session_id, now) is not None


async def end_all_of(tx: Transaction, *, tenant_id: UUID, user_id: UUID, now: datetime, but: UUID | None = None) -> int:
    """End the sessions of a user, except one, and return how many."""
    return len(await tx.fetch(_END_OF_USER, tenant_id, user_id, now, but))


async def revoke(
    tx: Transaction,
    *,
    tenant_id: UUID,
    session_id: UUID,
    actor: str,
    now: datetime,
    of_user: UUID | None = None,
) -> None:
    """End a session, and say in the trail who did. of_user: only if it is this user's. Raises SessionNotFound."""
    if not await tx.fetchval(_REVOKE, tenant_id, session_id, now, of_user):
        raise not_found()
    subject = ids.show(ids.SESSION, session_id)
    await audit.record(tx, tenant_id=tenant_id, actor=actor, action="session.revoked", subject=subject, changes={})


async def sessions(tx: Transaction, *, tenant_id: UUID, page: Slice, user_id: UUID | None = None) -> Part[SessionView]:
    """Return the open sessions, newest first. user_id: only this user's. Raises FilterNotFound."""
    return await part(tx, _SESSIONS, tenant_id=tenant_id, given={"user": user_id}, page=page, view=SessionView.of)


async def tidy(tx: Transaction, *, tenant_id: UUID, now: datetime) -> None:
    """Forget sessions that ended long ago. The audit trail keeps that they were."""
    await tx.execute(_TIDY, tenant_id, now - KEPT)


def not_found() -> SessionNotFound:
    return SessionNotFound("there is no open session of this id", hint="It may have ended meanwhile.")
