"""A person on the pages is an e-mail address; which customer that is."""

from datetime import datetime
from uuid import UUID

from bursar.kernel import audit, ids
from bursar.kernel.clock import utc_now
from bursar.kernel.db import Transaction
from bursar.money import customers

ONLINE = "online"
"""How the audit trail names whoever comes to the public pages and has not shown who he is."""


async def customer_for(
    tx: Transaction, *, tenant_id: UUID, email: str, name: str | None, actor: str = ONLINE, now: datetime | None = None
) -> UUID:
    """Return the customer of an address: who has usable credits, else the newest; one is added where there is none.

    Raises EmailInvalid, CustomerErased.
    """
    found = await customers.find_or_add(
        tx, tenant_id=tenant_id, email=email, name=name, actor=actor, now=now or utc_now()
    )
    return found.id


_DESCRIBE = """
update customer set name = coalesce($3, name), phone = $4
where tenant_id = $1 and email_key = lower($2) and deleted_at is null and erased_at is null
  and (name, phone) is distinct from (coalesce($3, name), $4)
returning id
"""


async def describe(
    tx: Transaction, *, tenant_id: UUID, email: str, name: str | None, phone: str | None, actor: str
) -> int:
    """Write down how the person of an address wants to be known; return how many customers that changed. name: None: as it is."""
    changed = await tx.fetch(_DESCRIBE, tenant_id, email, name, phone)
    for row in changed:
        await audit.record(
            tx,
            tenant_id=tenant_id,
            actor=actor,
            action="customer.described",
            subject=ids.show(ids.CUSTOMER, row["id"]),
            changes={},
        )
    return len(changed)
