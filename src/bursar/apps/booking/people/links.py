"""Links to one booking: whoever has one sees it, and may cancel it. Random, kept as a hash; an id opens nothing."""

from datetime import datetime
from uuid import UUID

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.kernel.identity import tokens

_KEEP = """
insert into booking_link (tenant_id, id, booking_id, secret_sha256, created_at) values ($1, $2, $3, $4, $5)
on conflict (tenant_id, id) do nothing returning id
"""
# Of an erased person there is nothing to be shown any more.
_OPENS = """
select l.booking_id from booking_link l
join booking b on b.tenant_id = l.tenant_id and b.id = l.booking_id
join customer c on c.tenant_id = b.tenant_id and c.id = b.customer_id
where l.tenant_id = $1 and l.id = $2 and l.secret_sha256 = $3 and c.erased_at is null
"""


def front_path(tenant_id: UUID) -> str:
    """Return the path of a business's own page: what customers see, and where they book."""
    return f"/b/{ids.show(ids.TENANT, tenant_id)}"


def link_for(tenant_id: UUID) -> str:
    """Return a new link's text. It opens nothing until it is kept for a booking."""
    return tokens.make(tenant_id, ids.new())[0]


async def keep_link(tx: Transaction, token: tokens.Token, *, booking_id: UUID, now: datetime) -> bool:
    """Let a link open a booking from now on; False where it was kept before, for whatever."""
    kept = await tx.fetchval(_KEEP, token.tenant_id, token.id, booking_id, token.sha256, now)
    return kept is not None


async def linked_page(tx: Transaction, *, tenant_id: UUID, booking_id: UUID, base_url: str, now: datetime) -> str:
    """Return the address of a page that shows a booking to whoever has it, by a link that is made here."""
    link = link_for(tenant_id)
    token = tokens.read(link)
    assert token is not None, "a link is a token of ours"
    await keep_link(tx, token, booking_id=booking_id, now=now)
    return f"{base_url}{front_path(tenant_id)}/bookings/{link}"


async def booking_of(tx: Transaction, token: tokens.Token) -> UUID | None:
    """Return the booking that a link opens; None where it opens nothing."""
    found: UUID | None = await tx.fetchval(_OPENS, token.tenant_id, token.id, token.sha256)
    return found
