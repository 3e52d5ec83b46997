"""Choosing a password: by an invitation's link, by a reset's, or with the present one at hand."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from bursar.kernel import audit, ids
from bursar.kernel.db import Database, Transaction
from bursar.kernel.errors import Forbidden
from bursar.kernel.identity import letters, links, sessions, throttle, tokens
from bursar.kernel.identity.passwords import Passwords
from bursar.kernel.identity.people import Device, email_key

_BY_LINK: tuple[links.Purpose, ...] = ("invitation", "password_reset")

_CHOOSER = """
select u.email, u.name, t.name as business, u.password_hash from tenant_user u join tenant t on t.tenant_id = u.tenant_id
where u.tenant_id = $1 and u.id = $2 and u.deactivated_at is null
"""
_SET = """
update tenant_user set password_hash = $3, password_changed_at = $4 where tenant_id = $1 and id = $2 and deactivated_at is null
returning email_key
"""
_REPLACE = """
update tenant_user set password_hash = $3, password_changed_at = $4
where tenant_id = $1 and id = $2 and deactivated_at is null and password_hash = $5 returning id
"""
_VERIFY = "update tenant_user set email_verified_at = $3 where tenant_id = $1 and id = $2 and email_verified_at is null"


class PasswordWrong(Forbidden):
    """The present password is not right."""

    code = "password_wrong"


@dataclass(frozen=True, slots=True)
class Chooser:
    """Who chooses a password, and where."""

    tenant_id: UUID
    id: UUID
    email: str
    name: str
    business: str
    password_hash: str | None

    @property
    def words(self) -> tuple[str, ...]:
        """What is no secret about them."""
        return self.email, self.name, self.business, "bursar"


async def ask_for_reset(db: Database, *, tenant_id: UUID, email: str, device: Device, now: datetime) -> None:
    """Have a link sent, if somebody of this address is here. Nobody learns whether: a worker looks, later."""
    what = f"mail from {device.source}"
    async with db.tenant(tenant_id) as tx:
        if await throttle.count(tx, tenant_id=tenant_id, what=what, limit=throttle.ADDRESS, now=now):
            await letters.write_limited(tx, tenant_id=tenant_id, kind="password_reset", email=email, now=now)


async def chooser_by_link(db: Database, text: str, *, now: datetime) -> Chooser:
    """Return who may choose a password with this link. It is not used up. Raises LinkInvalid."""
    token = _token(text)
    async with db.tenant(token.tenant_id) as tx:
        user_id = await links.look(tx, token, purposes=_BY_LINK, now=now)
        return await _chooser(tx, token.tenant_id, user_id)


async def choose_by_link(
    db: Database, passwords: Passwords, *, text: str, password: str, device: Device, now: datetime
) -> Chooser:
    """Set the password and use the link up; every other session and link of the user ends.

    Raises LinkInvalid, PasswordRefused.
    """
    chooser = await chooser_by_link(db, text, now=now)
    await passwords.require_strong(password, words=chooser.words)
    kept = await passwords.hashed(password)
    token = _token(text)
    async with db.tenant(token.tenant_id) as tx:
        user_id = await links.use(tx, token, purposes=_BY_LINK, now=now)
        key = await tx.fetchval(_SET, token.tenant_id, user_id, kept, now)
        await tx.execute(_VERIFY, token.tenant_id, user_id, now)
        await _settled(tx, tenant_id=token.tenant_id, user_id=user_id, device=device, now=now)
        await throttle.forgive(tx, tenant_id=token.tenant_id, what=f"account {key}")
        await throttle.forgive(tx, tenant_id=token.tenant_id, what=f"account {key} from {device.source}")
    return chooser


async def change_password(
    db: Database,
    passwords: Passwords,
    *,
    tenant_id: UUID,
    user_id: UUID,
    session_id: UUID,
    present: str,
    password: str,
    device: Device,
    now: datetime,
) -> str:
    """Replace the password; other sessions end, and this one gets the token that is returned.

    Raises PasswordWrong, PasswordRefused, SignInLimited.
    """
    chooser = await require_password(
        db, passwords, tenant_id=tenant_id, user_id=user_id, password=present, device=device, now=now
    )
    await passwords.require_strong(password, words=chooser.words)
    kept = await passwords.hashed(password)
    async with db.tenant(tenant_id) as tx:
        if not await tx.fetchval(_REPLACE, tenant_id, user_id, kept, now, chooser.password_hash):
            raise wrong()
        await _settled(tx, tenant_id=tenant_id, user_id=user_id, device=device, now=now, but=session_id)
        return await sessions.renew(tx, tenant_id=tenant_id, session_id=session_id, now=now)


async def require_password(
    db: Database,
    passwords: Passwords,
    *,
    tenant_id: UUID,
    user_id: UUID,
    password: str,
    device: Device,
    now: datetime,
) -> Chooser:
    """Return if the user shows the password once more, before something dangerous. Raises PasswordWrong, SignInLimited."""
    async with db.tenant(tenant_id) as tx:
        chooser = await _chooser(tx, tenant_id, user_id)
        what = f"account {email_key(chooser.email)} from {device.source}"
        is_within = await throttle.count(tx, tenant_id=tenant_id, what=what, limit=throttle.PAIR, now=now)
    if not is_within:
        raise throttle.limited()
    if not await passwords.is_right(password, chooser.password_hash):
        raise wrong()
    async with db.tenant(tenant_id) as tx:
        await throttle.forgive(tx, tenant_id=tenant_id, what=what)
    return chooser


async def verify_email(db: Database, text: str, *, now: datetime) -> None:
    """Note that mail to the user's address arrives, and use the link up. Raises LinkInvalid."""
    token = _token(text)
    async with db.tenant(token.tenant_id) as tx:
        user_id = await links.use(tx, token, purposes=("email_verification",), now=now)
        await tx.execute(_VERIFY, token.tenant_id, user_id, now)
        subject = ids.show(ids.USER, user_id)
        await audit.record(
            tx,
            tenant_id=token.tenant_id,
            actor=f"user:{subject}",
            action="user.email_verified",
            subject=subject,
            changes={},
        )


def wrong() -> PasswordWrong:
    return PasswordWrong("Your present password is not right.", hint="Go back and type it again.")


async def _chooser(tx: Transaction, tenant_id: UUID, user_id: UUID) -> Chooser:
    row: Any = await tx.fetchrow(_CHOOSER, tenant_id, user_id)
    if row is None:
        raise links.invalid()
    return Chooser(tenant_id, user_id, row["email"], row["name"], row["business"], row["password_hash"])


async def _settled(
    tx: Transaction, *, tenant_id: UUID, user_id: UUID, device: Device, now: datetime, but: UUID | None = None
) -> None:
    """Do what follows from a new password."""
    await sessions.end_all_of(tx, tenant_id=tenant_id, user_id=user_id, now=now, but=but)
    await links.void_all_of(tx, tenant_id=tenant_id, user_id=user_id, now=now)
    subject = ids.show(ids.USER, user_id)
    await audit.record(
        tx,
        tenant_id=tenant_id,
        actor=f"user:{subject}",
        action="user.password_set",
        subject=subject,
        changes={"address": device.address},
    )


def _token(text: str) -> tokens.Token:
    token = tokens.read(text)
    if token is None:
        raise links.invalid()
    return token
