"""A person on the pages is an e-mail address; which customer that is."""

from datetime import datetime
from uuid import UUID

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
