"""Signing in with an e-mail address and a password; how long it takes tells nobody whether the address exists."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from bursar.kernel import audit, ids
from bursar.kernel.db import Database, Transaction
from bursar.kernel.errors import Unauthenticated
from bursar.kernel.identity import sessions, throttle
from bursar.kernel.identity.passwords import Passwords, is_outdated
from bursar.kernel.identity.people import Device, email_key

_USER = """
select id, password_hash, totp_on_at is not null as has_second_factor from tenant_user
where tenant_id = $1 and email_key = $2 and deactivated_at is null
"""
# Whoever changed the password while this one was being checked has the last word.
_STILL = "select true from tenant_user where tenant_id = $1 and id = $2 and password_hash = $3 and deactivated_at is null for share"
_REHASH = "update tenant_user set password_hash = $4 where tenant_id = $1 and id = $2 and password_hash = $3"
_IS_KNOWN_HERE = """
select exists (select from session where tenant_id = $1 and user_id = $2 and address = $3 and not is_pending and created_at > $4)
"""


class SignInRefused(Unauthenticated):
    """The business, the address or the password is not right; which one is not said."""

    code = "sign_in_refused"


@dataclass(frozen=True, slots=True)
class SignedIn:
    """token: for the cookie. is_pending: the code is still asked for. user_id: who it is."""

    token: str
    is_pending: bool
    user_id: UUID


async def sign_in(
    db: Database,
    passwords: Passwords,
    *,
    tenant_id: UUID | None,
    email: str,
    password: str,
    device: Device,
    now: datetime,
) -> SignedIn:
    """Open a session for whoever has the password. tenant_id: None when there is no such business.

    Raises SignInRefused, SignInLimited, PasswordsBusy.
    """
    if tenant_id is None:
        await passwords.is_right(password, None)
        raise refused()
    key = email_key(email)[:254]
    async with db.tenant(tenant_id) as tx:
        user = await tx.fetchrow(_USER, tenant_id, key)
        is_within = await _counted(tx, tenant_id=tenant_id, key=key, user=user, device=device, now=now)
    if not is_within:
        raise throttle.limited()
    kept = user["password_hash"] if user else None
    is_right = await passwords.is_right(password, kept)
    fresh = await passwords.hashed(password) if is_right and kept and is_outdated(kept) else None
    async with db.tenant(tenant_id) as tx:
        if not is_right or not await tx.fetchval(_STILL, tenant_id, user["id"], kept):
            await _tell(tx, tenant_id, user, "user.sign_in_failed", device)
            signed_in = None
        else:
            signed_in = await _admitted(tx, tenant_id=tenant_id, user=user, key=key, device=device, now=now)
            if fresh:
                await tx.execute(_REHASH, tenant_id, user["id"], kept, fresh)
    if signed_in is None:
        raise refused()
    return signed_in


def refused() -> SignInRefused:
    """Return the one answer to whoever is not let in."""
    return SignInRefused("That is not right: the e-mail address, the password, or the business.")


async def _counted(tx: Transaction, *, tenant_id: UUID, key: str, user: Any, device: Device, now: datetime) -> bool:
    """Count the attempt by all that it is counted by; the first limit reached stops it."""
    for what, limit in ((f"address {device.source}", throttle.ADDRESS), (_pair(key, device), throttle.PAIR)):
        if not await throttle.count(tx, tenant_id=tenant_id, what=what, limit=limit, now=now):
            return False
    if not await throttle.count(tx, tenant_id=tenant_id, what=f"account {key}", limit=throttle.ACCOUNT, now=now):
        user_id = user["id"] if user else ids.new()
        return bool(await tx.fetchval(_IS_KNOWN_HERE, tenant_id, user_id, device.address, now - sessions.KEPT))
    return True


async def _admitted(
    tx: Transaction, *, tenant_id: UUID, user: Any, key: str, device: Device, now: datetime
) -> SignedIn:
    is_pending = user["has_second_factor"]
    if not is_pending:
        await throttle.forgive(tx, tenant_id=tenant_id, what=_pair(key, device))
    await throttle.tidy(tx, tenant_id=tenant_id, now=now)
    token = await sessions.open_session(
        tx, tenant_id=tenant_id, kind="user", who_id=user["id"], device=device, now=now, is_pending=is_pending
    )
    if not is_pending:
        await _tell(tx, tenant_id, user, "user.signed_in", device)
    return SignedIn(token, is_pending, user["id"])


async def _tell(tx: Transaction, tenant_id: UUID, user: Any, action: str, device: Device) -> None:
    subject = ids.show(ids.USER, user["id"]) if user else None
    await audit.record(
        tx,
        tenant_id=tenant_id,
        actor=f"user:{subject}" if subject else "nobody",
        action=action,
        subject=subject,
        changes={"address": device.address, "user_agent": device.user_agent},
    )


def _pair(key: str, device: Device) -> str:
    return f"account {key} from {device.source}"
