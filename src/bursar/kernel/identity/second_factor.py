"""The second factor: one-time codes of an authenticator app (TOTP), and recovery codes for when the phone is lost.

Source: RFC 6238 (steps of 30 s, six digits, one step either way); OWASP ASVS 5.0 V6.5.
"""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

import pyotp
import segno

from bursar.kernel import audit, ids
from bursar.kernel.db import Database, Transaction
from bursar.kernel.errors import Conflict, Forbidden
from bursar.kernel.identity import sessions, throttle
from bursar.kernel.identity.choosing import Chooser
from bursar.kernel.identity.people import Device
from bursar.kernel.seal import Seal

CODES: Final = 10
_STEP_S: Final = 30
_CODE_LENGTH: Final = 28
_CODE_ALPHABET: Final = "23456789abcdefghjkmnpqrstuvwxyz"
"""28 of these are 138 bits: not to be guessed, and enough to be kept under a plain hash."""
_GROUP: Final = 7

_PREPARE = """
update tenant_user set totp_secret = $3 where tenant_id = $1 and id = $2 and totp_on_at is null and deactivated_at is null returning id
"""
_TOTP = """
select totp_secret, totp_on_at is not null as is_on, email from tenant_user
where tenant_id = $1 and id = $2 and deactivated_at is null
"""
_SWITCH_ON = """
update tenant_user set totp_on_at = $3, totp_step = $4
where tenant_id = $1 and id = $2 and totp_on_at is null and totp_secret = $5 and totp_step < $4 returning id
"""
_SWITCH_OFF = """
update tenant_user set totp_on_at = null, totp_secret = null where tenant_id = $1 and id = $2 and totp_on_at is not null returning id
"""
# One guarded statement: the code of a step is good once.
_USE_STEP = """
update tenant_user set totp_step = $3 where tenant_id = $1 and id = $2 and totp_on_at is not null and totp_step < $3 returning id
"""
_USE_RECOVERY = """
update recovery_code set used_at = $4 where tenant_id = $1 and user_id = $2 and code_sha256 = $3 and used_at is null returning id
"""
_VOID_RECOVERY = "update recovery_code set used_at = $3 where tenant_id = $1 and user_id = $2 and used_at is null"
_ADD_RECOVERY = """
insert into recovery_code (tenant_id, id, user_id, code_sha256)
select $1, new.id, $2, new.code_sha256 from unnest($3::uuid[], $4::bytea[]) as new (id, code_sha256)
"""
_LEFT = "select count(*) from recovery_code where tenant_id = $1 and user_id = $2 and used_at is null"


class CodeWrong(Forbidden):
    """The one-time code is not the present one, or was used; or the recovery code was."""

    code = "code_wrong"


class SecondFactorState(Conflict):
    """The second factor is on already, or off, or was not set up."""

    code = "second_factor_state"


@dataclass(frozen=True, slots=True)
class Setup:
    """What an authenticator app is given. picture: the same as QR code, SVG."""

    secret: str
    address: str
    picture: str


async def prepare(db: Database, seal: Seal, *, whose: Chooser) -> None:
    """Make a secret. It counts for nothing until a code of it was shown. Raises SecondFactorState."""
    sealed = seal.seal(pyotp.random_base32(), purpose=_purpose(whose.id))
    async with db.tenant(whose.tenant_id) as tx:
        if not await tx.fetchval(_PREPARE, whose.tenant_id, whose.id, sealed):
            raise SecondFactorState("the second factor is on already", hint="Switch it off first.")


async def setup(tx: Transaction, seal: Seal, *, tenant_id: UUID, user_id: UUID) -> Setup | None:
    """Return what is to be scanned; None when nothing was prepared, or it is on already."""
    row = await tx.fetchrow(_TOTP, tenant_id, user_id)
    if row is None or row["is_on"] or row["totp_secret"] is None:
        return None
    secret = seal.open(row["totp_secret"], purpose=_purpose(user_id))
    address = pyotp.TOTP(secret).provisioning_uri(name=row["email"], issuer_name="Bursar")
    picture = segno.make(address, error="m").svg_inline(scale=4, border=2, dark="#000", light="#fff", omitsize=True)
    return Setup(secret, address, picture)


async def switch_on(
    tx: Transaction, seal: Seal, *, tenant_id: UUID, user_id: UUID, session_id: UUID, code: str, now: datetime
) -> tuple[tuple[str, ...], str]:
    """Switch it on with a first code; other sessions end. Return the recovery codes and this session's new token.

    Raises CodeWrong, SecondFactorState, SignInLimited.
    """
    row = await tx.fetchrow(_TOTP, tenant_id, user_id)
    if row is None or row["totp_secret"] is None or row["is_on"]:
        raise SecondFactorState("there is nothing to switch on", hint="Set it up again, from your account.")
    step = _step_of(seal.open(row["totp_secret"], purpose=_purpose(user_id)), code, now)
    if step is None or not await tx.fetchval(_SWITCH_ON, tenant_id, user_id, now, step, row["totp_secret"]):
        raise wrong()
    codes = await new_codes(tx, tenant_id=tenant_id, user_id=user_id, now=now)
    await sessions.end_all_of(tx, tenant_id=tenant_id, user_id=user_id, now=now, but=session_id)
    token = await sessions.renew(tx, tenant_id=tenant_id, session_id=session_id, now=now)
    await _tell(tx, tenant_id, user_id, "user.second_factor_on")
    return codes, token


