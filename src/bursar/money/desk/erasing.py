"""Ask for the erasure of a customer, and see how far it has come. The lanes and a chore do it: decision 0015."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Final, Literal
from uuid import UUID

from pydantic import Field

from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict, NotFound
from bursar.kernel.http.identifiers import CustomerId, ErasureId
from bursar.kernel.http.views import View
from bursar.money.customers import CustomerNotFound, have_ended
from bursar.money.gateways.operator import erasure_event
from bursar.money.intake import file_written

SAME_MAX: Final = 1000

Ground = Literal["requested", "unneeded", "unlawful", "obliged"]
"""Why a person is erased: the grounds of article 17 (1) GDPR. No free text, which could name the person again."""


class ErasureNotFound(NotFound):
    """No erasure of this tenant has this id."""

    code = "erasure_not_found"


class PersonTooLarge(Conflict):
    """More rows are said to be one person than an erasure takes."""

    code = "person_too_large"


class Erasure(View):
    """A person who was erased, or is being erased."""

    id: ErasureId
    customers: list[CustomerId] = Field(description="Every customer that is the same person.")
    ground: Ground
    actor: str
    status: Literal["pending", "done"] = Field(
        description="`done` when every older body was read. What comes later is erased as it comes."
    )
    requested_at: datetime
    done_at: datetime | None


# The same e-mail address is the same person, and so is the same id at accounts of one kind of gateway. A guest is named after
# his purchase, and two desks may well have given two purchases one reference.
_SAME = f"""
with asked as (
  select c.id, c.email_key, c.gateway_ref, a.gateway from customer c
  join gateway_account a on a.tenant_id = c.tenant_id and a.id = c.gateway_account_id
  where c.tenant_id = $1 and c.id = $2
)
select id from asked
union select c.id from asked join customer c on c.tenant_id = $1 and c.email_key = asked.email_key
union select c.id from asked join customer c on c.tenant_id = $1 and c.gateway_ref = asked.gateway_ref
join gateway_account a on a.tenant_id = $1 and a.id = c.gateway_account_id and a.gateway = asked.gateway
where asked.gateway_ref not like 'guest:%'
limit {SAME_MAX + 1}
"""
_ACCOUNTS = "select id from gateway_account where tenant_id = $1 order by id"
_ASK = """
insert into erasure (tenant_id, id, customers, actor, ground, requested_at) values ($1, $2, $3, $4, $5, $6)
"""
_LANES = """
insert into erasure_lane (tenant_id, erasure_id, gateway_account_id) select $1, $2, id from unnest($3::uuid[]) as lane (id)
"""
_ONE = """
select e.id, e.customers, e.ground, e.actor, e.requested_at,
  case when l.is_done then 'done' else 'pending' end as status, case when l.is_done then l.done_at end as done_at
from erasure e cross join lateral (
  select bool_and(swept_at is not null) as is_done, max(swept_at) as done_at from erasure_lane l
  where l.tenant_id = e.tenant_id and l.erasure_id = e.id
) l
where e.tenant_id = $1 and e.id = $2
"""


async def same_person(tx: Transaction, *, tenant_id: UUID, customer_id: UUID) -> list[UUID]:
    """Return every customer that is known to be the same person, itself included.

    Raises CustomerNotFound, PersonTooLarge.
    """
    found = sorted(row["id"] for row in await tx.fetch(_SAME, tenant_id, customer_id))
    shown = ids.show(ids.CUSTOMER, customer_id)
    if not found:
        raise CustomerNotFound(f"there is no customer {shown}", hint="Look customers up at GET /v1/customers.")
    if len(found) > SAME_MAX:
        raise PersonTooLarge(
            f"more than {SAME_MAX} customers share the e-mail address or the id of {shown}",
            hint="That many are no one person: give them addresses of their own at the gateway.",
        )
    return found


async def erase_customer(
    tx: Transaction, *, tenant_id: UUID, customer_id: UUID, ground: Ground, actor: str, now: datetime
) -> Erasure:
    """Ask for a person to be erased. Amounts, books and grants stay; what lies ahead is ended. Raises CustomerNotFound, PersonTooLarge."""
    customers = await same_person(tx, tenant_id=tenant_id, customer_id=customer_id)
    accounts = [row["id"] for row in await tx.fetch(_ACCOUNTS, tenant_id)]
    erasure_id = ids.new()
    await tx.execute(_ASK, tenant_id, erasure_id, customers, actor, ground, now)
    await tx.execute(_LANES, tenant_id, erasure_id, accounts)
    event = erasure_event(erasure=str(erasure_id), occurred_at=now)
    for account_id in accounts:
        await file_written(tx, tenant_id=tenant_id, account_id=account_id, event=event)
    await have_ended(tx, tenant_id=tenant_id, customer_ids=customers, why="erased")
    await audit.record(
        tx,
        tenant_id=tenant_id,
        actor=actor,
        action="customer.erasure_asked",
        subject=ids.show(ids.CUSTOMER, customer_id),
        changes={
            "erasure": ids.show(ids.ERASURE, erasure_id),
            "customers": [ids.show(ids.CUSTOMER, found) for found in customers],
            "ground": ground,
        },
    )
    return await erasure(tx, tenant_id=tenant_id, erasure_id=erasure_id)


async def erasure(tx: Transaction, *, tenant_id: UUID, erasure_id: UUID) -> Erasure:
    """Return one erasure and how far it has come. Raises ErasureNotFound."""
    row = await tx.fetchrow(_ONE, tenant_id, erasure_id)
    if row is None:
        raise ErasureNotFound(f"there is no erasure {ids.show(ids.ERASURE, erasure_id)}")
    return Erasure.of(row)


async def record_export(
    tx: Transaction, *, tenant_id: UUID, customer_id: UUID, customers: Sequence[UUID], actor: str
) -> None:
    """Write down that somebody took everything about a person with him."""
    changes: dict[str, Any] = {"customers": [ids.show(ids.CUSTOMER, found) for found in customers]}
    await audit.record(
        tx,
        tenant_id=tenant_id,
        actor=actor,
        action="customer.exported",
        subject=ids.show(ids.CUSTOMER, customer_id),
        changes=changes,
    )
