"""Operators: the people who run the installation. They belong to no business.

Acting for a business is explicit: it takes a reason, is in that business's audit trail, is seen on every page, and ends by
itself after an hour.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

import structlog

from bursar.kernel import audit, ids, tenancy
from bursar.kernel.db import Database
from bursar.kernel.errors import Conflict, FieldError, Invalid, NotFound
from bursar.kernel.identity import links, sessions, throttle, tokens
from bursar.kernel.identity.passwords import Passwords
from bursar.kernel.identity.people import Device, checked_email, email_key
from bursar.kernel.identity.signing_in import SignInRefused

_log = structlog.get_logger("bursar.identity")

LINK_LIFE: Final = timedelta(days=1)
REASON_MAX: Final = 500

_ADD = "insert into operator (id, email, email_key) values ($1, $2, $3) on conflict (email_key) do nothing returning id"
_OF_EMAIL = "select id from operator where email_key = $1 and deactivated_at is null"
_OPERATORS = "select id, email, password_hash is not null as is_settled, deactivated_at, created_at from operator order by id limit 1000"
_IS_ACTIVE = "select true from operator where id = $1 and deactivated_at is null"
_DEACTIVATE = "update operator set deactivated_at = $2 where id = $1 and deactivated_at is null returning id"
_END_ALL = "update operator_session set ended_at = $2 where operator_id = $1 and ended_at is null"
_KNOWN = "select id, password_hash from operator where email_key = $1 and deactivated_at is null"

_MAKE_LINK = "insert into operator_link (id, operator_id, secret_sha256, expires_at) values ($1, $2, $3, $4)"
_USE_LINK = """
update operator_link l set used_at = $3 from operator o
where l.id = $1 and l.secret_sha256 = $2 and l.used_at is null and l.expires_at > $3 and o.id = l.operator_id
  and o.deactivated_at is null
returning l.operator_id
"""
_LOOK_LINK = """
select o.email from operator_link l join operator o on o.id = l.operator_id
where l.id = $1 and l.secret_sha256 = $2 and l.used_at is null and l.expires_at > $3 and o.deactivated_at is null
"""
_VOID_LINKS = "update operator_link set used_at = $2 where operator_id = $1 and used_at is null"
_KEEP_HASH = "update operator set password_hash = $2 where id = $1"

_OPEN = """
insert into operator_session (id, operator_id, token_sha256, user_agent, address, created_at, last_seen_at, expires_at)
select $1, o.id, $3, $4, $5, $6, $6, $7 from operator o where o.id = $2 and o.password_hash = $8 and o.deactivated_at is null
returning id
"""
_FIND = """
update operator_session s set last_seen_at = $3 from operator o
where s.id = $1 and s.token_sha256 = $2 and s.ended_at is null and s.expires_at > $3 and s.last_seen_at > $4
  and o.id = s.operator_id and o.deactivated_at is null
returning s.operator_id, o.email
"""
_END = "update operator_session set ended_at = $2 where id = $1 and ended_at is null"


class OperatorExists(Conflict):
    """There is an operator with this address already."""

    code = "operator_exists"


class OperatorNotFound(NotFound):
    """The installation has no active operator of this address or id."""

    code = "operator_not_found"


class BusinessNotFound(NotFound):
    """The installation has no such business."""

    code = "business_not_found"


class ReasonMissing(Invalid):
    """Acting for a business takes a reason of 1 to 500 characters; the business reads it."""

    code = "reason_missing"


@dataclass(frozen=True, slots=True)
class Operator:
    """An operator who is signed in."""

    id: UUID
    email: str
    session_id: UUID


async def add(db: Database, *, email: str, now: datetime) -> tuple[UUID, str]:
    """Add an operator; return the id and the token of the link with which a password is chosen.

    Raises EmailInvalid, OperatorExists.
    """
    address, operator_id = checked_email(email), ids.new()
    async with db.engine() as tx:
        if await tx.fetchval(_ADD, operator_id, address, email_key(address)) is None:
            raise OperatorExists(
                "there is an operator with this address already", hint="Use bursar operator reset-password."
            )
        return operator_id, await _link(tx, operator_id, now)


async def link_for(db: Database, *, email: str, now: datetime) -> str:
    """Return a new link's token for an operator who is there. Raises OperatorNotFound."""
    async with db.engine() as tx:
        operator_id = await tx.fetchval(_OF_EMAIL, email_key(email))
        if operator_id is None:
            raise _unknown()
        return await _link(tx, operator_id, now)


async def operators(db: Database) -> list[Any]:
    """Return the rows of all operators, oldest first."""
    async with db.engine() as tx:
        return list(await tx.fetch(_OPERATORS))


async def deactivate(db: Database, *, email: str, now: datetime) -> UUID:
    """Let an operator in no more; also what they do for businesses ends. Raises OperatorNotFound."""
    async with db.engine() as tx:
        operator_id: UUID | None = await tx.fetchval(_OF_EMAIL, email_key(email))
        if operator_id is None or not await tx.fetchval(_DEACTIVATE, operator_id, now):
            raise _unknown()
        await tx.execute(_END_ALL, operator_id, now)
        await tx.execute(_VOID_LINKS, operator_id, now)
    return operator_id


async def is_active(db: Database, operator_id: UUID) -> bool:
    """True unless the operator was deactivated."""
    async with db.engine() as tx:
        return bool(await tx.fetchval(_IS_ACTIVE, operator_id))