async def switch_off(tx: Transaction, *, tenant_id: UUID, user_id: UUID, session_id: UUID, now: datetime) -> str:
    """Switch it off; its recovery codes are void, other sessions end. Return this session's new token.

    Raises SecondFactorState.
    """
    if not await tx.fetchval(_SWITCH_OFF, tenant_id, user_id):
        raise SecondFactorState("the second factor is off")
    await tx.execute(_VOID_RECOVERY, tenant_id, user_id, now)
    await sessions.end_all_of(tx, tenant_id=tenant_id, user_id=user_id, now=now, but=session_id)
    await _tell(tx, tenant_id, user_id, "user.second_factor_off")
    return await sessions.renew(tx, tenant_id=tenant_id, session_id=session_id, now=now)


async def new_codes(tx: Transaction, *, tenant_id: UUID, user_id: UUID, now: datetime) -> tuple[str, ...]:
    """Replace the recovery codes and return the new ones, shown this once."""
    codes = tuple("".join(secrets.choice(_CODE_ALPHABET) for _ in range(_CODE_LENGTH)) for _ in range(CODES))
    await tx.execute(_VOID_RECOVERY, tenant_id, user_id, now)
    await tx.execute(_ADD_RECOVERY, tenant_id, user_id, [ids.new() for _ in codes], [_hashed(c) for c in codes])
    await _tell(tx, tenant_id, user_id, "user.recovery_codes_made")
    return tuple("-".join(code[i : i + _GROUP] for i in range(0, _CODE_LENGTH, _GROUP)) for code in codes)


async def codes_left(tx: Transaction, *, tenant_id: UUID, user_id: UUID) -> int:
    """Return how many recovery codes were not used."""
    return int(await tx.fetchval(_LEFT, tenant_id, user_id))


async def admit(
    db: Database, seal: Seal, *, session: sessions.Session, code: str, device: Device, now: datetime
) -> str:
    """Open a pending session with a code of either kind, and return its new token. A code is good once.

    Raises CodeWrong, SignInLimited, SessionNotFound.
    """
    user_id, tenant_id = session.who_id, session.tenant_id
    assert user_id
    assert session.is_pending
    what = f"code of {user_id}"
    async with db.tenant(tenant_id) as tx:
        is_within = await throttle.count(tx, tenant_id=tenant_id, what=what, limit=throttle.PAIR, now=now)
    if not is_within:
        raise throttle.limited()
    async with db.tenant(tenant_id) as tx:
        used = await _used(tx, seal, tenant_id=tenant_id, user_id=user_id, code=code, now=now)
        token = None
        if used:
            token = await sessions.renew(tx, tenant_id=tenant_id, session_id=session.id, now=now, admits=True)
            await throttle.forgive(tx, tenant_id=tenant_id, what=what)
        told = {"address": device.address, "user_agent": device.user_agent, "second_factor": used or "refused"}
        await _tell(tx, tenant_id, user_id, "user.signed_in" if used else "user.sign_in_failed", told)
    if token is None:
        raise wrong()
    return token


def wrong() -> CodeWrong:
    return CodeWrong("This code is not right, or was used already.", hint="Wait for the next one and type that.")


async def _used(tx: Transaction, seal: Seal, *, tenant_id: UUID, user_id: UUID, code: str, now: datetime) -> str | None:
    """Use the code up and return of which kind it was; None when it is good for nothing."""
    text = "".join(c for c in code.casefold() if c.isalnum())
    if len(text) == _CODE_LENGTH:
        found = await tx.fetchval(_USE_RECOVERY, tenant_id, user_id, _hashed(text), now)
        return "recovery code" if found else None
    row = await tx.fetchrow(_TOTP, tenant_id, user_id)
    if row is None or not row["is_on"]:
        return None
    step = _step_of(seal.open(row["totp_secret"], purpose=_purpose(user_id)), text, now)
    is_used = step is not None and await tx.fetchval(_USE_STEP, tenant_id, user_id, step)
    return "one-time code" if is_used else None


def _step_of(secret: str, code: str, now: datetime) -> int | None:
    """Return the time step whose code this is, of the present one and its neighbours."""
    generator = pyotp.TOTP(secret)
    shown = "".join(c for c in code if c.isascii() and c.isdigit())
    present = int(now.timestamp()) // _STEP_S
    matching = [s for s in (present - 1, present, present + 1) if hmac.compare_digest(generator.generate_otp(s), shown)]
    return max(matching, default=None)


def _hashed(code: str) -> bytes:
    return hashlib.sha256(code.encode("utf-8", "replace")).digest()


def _purpose(user_id: UUID) -> str:
    return f"tenant_user:{user_id}:totp"


async def _tell(
    tx: Transaction, tenant_id: UUID, user_id: UUID, action: str, changes: dict[str, str] | None = None
) -> None:
    subject = ids.show(ids.USER, user_id)
    await audit.record(
        tx, tenant_id=tenant_id, actor=f"user:{subject}", action=action, subject=subject, changes=changes or {}
    )
