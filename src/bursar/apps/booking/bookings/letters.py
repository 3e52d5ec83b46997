"""What customers are told by mail of their bookings. It is written when it is sent; times come from the one renderer."""

from collections.abc import Callable
from typing import Any, Final
from uuid import UUID

from bursar.apps.booking import people
from bursar.apps.booking.bookings import telling
from bursar.apps.booking.schedule import times
from bursar.kernel import ids
from bursar.kernel.clock import utc_now
from bursar.kernel.db import Transaction
from bursar.kernel.identity.letters import Composer
from bursar.kernel.mail import Message

_BOOKING: Final = """
select b.number, b.status, b.seats, b.starts_at, b.cancel_by, b.held_until, b.credits_back, b.credit_cost, b.terms::text as terms,
  b.snapshot ->> 'title' as title, b.snapshot ->> 'venue' as venue, b.snapshot ->> 'time_zone' as zone, b.cancel_reason,
  c.email, c.name,
  b.order_id is not null and not exists (select from checkout k where k.tenant_id = b.tenant_id and k.order_id = b.order_id) as is_at_desk
from booking b join customer c on c.tenant_id = b.tenant_id and c.id = b.customer_id
where b.tenant_id = $1 and b.id = $2 and c.email is not null and c.erased_at is null
"""

_ENTRY: Final = """
select w.told, i.title, i.starts_at, i.time_zone as zone, c.email, c.name
from waitlist_entry w
join class_instance i on i.tenant_id = w.tenant_id and i.id = w.class_id
join customer c on c.tenant_id = w.tenant_id and c.id = w.customer_id
where w.tenant_id = $1 and w.id = $2 and c.email is not null and c.erased_at is null
"""

_LIVE: Final = frozenset({"requested", "held", "booked", "attended"})

Wording = Callable[[Any, str], tuple[str, str]]
"""Return subject and text of a letter: of a row, from a business."""


def booking_letters(*, base_url: str = "") -> dict[str, Composer]:
    """Return who writes which kind of letter about bookings. base_url: of the pages, to which a letter links; empty: it does not."""
    written: dict[str, tuple[Wording, bool | None]] = {
        telling.BOOKED: (_booked, True),
        telling.REQUESTED: (_requested, True),
        telling.TO_PAY: (_to_pay, True),
        telling.PROMOTED: (_promoted, True),
        telling.OFFERED: (_offered, True),
        telling.MOVED: (_moved, True),
        telling.CANCELLED: (_cancelled, False),
        telling.CALLED_OFF: (_called_off, False),
        telling.RETURNING: (_returning, None),
    }
    found = {
        kind: _of_booking(wording, is_live=is_live, base_url=base_url) for kind, (wording, is_live) in written.items()
    }
    return found | {telling.PASSED_OVER: _passed_over, telling.WAITING_ENDED: _waiting_ended}


def _of_booking(wording: Wording, *, is_live: bool | None, base_url: str) -> Composer:
    async def compose(tx: Transaction, tenant_id: UUID, about: str, business: str) -> Message | None:
        booking_id = ids.parse(ids.BOOKING, about.partition(".")[0])
        row = await tx.fetchrow(_BOOKING, tenant_id, booking_id)
        # What was given up before the letter went out needs no letter any more; the one that tells of that does.
        if row is None or is_live not in (None, row["status"] in _LIVE):
            return None
        subject, text = wording(row, business)
        if is_live and base_url:
            link = await people.linked_page(
                tx, tenant_id=tenant_id, booking_id=booking_id, base_url=base_url, now=utc_now()
            )
            text = (
                f"{text}\n\nSee it, put it into your calendar, or cancel it here; the address is yours alone:\n\n{link}"
            )
        return Message(to=row["email"], subject=subject, text=_letter(row, text))

    return compose


async def _passed_over(tx: Transaction, tenant_id: UUID, about: str, business: str) -> Message | None:
    row = await tx.fetchrow(_ENTRY, tenant_id, ids.parse(ids.WAITLIST_ENTRY, about))
    if row is None:
        return None
    place = f"{row['title']}, {times.told(row['starts_at'], row['zone'])}"
    text = f"A seat came free in {place}. It was your turn, and the seat went to the next who waits.\n\n{row['told']}"
    return Message(to=row["email"], subject=f"{row['title']}: your turn went by ({business})", text=_letter(row, text))


