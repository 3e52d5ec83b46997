"""A booking as a calendar's file. Pure. Source: RFC 5545; what changed later has the same UID and a greater SEQUENCE."""

from datetime import UTC, datetime
from typing import Final

import icalendar

from bursar.kernel import ids
from bursar.kernel.zones import zone_named
from bursar.web.pages.reads.own_bookings import Own

MEDIA_TYPE: Final = "text/calendar; charset=utf-8"

_STATUS: Final = {
    "requested": "TENTATIVE",
    "held": "TENTATIVE",
    "booked": "CONFIRMED",
    "attended": "CONFIRMED",
    "no_show": "CONFIRMED",
}
"""Of every other state: it does not take place for this person any more."""


def calendar_of(booking: Own, *, business: str, url: str, now: datetime) -> bytes:
    """Return the file. Its times are those of the venue's zone, whose rules stand in it. url: of the booking's page.

    In the hour that comes twice they are in UTC: a local time there is the first, and the second has no way to be told.
    """
    begins, ends = (at.astimezone(zone_named(booking.time_zone)) for at in (booking.starts_at, booking.ends_at))
    if begins.fold or ends.fold:
        begins, ends = begins.astimezone(UTC), ends.astimezone(UTC)
    event = icalendar.Event()
    event.add("uid", f"{ids.encode(booking.id)}@booking.bursar")
    event.add("sequence", max(booking.version - 1, 0))
    event.add("dtstamp", now.astimezone(UTC))
    event.add("created", booking.created_at.astimezone(UTC))
    event.add("last-modified", max(booking.changed_at, booking.created_at).astimezone(UTC))
    event.add("dtstart", begins)
    event.add("dtend", ends)
    event.add("summary", f"{booking.title} ({business})")
    event.add("location", ", ".join(part for part in (booking.venue, booking.room, booking.address) if part))
    event.add("description", _description(booking))
    event.add("url", url)
    event.add("status", _STATUS.get(booking.status, "CANCELLED"))
    event.add("transp", "OPAQUE" if booking.status in _STATUS else "TRANSPARENT")
    calendar = icalendar.Calendar()
    calendar.add("prodid", "-//Bursar//Booking//EN")
    calendar.add("version", "2.0")
    calendar.add("method", "PUBLISH" if booking.status in _STATUS else "CANCEL")
    calendar.add_component(event)
    calendar.add_missing_timezones()
    made: bytes = calendar.to_ical()
    return made


def _description(booking: Own) -> str:
    lines = [f"Booking {booking.number}", booking.told]
    if booking.staff:
        lines.append(f"With {booking.staff}")
    if booking.seats > 1:
        lines.append(f"{booking.seats} seats")
    if booking.is_open:
        lines.append(f"Cancelling costs nothing until {booking.cancel_by_told}.")
    return "\n".join(lines)
