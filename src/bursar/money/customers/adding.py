"""Find a customer by e-mail address, or add one whom no gateway has told of yet.

What is added bears the name that a payment without a gateway's customer would give it (`email:…`), so that such a payment finds it.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Final
from uuid import UUID

from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict
from bursar.kernel.identity.people import checked_email
from bursar.money.intake.accounts import GatewayAccountNotFound


class CustomerErased(Conflict):
    """The row that this address would be is one of an erased person."""

    code = "customer_erased"


@dataclass(frozen=True, slots=True)
class Found:
    """is_new: no customer had the address."""

    id: UUID
    is_new: bool


_DESK_NAME: Final = "Desk"

# Whoever has credits that can be used now is meant before whoever came last.
_OF_EMAIL = """
select c.id from customer c
where c.tenant_id = $1 and c.email_key = lower($2) and c.deleted_at is null and c.erased_at is null
  and ($4::uuid is null or c.gateway_account_id = $4)
order by exists (select from credit_lot l where l.tenant_id = c.tenant_id and l.customer_id = c.id and l.remaining > 0
    and not l.is_suspended and (l.expires_at is null or l.expires_at > $3)) desc, c.is_deleted, c.id desc
limit 1
"""

_ALL_OF_EMAIL = """
select id from customer where tenant_id = $1 and email_key = lower($2) and deleted_at is null and erased_at is null
order by id desc limit 50
"""

# Where checkouts are paid, else the desk.
_ACCOUNT = """
select id from gateway_account
where tenant_id = $1 and is_active and ($2::uuid is null or id = $2)
order by api_key is not null and gateway <> 'manual' desc, gateway = 'manual' desc, id limit 1
"""

_ALONE = "select pg_advisory_xact_lock(hashtextextended('desk ' || $1::text, 0))"
_DESK = (
    "insert into gateway_account (tenant_id, id, gateway, name, signing_secrets) values ($1, $2, 'manual', $3, '{}')"
)

_ADD = """
insert into customer (tenant_id, id, gateway_account_id, gateway_ref, email, name, phone, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8) on conflict (tenant_id, gateway_account_id, gateway_ref) do nothing
returning id
"""
_NAMED = """
select id, erased_at is not null as is_erased from customer where tenant_id = $1 and gateway_account_id = $2 and gateway_ref = $3
"""
_RESTORE = """
update customer set deleted_at = null, deleted_by = null where tenant_id = $1 and id = $2 and deleted_at is not null returning id
"""


async def customer_of_email(
    tx: Transaction, *, tenant_id: UUID, email: str, now: datetime, account_id: UUID | None = None
) -> UUID | None:
    """Return the customer who is meant by an address: who has usable credits, else the newest; None where there is none."""
    found: UUID | None = await tx.fetchval(_OF_EMAIL, tenant_id, email.strip(), now, account_id)
    return found


async def customers_of_email(tx: Transaction, *, tenant_id: UUID, email: str) -> tuple[UUID, ...]:
    """Return every customer of an address: each gateway account has one of its own."""
    return tuple(row["id"] for row in await tx.fetch(_ALL_OF_EMAIL, tenant_id, email.strip()))


async def find_or_add(
    tx: Transaction,
    *,
    tenant_id: UUID,
    email: str,
    name: str | None,
    actor: str,
    now: datetime,
    phone: str | None = None,
    account_id: UUID | None = None,
) -> Found:
    """Return the customer of an address, as `customer_of_email`; add one where there is none. Who is found stays as he is.

    account_id: None: where checkouts are paid, else the desk, which is added where a business has no account at all.
    Raises EmailInvalid, GatewayAccountNotFound, CustomerErased.
    """
    address = checked_email(email).lower()
    found = await customer_of_email(tx, tenant_id=tenant_id, email=address, now=now, account_id=account_id)
    if found is not None:
        return Found(found, is_new=False)
    account = await _account(tx, tenant_id=tenant_id, account_id=account_id, actor=actor)
    customer_id, ref = ids.new(), f"email:{address}"
    added = await tx.fetchval(_ADD, tenant_id, customer_id, account, ref, address, name, phone, now)
    if added is None:
        return await _there(tx, tenant_id=tenant_id, account_id=account, ref=ref, actor=actor)
    await audit.record(
        tx,
        tenant_id=tenant_id,
        actor=actor,
        action="customer.added",
        subject=ids.show(ids.CUSTOMER, customer_id),
        changes={"gateway_account": ids.show(ids.GATEWAY_ACCOUNT, account)},
    )
    return Found(customer_id, is_new=True)


async def _there(tx: Transaction, *, tenant_id: UUID, account_id: UUID, ref: str, actor: str) -> Found:
    """Return the row that has the name: somebody added it at the same moment, or it was deleted and the person is back."""
    row = await tx.fetchrow(_NAMED, tenant_id, account_id, ref)
    if row["is_erased"]:
        raise CustomerErased(
            "the person of this address was erased here", hint="Use another address, or another gateway account."
        )
    if await tx.fetchval(_RESTORE, tenant_id, row["id"]):
        await audit.record(
            tx,
            tenant_id=tenant_id,
            actor=actor,
            action="customer.restored",
            subject=ids.show(ids.CUSTOMER, row["id"]),
            changes={},
        )
    return Found(row["id"], is_new=False)


async def _account(tx: Transaction, *, tenant_id: UUID, account_id: UUID | None, actor: str) -> UUID:
    found: UUID | None = await tx.fetchval(_ACCOUNT, tenant_id, account_id)
    if found is None and account_id is not None:
        shown = ids.show(ids.GATEWAY_ACCOUNT, account_id)
        raise GatewayAccountNotFound(
            f"there is no active gateway account {shown}", hint="See GET /v1/gateway-accounts."
        )
    if found is None:
        await tx.execute(_ALONE, str(tenant_id))
        found = await tx.fetchval(_ACCOUNT, tenant_id, None)
    if found is None:
        found = ids.new()
        await tx.execute(_DESK, tenant_id, found, _DESK_NAME)
        await audit.record(
            tx,
            tenant_id=tenant_id,
            actor=actor,
            action="gateway_account.added",
            subject=ids.show(ids.GATEWAY_ACCOUNT, found),
            changes={"gateway": "manual", "name": _DESK_NAME},
        )
    return found
