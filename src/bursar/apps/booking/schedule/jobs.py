"""What the schedule does by itself: make the classes of the weeks ahead, and place them again when a zone has changed."""

from typing import Final

from bursar.apps.booking.schedule.materialising import materialise
from bursar.apps.booking.schedule.settings import settings_of
from bursar.apps.booking.schedule.templates import live_templates
from bursar.apps.booking.schedule.zone_changes import place_again
from bursar.kernel import jobs

MAKE_CLASSES: Final = "schedule.make_classes"
PLACE_AGAIN: Final = "schedule.place_again"


async def make_classes(work: jobs.Work) -> None:
    """Make every class of the weeks ahead that is not there yet. What stands in its way is shown as a conflict."""
    tenant_id, now = work.job.tenant_id, work.resources.now()
    async with work.finish() as tx:
        settings = await settings_of(tx, tenant_id=tenant_id)
        templates = await live_templates(tx, tenant_id=tenant_id, now=now)
        await materialise(tx, tenant_id=tenant_id, templates=templates, settings=settings, now=now)


async def place_classes_again(work: jobs.Work) -> None:
    """Place the classes to come by the zone database of this process."""
    async with work.finish() as tx:
        await place_again(tx, tenant_id=work.job.tenant_id, now=work.resources.now())


KINDS: Final = (jobs.Kind(MAKE_CLASSES, make_classes), jobs.Kind(PLACE_AGAIN, place_classes_again))
SCHEDULES: Final = (
    jobs.Schedule("schedule.classes", "20 1 * * *", MAKE_CLASSES, spread_s=3600),
    jobs.Schedule("schedule.zones", "40 3 * * *", PLACE_AGAIN, spread_s=3600),
)
