"""Let credits of one customer be another's: taken out of the lot by a spend of their own, and given in a lot of the same pool and end.

What was transferred counts as used where its pack is refunded, and the new lot was given and not bought: so no money goes back for it twice.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from pydantic import Field

from bursar.apps.booking import rules
from bursar.apps.booking.rules.elsewhere import TRANSFERABLE
from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict, NotFound
from bursar.kernel.http import View
from bursar.kernel.http.identifiers import CreditTransferId, CustomerId, LotId
from bursar.kernel.listing import Listing, Part, Slice, part
from bursar.money.customers import require_customer
from bursar.money.fulfilment import spending
from bursar.money.fulfilment.credits import Movement, record_movements

SPENDS: Final = spending.Reserved(
    "transfer:", "transfers", "Transfer the credits back: POST /v1/credit-transfers with the receiver's lot."
)
"""The spends of transfers. Permanent."""


class LotNotFound(NotFound):
    """No lot of this business has this id."""

    code = "credit_lot_not_found"


class CreditTransferNotFound(NotFound):
    """No transfer of this business has this id."""

    code = "credit_transfer_not_found"


class CreditsNotTransferable(Conflict):
    """The business does not let credits go to another customer."""

    code = "credits_not_transferable"


class CreditTransferUnfit(Conflict):
    """The lot is its receiver's already, has expired, or is paused."""

    code = "credit_transfer_unfit"


class CreditTransfer(View):
    """Credits that went from one customer to another."""

    id: CreditTransferId
    from_customer: CustomerId
    to_customer: CustomerId
    from_lot: LotId
    into_lot: LotId = Field(description="The receiver's own: of the same pool, with the same end.")
    pool: str
    amount: int
    expires_at: datetime | None
    actor: str
    created_at: datetime


_SELECT: Final = """select t.id, t.from_customer_id as from_customer, t.to_customer_id as to_customer, t.from_lot_id as from_lot,
  t.into_lot_id as into_lot, l.pool, t.amount, l.expires_at, t.actor, t.created_at
from credit_transfer t join credit_lot l on l.tenant_id = t.tenant_id and l.id = t.into_lot_id"""

TRANSFERS = Listing(
    select=_SELECT,
    tenant="t.tenant_id",
    key="t.id",
    filters={"from_customer": "t.from_customer_id = {}", "to_customer": "t.to_customer_id = {}"},
    refers={"from_customer": "customer", "to_customer": "customer"},
)

_ONE = f"{_SELECT} where t.tenant_id = $1 and t.id = $2"

_LOT = """
select customer_id, pool, remaining, effective_at, expires_at, is_suspended from credit_lot where tenant_id = $1 and id = $2 for update
"""

_GIVE = """
insert into credit_lot (tenant_id, id, customer_id, pool, granted, effective_at, expires_at, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8)
"""

_WRITE = """
insert into credit_transfer (tenant_id, id, from_lot_id, into_lot_id, spend_id, from_customer_id, to_customer_id, amount, actor, created_at)
values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
"""


async def transfer_credits(
    tx: Transaction,
    *,
    tenant_id: UUID,
    lot_id: UUID,
    customer_id: UUID,
    amount: int | None,
    reason: str | None,
    actor: str,
    now: datetime,
) -> UUID:
    """Let credits of a lot be another customer's, and return the transfer. amount: None is all that is left of it.

    Raises LotNotFound, CustomerNotFound, CreditsNotTransferable, CreditTransferUnfit, CreditsInsufficient.
    """
    lot = await tx.fetchrow(_LOT, tenant_id, lot_id)
    if lot is None:
        raise LotNotFound(
            f"there is no lot {ids.show(ids.LOT, lot_id)}", hint="See GET /v1/customers/{customer}/credits."
        )
    await require_customer(tx, tenant_id=tenant_id, customer_id=customer_id)
    if not rules.holds(await rules.settings_of(tx, tenant_id=tenant_id), TRANSFERABLE):
        raise CreditsNotTransferable(
            "credits are not transferred here", hint=f"Turn the rule {TRANSFERABLE} on, or give some by an adjustment."
        )
    _check(lot, customer_id=customer_id, now=now)
    count = lot["remaining"] if amount is None else amount
    transfer_id, into_id = ids.new(), ids.new()
    shown = ids.show(ids.CREDIT_TRANSFER, transfer_id)
    spend_id = await spending.spend_of_lot(
        tx, tenant_id=tenant_id, lot_id=lot_id, amount=count, reference=f"{SPENDS.prefix}{shown}", actor=actor, now=now
    )
    ends = (lot["effective_at"], lot["expires_at"])
    await tx.execute(_GIVE, tenant_id, into_id, customer_id, lot["pool"], count, *ends, now)
    await record_movements(tx, tenant_id=tenant_id, movements=[Movement(into_id, customer_id, "adjusted", count, None)])
    owner = lot["customer_id"]
    await tx.execute(_WRITE, tenant_id, transfer_id, lot_id, into_id, spend_id, owner, customer_id, count, actor, now)
    changes: dict[str, Any] = {
        "transfer": shown,
        "from": ids.show(ids.CUSTOMER, owner),
        "to": ids.show(ids.CUSTOMER, customer_id),
        "into": ids.show(ids.LOT, into_id),
        "pool": lot["pool"],
        "amount": count,
    }
    subject = ids.show(ids.LOT, lot_id)
    changes |= {"reason": reason} if reason else {}
    await audit.record(
        tx, tenant_id=tenant_id, actor=actor, action="credits.transferred", subject=subject, changes=changes
    )
    return transfer_id


async def transfer(tx: Transaction, *, tenant_id: UUID, transfer_id: UUID) -> CreditTransfer:
    """Return one transfer. Raises CreditTransferNotFound."""
    row = await tx.fetchrow(_ONE, tenant_id, transfer_id)
    if row is None:
        shown = ids.show(ids.CREDIT_TRANSFER, transfer_id)
        raise CreditTransferNotFound(f"there is no transfer {shown}", hint="See GET /v1/credit-transfers.")
    return CreditTransfer.of(row)


async def transfers(tx: Transaction, *, tenant_id: UUID, page: Slice, given: Mapping[str, Any]) -> Part[CreditTransfer]:
    """Return transfers, newest first. given: values by filter of `TRANSFERS`."""
    return await part(tx, TRANSFERS, tenant_id=tenant_id, given=given, page=page, view=CreditTransfer.of)


def _check(lot: Mapping[str, Any], *, customer_id: UUID, now: datetime) -> None:
    if lot["customer_id"] == customer_id:
        raise CreditTransferUnfit("the credits are the customer's own already", hint="Name another customer.")
    if lot["is_suspended"]:
        raise CreditTransferUnfit("the credits are paused", hint="Wait for the end of the dispute about their payment.")
    if not lot["remaining"] or (lot["expires_at"] and lot["expires_at"] <= now):
        raise CreditTransferUnfit("nothing is left of the lot, or it has expired", hint="Choose another lot.")
