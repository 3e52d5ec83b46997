"""The controls of the rehearsal: rules that are broken on purpose, so that everyone sees that it finds that."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bursar.apps.booking.bookings import cancelling, seat, seats
from bursar.apps.booking.bookings.seat_deciding import Act

_GUARD = "c.held + c.booked + $3 + $4 + $6 <= c.capacity"


@dataclass(frozen=True, slots=True)
class Control:
    """What is broken. where: the module. name: of what is replaced there. by: what replaces it. statements: run as the superuser."""

    what: str
    where: Any
    name: str
    by: Any
    statements: tuple[str, ...] = ()


def _never_back(*given: Any, **named: Any) -> Act:
    act = _DECIDE(*given, **named)
    return Act("nothing") if act.does in ("return", "seat_again") else act


_DECIDE = vars(seat)["decide"]


async def _keeps(*_: Any, **__: Any) -> str:
    return "same_lot"


CONTROLS = {
    "no-seat-guard": Control(
        "Seats are taken whether there are any or not, and the database does not refuse it.",
        seats,
        "_TAKE",
        vars(seats)["_TAKE"].replace(_GUARD, "$6::integer is not null"),
        ("alter table class_instance drop constraint class_instance_never_over",),
    ),
    "late-money-kept": Control(
        "Money that comes when its hold is over is kept: nobody has the seat, and nothing goes back.",
        seat,
        "decide",
        _never_back,
    ),
    "credits-kept": Control(
        "Who cancels in time is told that the credits are back, and they are not.", cancelling, "_give_back", _keeps
    ),
}


@contextmanager
def broken_by(control: Control | None) -> Iterator[None]:
    """Break this process in the way of a control for as long as the block lasts."""
    if control is None:
        yield
        return
    before = vars(control.where)[control.name]
    vars(control.where)[control.name] = control.by
    try:
        yield
    finally:
        vars(control.where)[control.name] = before