async def _waiting_ended(tx: Transaction, tenant_id: UUID, about: str, business: str) -> Message | None:
    row = await tx.fetchrow(_ENTRY, tenant_id, ids.parse(ids.WAITLIST_ENTRY, about))
    if row is None:
        return None
    place = f"{row['title']}, {times.told(row['starts_at'], row['zone'])}"
    text = f"You do not wait for {place} any more.\n\n{row['told']}"
    return Message(to=row["email"], subject=f"{row['title']}: {row['told']} ({business})", text=_letter(row, text))


def _booked(row: Any, business: str) -> tuple[str, str]:
    return f"You are booked: {row['title']} ({business})", f"You are booked.\n\n{_facts(row)}"


def _requested(row: Any, business: str) -> tuple[str, str]:
    text = f"You asked for a seat. {business} confirms it soon.\n\n{_facts(row)}"
    return f"You asked for a seat: {row['title']} ({business})", text


def _to_pay(row: Any, business: str) -> tuple[str, str]:
    until = times.told(row["held_until"], row["zone"]) if row["held_until"] else "soon"
    if row["is_at_desk"]:
        said = f"{business} holds it for you until {until}, and takes payment at its desk. Pay there until then, and you are booked."
    else:
        said = f"{business} confirmed it, and holds it for you until {until}. Pay for it until then."
    text = f"{said}\n\n{_facts(row)}"
    return f"Pay for your seat: {row['title']} ({business})", text


def _promoted(row: Any, business: str) -> tuple[str, str]:
    text = f"A seat came free, and it is yours.\n\n{_facts(row)}"
    return f"You have a seat: {row['title']} ({business})", text


def _offered(row: Any, business: str) -> tuple[str, str]:
    until = times.told(row["held_until"], row["zone"]) if row["held_until"] else "soon"
    text = f"A seat came free, and is held for you until {until}. Book the class to take it.\n\n{_facts(row)}"
    return f"A seat is held for you: {row['title']} ({business})", text


def _moved(row: Any, business: str) -> tuple[str, str]:
    text = f"{business} changed it. It is now:\n\n{_facts(row)}"
    return f"Changed: {row['title']} ({business})", text


def _cancelled(row: Any, business: str) -> tuple[str, str]:
    why = f" {row['cancel_reason']}" if row["cancel_reason"] else ""
    text = f"Your booking {row['number']} is cancelled: {_place(row)}.{why}\n\n{_credits(row)}"
    return f"Cancelled: {row['title']} ({business})", text.rstrip()


def _called_off(row: Any, business: str) -> tuple[str, str]:
    why = f" {row['cancel_reason']}" if row["cancel_reason"] else ""
    text = f"{business} had to cancel {_place(row)}.{why}\n\n{_credits(row)}"
    return f"It does not take place: {row['title']} ({business})", text.rstrip()


def _returning(row: Any, business: str) -> tuple[str, str]:
    state = "" if row["status"] in _LIVE else " You are not booked."
    text = (
        f"Your payment for booking {row['number']} could not be used, and goes back to you.{state}\n\n{_place(row)}\n\n"
        f"If you still want to come, book again, or write to {business}."
    )
    return f"Your payment goes back: {row['title']} ({business})", text


def _facts(row: Any) -> str:
    seats = f"{row['seats']} seats, " if row["seats"] > 1 else ""
    return (
        f"{row['title']}\n{times.told(row['starts_at'], row['zone'])}\n{row['venue']}\n{seats}booking number {row['number']}\n\n"
        f"Cancelling costs nothing until {times.told(row['cancel_by'], row['zone'])}."
    )


def _place(row: Any) -> str:
    return f"{row['title']}, {times.told(row['starts_at'], row['zone'])}, {row['venue']}"


def _credits(row: Any) -> str:
    count = f"{row['credit_cost']} credit{'' if row['credit_cost'] == 1 else 's'}"
    match row["credits_back"]:
        case "same_lot":
            return f"You have {count} back."
        case "new_lot":
            return f"Your credits had expired; you have {count} back for a while."
        case "kept":
            return f"{count} {'is' if row['credit_cost'] == 1 else 'are'} not given back."
        case _:
            return ""


def _letter(row: Any, text: str) -> str:
    return f"Hello{' ' + row['name'] if row['name'] else ''},\n\n{text}\n"
