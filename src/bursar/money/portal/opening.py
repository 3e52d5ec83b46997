"""Open a session: write down the call that makes the link, and the job that takes the link away again."""

from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from bursar.kernel import audit, ids, jobs
from bursar.kernel.db import Transaction
from bursar.money import calls, customers
from bursar.money.gateways.calls import CreatePortalSession

LINK_LIFE: Final = timedelta(minutes=5)
"""How long a link is told. Stripe lets one that nobody followed go as soon."""
FORGET_LINK: Final = "portal.forget_link"
_AGAIN: Final = timedelta(hours=1)


_CUSTOMER = f"""
select c.gateway_account_id as account_id, c.gateway_ref as ref, {customers.IS_GONE} as is_gone, a.gateway, a.api_key is not null and a.is_active as has_key
from customer c join gateway_account a on a.tenant_id = c.tenant_id and a.id = c.gateway_account_id
where c.tenant_id = $1 and c.id = $2
"""

_FORGET = (
    "update gateway_call set url = null where tenant_id = $1 and id = $2 and state = 'succeeded' and ended_at <= $3"
)

_STANDS = "select state, url is not null as has_link from gateway_call where tenant_id = $1 and id = $2"


async def open_session(
    tx: Transaction, *, tenant_id: UUID, customer_id: UUID, return_url: str | None, actor: str, now: datetime
) -> UUID:
    """Ask for a link to the gateway's page for a customer; return the call that makes it.

    Raises CustomerNotFound, CustomerNotAtGateway, GatewayKeyMissing, OperationUnsupported.
    """
    shown = ids.show(ids.CUSTOMER, customer_id)
    row = await tx.fetchrow(_CUSTOMER, tenant_id, customer_id)
    if row is None:
        raise customers.unknown(customer_id)
    call = CreatePortalSession(customer=row["ref"], return_url=return_url)
    customers.name_at_gateway(row["ref"], customer_id=customer_id, is_gone=row["is_gone"])
    calls.check_account(calls.Account(row["account_id"], row["gateway"], row["has_key"]), call)
    call_id = await calls.ask(
        tx,
        tenant_id=tenant_id,
        account_id=row["account_id"],
        call=call,
        subject=shown,
        key=f"portal_session:{ids.encode(ids.new())}",
        actor=actor,
    )
    named = ids.show(ids.GATEWAY_CALL, call_id)
    await jobs.enqueue(tx, tenant_id=tenant_id, kind=FORGET_LINK, key=named, run_at=now + LINK_LIFE)
    await audit.record(
        tx, tenant_id=tenant_id, actor=actor, action="portal_session.asked", subject=shown, changes={"call": named}
    )
    return call_id


async def forget_link(work: jobs.Work) -> None:
    """Take a link out of its call when it is no longer told; come back while there is, or may be, one."""
    tenant_id, call_id = work.job.tenant_id, ids.parse(ids.GATEWAY_CALL, work.job.key)
    async with work.finish() as tx:
        await tx.execute(_FORGET, tenant_id, call_id, work.resources.now() - LINK_LIFE)
        row = await tx.fetchrow(_STANDS, tenant_id, call_id)
        if row is not None and row["has_link"]:
            raise jobs.Postponed("the link is told a little longer", after=LINK_LIFE)
        if row is not None and row["state"] in ("asked", "unknown"):
            raise jobs.Postponed("there may be a link yet", after=_AGAIN)


KINDS: Final = (jobs.Kind(FORGET_LINK, forget_link),)
