"""Signing in by mail: whoever can read an address's mail is that address. There is nothing to register and no password.

A mail goes to every address that is typed, so that nobody learns whether a business knows it. It holds a link, good in any
browser, and a short code, good only in the browser in which it was asked for. Both are made when the mail is written; each of
the two uses the sign-in up by one guarded statement. Who wanted something that only somebody may have who has shown his address,
wanted it with the sign-in: it is returned to whoever uses it up, in the same transaction.
"""

import hmac
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from bursar.apps.booking.people.links import front_path
from bursar.apps.booking.people.visitors import admit
from bursar.apps.booking.schedule import times
from bursar.kernel import ids
from bursar.kernel.db import Database, Transaction
from bursar.kernel.errors import Invalid
from bursar.kernel.identity import letters, throttle, tokens
from bursar.kernel.identity.letters import Composer
from bursar.kernel.identity.people import Device, checked_email
from bursar.kernel.mail import Message

LETTER: Final = "visitor_sign_in"
SIGN_IN: Final = "vsi"
GOOD_FOR: Final = timedelta(minutes=20)
GUESSES_MAX: Final = 5
CODE_DIGITS: Final = 6
_TIDIED_MAX: Final = 20
_MINUTES: Final = int(GOOD_FOR.total_seconds() // 60)


class SignInOver(Invalid):
    """The code or link is wrong, was used, or is too old."""

    code = "sign_in_over"


@dataclass(frozen=True, slots=True)
class Wish:
    """To wait for a seat in a class, under a name."""

    class_id: UUID
    name: str


@dataclass(frozen=True, slots=True)
class Knock:
    """Somebody says that an address is his. goes_on: where he was going; wish: what he wanted there."""

    email: str
    goes_on: str
    wish: Wish | None = None


@dataclass(frozen=True, slots=True)
class Entered:
    """token: of the new session, for the cookie. knock: who that is, and what he wanted."""

    token: str
    knock: Knock


_ASK = """
insert into visitor_sign_in (tenant_id, id, email, asked_sha256, next, expires_at, created_at, class_id, name)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9)
"""
_WRITTEN = """
update visitor_sign_in set link_sha256 = $3, code_mac = $4, expires_at = $5
where tenant_id = $1 and id = $2 and used_at is null and expires_at > $6 returning email, next, class_id, name
"""
_ASKED = """
select email, next, class_id, name from visitor_sign_in where tenant_id = $1 and id = $2 and asked_sha256 = $3 and expires_at > $4
"""
_PLACE = "select title, starts_at, time_zone from class_instance where tenant_id = $1 and id = $2"

# A guess is counted before it is judged: of any number at once, five are looked at.
_GUESS = """
update visitor_sign_in set guesses = guesses + 1
where tenant_id = $1 and id = $2 and asked_sha256 = $3 and used_at is null and expires_at > $4 and code_mac is not null and guesses < $5
returning code_mac
"""
_USE_ASKED = """
update visitor_sign_in set used_at = $4
where tenant_id = $1 and id = $2 and asked_sha256 = $3 and used_at is null and expires_at > $4 returning email, next, class_id, name
"""
_USE_LINK = """
update visitor_sign_in set used_at = $4
where tenant_id = $1 and id = $2 and link_sha256 = $3 and used_at is null and expires_at > $4 returning email, next, class_id, name
"""
_LOOK = """
select email, next, class_id, name from visitor_sign_in
where tenant_id = $1 and id = $2 and link_sha256 = $3 and used_at is null and expires_at > $4
"""
_TIDY = f"""
delete from visitor_sign_in where tenant_id = $1 and id in (
  select id from visitor_sign_in where tenant_id = $1 and expires_at <= $2 limit {_TIDIED_MAX} for update skip locked)
"""


async def ask(
    tx: Transaction,
    *,
    tenant_id: UUID,
    email: str,
    goes_on: str,
    device: Device,
    now: datetime,
    wish: Wish | None = None,
) -> str:
    """Have a mail sent to an address, and return what the browser holds that waits for its code.

    goes_on: path on this site. wish: what whoever shows the address gets besides. To one address go five mails an hour; who asks for more is not told.
    Raises EmailInvalid, SignInLimited.
    """
    address = checked_email(email).lower()
    if not await throttle.count(
        tx, tenant_id=tenant_id, what=f"visitors {device.source}", limit=throttle.ADDRESS, now=now
    ):
        raise throttle.limited()
    sign_in_id = ids.new()
    text, digest = tokens.make(tenant_id, sign_in_id)
    wanted = (wish.class_id, wish.name) if wish else (None, None)
    await tx.execute(_ASK, tenant_id, sign_in_id, address, digest, goes_on[:300], now + GOOD_FOR, now, *wanted)
    what = f"visitor mail to {address}"
    if await throttle.count(tx, tenant_id=tenant_id, what=what, limit=throttle.MAILS, now=now):
        await letters.write_about(tx, tenant_id=tenant_id, kind=LETTER, about=ids.show(SIGN_IN, sign_in_id), now=now)
    await tx.execute(_TIDY, tenant_id, now - GOOD_FOR)
    await throttle.tidy(tx, tenant_id=tenant_id, now=now)
    return text


async def asked(tx: Transaction, token: tokens.Token, *, now: datetime) -> Knock:
    """Return for which address a browser waits, and where it goes on. Raises SignInOver."""
    row = await tx.fetchrow(_ASKED, token.tenant_id, token.id, token.sha256, now)
    if row is None:
        raise over()
    return _knock(row)


async def whose(tx: Transaction, token: tokens.Token, *, now: datetime) -> Knock | None:
    """Return whose link this is, without using it: programs that look at mails open links, too."""
    row = await tx.fetchrow(_LOOK, token.tenant_id, token.id, token.sha256, now)
    return _knock(row) if row else None


async def check_code(db: Database, token: tokens.Token, *, code: str, secret_key: str, now: datetime) -> None:
    """Count a guess of the code that was mailed, and judge it; whoever is right enters by `enter_by_code`. Raises SignInOver."""
    async with db.tenant(token.tenant_id) as tx:
        mac = await tx.fetchval(_GUESS, token.tenant_id, token.id, token.sha256, now, GUESSES_MAX)
    digits = "".join(char for char in code if char.isascii() and char.isdigit())
    if mac is None or not hmac.compare_digest(bytes(mac), _mac(secret_key, token.id, digits)):
        raise over()


async def enter_by_code(tx: Transaction, token: tokens.Token, *, device: Device, now: datetime) -> Entered:
    """Use a sign-in up in the browser that asked for it, once its code was judged right. Raises SignInOver."""
    return await _entered(tx, token, _USE_ASKED, device=device, now=now)


async def enter_by_link(tx: Transaction, token: tokens.Token, *, device: Device, now: datetime) -> Entered:
    """Use a sign-in up with the link that was mailed. Raises SignInOver."""
    return await _entered(tx, token, _USE_LINK, device=device, now=now)


async def _entered(tx: Transaction, token: tokens.Token, use: str, *, device: Device, now: datetime) -> Entered:
    row = await tx.fetchrow(use, token.tenant_id, token.id, token.sha256, now)
    if row is None:
        raise over()
    session = await admit(tx, tenant_id=token.tenant_id, email=row["email"], device=device, now=now)
    return Entered(session, _knock(row))


def _knock(row: Any) -> Knock:
    return Knock(row["email"], row["next"], Wish(row["class_id"], row["name"]) if row["class_id"] else None)


def sign_in_letters(*, secret_key: str, base_url: str, clock: Callable[[], datetime]) -> Composer:
    """Return who writes the mail with the link and the code. A later writing of the same mail makes an earlier one worthless."""

    async def compose(tx: Transaction, tenant_id: UUID, about: str, business: str) -> Message | None:
        sign_in_id, now = ids.parse(SIGN_IN, about), clock()
        code = f"{secrets.randbelow(10**CODE_DIGITS):0{CODE_DIGITS}d}"
        link, digest = tokens.make(tenant_id, sign_in_id)
        mac = _mac(secret_key, sign_in_id, code)
        row = await tx.fetchrow(_WRITTEN, tenant_id, sign_in_id, digest, mac, now + GOOD_FOR, now)
        if row is None:
            return None
        knock, shown = _knock(row), f"{code[:3]} {code[3:]}"
        page = f"{base_url}{front_path(tenant_id)}/enter?token={link}"
        if knock.wish:
            place = await tx.fetchrow(_PLACE, tenant_id, knock.wish.class_id)
            what = f"{place['title']}, {times.told(place['starts_at'], place['time_zone'])}"
            subject = f"Wait for a seat in {place['title']} ({business})"
            return Message(to=knock.email, subject=subject, text=_to_wait(knock.wish.name, what, page=page, code=shown))
        return Message(
            to=knock.email,
            subject=f"{shown} is your code for {business}",
            text=_to_sign_in(business, page=page, code=shown),
        )

    return compose


def _to_sign_in(business: str, *, page: str, code: str) -> str:
    return (
        f"Hello,\n\nyour code for {business} is\n\n    {code}\n\n"
        f"Type it where you asked for it, or sign in with this link:\n\n{page}\n\n"
        f"They are good for {_MINUTES} minutes, once. If you did not ask for them, do nothing: nobody is signed in.\n"
    )


def _to_wait(name: str, what: str, *, page: str, code: str) -> str:
    return (
        f"Hello {name},\n\nyou asked to wait for a seat:\n\n{what}\n\n"
        f"Confirm it with this link, and you are on the waitlist:\n\n{page}\n\n"
        f"Or type this code where you asked:\n\n    {code}\n\n"
        f"They are good for {_MINUTES} minutes, once. If you did not ask for them, do nothing: nobody waits.\n"
    )


def over() -> SignInOver:
    return SignInOver("This code or link is not right, was used, or is too old.", hint="Ask for a new one.")


def _mac(secret_key: str, sign_in_id: UUID, code: str) -> bytes:
    return hmac.digest(secret_key.encode(), b"bursar.visitor.code" + sign_in_id.bytes + code.encode(), "sha256")
