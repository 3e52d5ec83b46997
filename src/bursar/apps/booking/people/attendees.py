"""What a business knows about a customer who attends: what its rules ask for."""

from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Final
from uuid import UUID

from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction
from bursar.money.customers import require_customer


@dataclass(frozen=True, slots=True)
class Attendee:
    """Of whom nothing was written down, nothing is known and nothing forbids him to come. gender, level: the business's own words."""

    is_active: bool = True
    is_banned: bool = False
    banned_reason: str | None = None
    waiver_signed_at: datetime | None = None
    born_on: date | None = None
    level: str | None = None
    gender: str | None = None
    dues_unpaid_since: datetime | None = None
    notes: str = ""


_COLUMNS: Final = (
    "is_active, is_banned, banned_reason, waiver_signed_at, born_on, level, gender, dues_unpaid_since, notes"
)

_ONE = f"select {_COLUMNS} from attendee where tenant_id = $1 and customer_id = $2"
_MAKE = "insert into attendee (tenant_id, customer_id) values ($1, $2) on conflict (tenant_id, customer_id) do nothing"
_LOCKED = f"{_ONE} for no key update"
_SET = """
update attendee set is_active = $3, is_banned = $4, banned_reason = $5, waiver_signed_at = $6, born_on = $7, level = $8, gender = $9,
  dues_unpaid_since = $10, notes = $11, changed_at = clock_timestamp()
where tenant_id = $1 and customer_id = $2
"""
_SAID: Final = frozenset({"is_active", "is_banned", "level", "dues_unpaid_since"})
"""What of a change the trail tells as it is; of the rest only that it was changed."""


async def attendee_of(tx: Transaction, *, tenant_id: UUID, customer_id: UUID) -> Attendee:
    """Return what is known about a customer who attends. Raises CustomerNotFound."""
    await require_customer(tx, tenant_id=tenant_id, customer_id=customer_id)
    row = await tx.fetchrow(_ONE, tenant_id, customer_id)
    return Attendee(**dict(row)) if row else Attendee()


async def set_attendee(
    tx: Transaction, *, tenant_id: UUID, customer_id: UUID, attendee: Attendee, actor: str
) -> Attendee:
    """Know this about a customer from now on. Bookings that there are stay. Raises CustomerNotFound."""
    await require_customer(tx, tenant_id=tenant_id, customer_id=customer_id)
    await tx.execute(_MAKE, tenant_id, customer_id)
    before = Attendee(**dict(await tx.fetchrow(_LOCKED, tenant_id, customer_id)))
    if before == attendee:
        return attendee
    await tx.execute(_SET, tenant_id, customer_id, *asdict(attendee).values())
    changed = audit.changed(asdict(before), asdict(attendee))
    told = {name: change for name, change in changed.items() if name in _SAID}
    await audit.record(
        tx,
        tenant_id=tenant_id,
        actor=actor,
        action="attendee.changed",
        subject=ids.show(ids.CUSTOMER, customer_id),
        changes=told | {"also": sorted(set(changed) - _SAID)},
    )
    return attendee
