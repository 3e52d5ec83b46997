"""What a business gives by appointment, as customers choose from it."""

from dataclasses import dataclass
from typing import Any, Final
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.amounts import Money
from bursar.kernel.db import Transaction

OFFERINGS_MAX: Final = 200


@dataclass(frozen=True, slots=True)
class Offering:
    """A service in one of its tiers. due: what is paid before it is booked; None: nothing."""

    service_id: UUID
    tier_id: UUID
    service: str
    about: str
    tier: str
    minutes: int
    money: Money | None
    due: Money | None

    @property
    def path(self) -> str:
        """Where its times are, below the business's first page."""
        return f"/services/{ids.show(ids.SERVICE, self.service_id)}/{ids.show(ids.TIER, self.tier_id)}"


_OFFERINGS = f"""
select s.id as service_id, t.id as tier_id, s.name as service, s.about, t.name as tier, t.duration_min as minutes,
  p.amount_minor, p.currency, coalesce(d.amount_minor, p.amount_minor) as due_minor
from service s
join tier t on t.tenant_id = s.tenant_id and t.service_id = s.id and t.deleted_at is null
left join price p on p.tenant_id = t.tenant_id and p.id = t.price_id
left join price d on d.tenant_id = t.tenant_id and d.id = t.deposit_price_id
where s.tenant_id = $1 and s.is_published and s.deleted_at is null and ($2::uuid is null or t.id = $2)
order by s.name, s.id, t.duration_min, t.id limit {OFFERINGS_MAX}
"""


_ANY = """
select exists (select from service s join tier t on t.tenant_id = s.tenant_id and t.service_id = s.id and t.deleted_at is null
  where s.tenant_id = $1 and s.is_published and s.deleted_at is null)
"""


async def has_offerings(tx: Transaction, *, tenant_id: UUID) -> bool:
    """Say whether customers may choose anything."""
    return bool(await tx.fetchval(_ANY, tenant_id))


async def offerings(tx: Transaction, *, tenant_id: UUID, tier_id: UUID | None = None) -> list[Offering]:
    """Return what customers may choose from; with a tier that one alone."""
    return [_offering(row) for row in await tx.fetch(_OFFERINGS, tenant_id, tier_id)]


def _offering(row: Any) -> Offering:
    told = dict(row)
    minor, due, currency = told.pop("amount_minor"), told.pop("due_minor"), told.pop("currency")
    return Offering(
        **told,
        money=Money(minor, currency) if minor is not None else None,
        due=Money(due, currency) if due is not None else None,
    )
