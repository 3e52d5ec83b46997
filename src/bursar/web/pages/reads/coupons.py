"""What coupons are for: names of what repeats, and of single classes."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from uuid import UUID

from bursar.apps.booking.coupons import Coupon
from bursar.kernel import ids
from bursar.kernel.db import Transaction

_TEMPLATES = (
    "select id, left(title, 80) as title from class_template where tenant_id = $1 and id = any($2::uuid[]) order by id"
)
_CLASSES = """
select id, left(title, 80) || ', ' || local_date as title from class_instance where tenant_id = $1 and id = any($2::uuid[]) order by id
"""


@dataclass(frozen=True, slots=True)
class Meant:
    """What coupons are for: names by public id. Both empty: all that is sold for money."""

    templates: Mapping[str, str]
    classes: Mapping[str, str]

    @property
    def names(self) -> tuple[str, ...]:
        """All of it by name."""
        return (*self.templates.values(), *self.classes.values())

    def by(self, coupon: Coupon) -> "Meant":
        """Return what one of the coupons is for."""
        templates = {ids.show(ids.CLASS_TEMPLATE, each) for each in coupon.templates}
        classes = {ids.show(ids.CLASS, each) for each in coupon.classes}
        return Meant(
            {each: name for each, name in self.templates.items() if each in templates},
            {each: name for each, name in self.classes.items() if each in classes},
        )


async def meant_by(tx: Transaction, *, tenant_id: UUID, coupons: Sequence[Coupon]) -> Meant:
    """Return the names of all that these coupons are for."""
    templates = sorted({each for coupon in coupons for each in coupon.templates})
    classes = sorted({each for coupon in coupons for each in coupon.classes})
    return Meant(
        {ids.show(ids.CLASS_TEMPLATE, r["id"]): r["title"] for r in await tx.fetch(_TEMPLATES, tenant_id, templates)},
        {ids.show(ids.CLASS, r["id"]): r["title"] for r in await tx.fetch(_CLASSES, tenant_id, classes)},
    )