async def email_by_link(db: Database, text: str, *, now: datetime) -> str:
    """Return whose link this is, without using it. Raises LinkInvalid."""
    token = _token(text)
    async with db.engine() as tx:
        email: str | None = await tx.fetchval(_LOOK_LINK, token.id, token.sha256, now)
    if email is None:
        raise links.invalid()
    return email


async def choose(db: Database, passwords: Passwords, *, text: str, password: str, now: datetime) -> None:
    """Set the password by a link, and use it up. Raises LinkInvalid, PasswordRefused."""
    email, token = await email_by_link(db, text, now=now), _token(text)
    await passwords.require_strong(password, words=(email, "bursar", "operator"))
    kept = await passwords.hashed(password)
    async with db.engine() as tx:
        operator_id = await tx.fetchval(_USE_LINK, token.id, token.sha256, now)
        if operator_id is None:
            raise links.invalid()
        await tx.execute(_KEEP_HASH, operator_id, kept)
        await tx.execute(_VOID_LINKS, operator_id, now)
        await tx.execute(_END_ALL, operator_id, now)


async def sign_in(
    db: Database, passwords: Passwords, *, email: str, password: str, device: Device, now: datetime
) -> str:
    """Open an operator's session and return its token. Raises SignInRefused, SignInLimited, PasswordsBusy."""
    key = email_key(email)[:254]
    async with db.engine() as tx:
        is_within = await throttle.count_operators(
            tx, what=f"address {device.source}", limit=throttle.ADDRESS, now=now
        ) and await throttle.count_operators(
            tx, what=f"account {key} from {device.source}", limit=throttle.PAIR, now=now
        )
        row = await tx.fetchrow(_KNOWN, key)
    if not is_within:
        raise throttle.limited()
    kept = row["password_hash"] if row else None
    if not await passwords.is_right(password, kept):
        raise _refused()
    session_id = ids.new()
    text, digest = tokens.make(tokens.INSTALLATION, session_id)
    at = (device.user_agent, device.address, now, now + sessions.LIFE)
    async with db.engine() as tx:
        opened = await tx.fetchval(_OPEN, session_id, row["id"], digest, *at, kept)
    if opened is None:
        raise _refused()
    _log.info("operator_signed_in", actor=f"operator:{ids.show(ids.OPERATOR, row['id'])}", address=device.address)
    return text


async def operator(db: Database, text: str, *, now: datetime) -> Operator | None:
    """Return the operator who shows this token; None when it opens nothing (any more)."""
    token = tokens.read(text)
    if token is None or token.tenant_id != tokens.INSTALLATION:
        return None
    async with db.engine() as tx:
        row = await tx.fetchrow(_FIND, token.id, token.sha256, now, now - sessions.IDLE)
    return Operator(row["operator_id"], row["email"], token.id) if row else None


async def sign_out(db: Database, *, session_id: UUID, now: datetime) -> None:
    """End an operator's session."""
    async with db.engine() as tx:
        await tx.execute(_END, session_id, now)


async def act_for(db: Database, *, who: Operator, tenant_id: UUID, reason: str, device: Device, now: datetime) -> str:
    """Open a session in which an operator acts for a business, and return its token. Raises ReasonMissing, BusinessNotFound."""
    why = " ".join(reason.split())
    if not 1 <= len(why) <= REASON_MAX or not why.isprintable():
        raise ReasonMissing(
            f"say why, in 1 to {REASON_MAX} characters: the business reads it in its audit trail",
            fields=(FieldError("reason", "required", "the business reads it"),),
        )
    async with db.tenant(tenant_id) as tx:
        if await tenancy.tenant(tx, tenant_id=tenant_id) is None:
            raise BusinessNotFound("there is no such business", hint="Choose one from the list.")
        token = await sessions.open_session(
            tx, tenant_id=tenant_id, kind="operator", who_id=who.id, device=device, now=now, reason=why
        )
        await _tell(tx, tenant_id, who.id, "operator.acting_began", {"reason": why, "address": device.address})
    return token


async def stop_acting(db: Database, *, session: sessions.Session, now: datetime) -> None:
    """End the session in which an operator acts."""
    assert session.who_id
    async with db.tenant(session.tenant_id) as tx:
        if await sessions.end(tx, tenant_id=session.tenant_id, session_id=session.id, now=now):
            await _tell(tx, session.tenant_id, session.who_id, "operator.acting_ended", {})


async def _link(tx: Any, operator_id: UUID, now: datetime) -> str:
    link_id = ids.new()
    text, digest = tokens.make(tokens.INSTALLATION, link_id)
    await tx.execute(_MAKE_LINK, link_id, operator_id, digest, now + LINK_LIFE)
    return text


async def _tell(tx: Any, tenant_id: UUID, operator_id: UUID, action: str, changes: dict[str, Any]) -> None:
    who = ids.show(ids.OPERATOR, operator_id)
    await audit.record(tx, tenant_id=tenant_id, actor=f"operator:{who}", action=action, subject=who, changes=changes)


def _token(text: str) -> tokens.Token:
    token = tokens.read(text)
    if token is None or token.tenant_id != tokens.INSTALLATION:
        raise links.invalid()
    return token


def _refused() -> SignInRefused:
    return SignInRefused("That is not right: the e-mail address or the password.")


def _unknown() -> OperatorNotFound:
    return OperatorNotFound("there is no active operator of this address", hint="See bursar operator list.")
