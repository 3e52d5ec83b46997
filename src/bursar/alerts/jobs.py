"""Background entry points of alerts: the look, each notice, and the forgetting of what is long over."""

from typing import Final

from bursar.alerts.forgetting import forget
from bursar.alerts.looking import look
from bursar.alerts.noticing import give_up, send_notice
from bursar.alerts.telling import SEND
from bursar.kernel.jobs import Backoff, Kind, Schedule, Work

LOOK: Final = "alerts.look"
FORGET: Final = "alerts.forget"


async def _look(work: Work) -> None:
    await look(work.resources.db, work.resources.settings)


async def _forget(work: Work) -> None:
    await forget(work.resources.db, work.resources.settings, now=work.resources.now())


KINDS: Final = (
    # A look that failed is made again by the next tick: the newest look is the only one that matters.
    Kind(LOOK, _look, attempts_max=2, lease_s=120.0, backoff=Backoff(first_s=5.0, max_s=20.0), at_once_max=1),
    Kind(
        SEND,
        send_notice,
        attempts_max=10,
        lease_s=60.0,
        backoff=Backoff(first_s=2.0, factor=3.0, max_s=900.0),
        at_once_max=20,
        on_dead=give_up,
    ),
    Kind(FORGET, _forget, attempts_max=4, lease_s=120.0),
)
SCHEDULES: Final = (
    Schedule("alerts.look", "* * * * *", LOOK, per="installation"),
    Schedule("alerts.forget", "41 3 * * *", FORGET, per="installation"),
)
