"""The fulfiller `fee`: money that arrived for a fee pays it, once; what no fee is owed for goes back.

Which fee it is for, its order says, which the gateway's own reports name.

- owed: it is paid; paid twice, waived or withdrawn meanwhile, or too little: the money goes back;
- given back by us: it is refunded, and owed no more; taken back by the customer's bank, or found to be for something else: owed again;
- for no fee that is known: it waits an hour for a report that says otherwise, and then goes back.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, get_args
from uuid import UUID

from bursar.apps.booking.fees.models import COLUMNS, Fee, FeeKind, fee_read
from bursar.apps.booking.fees.raising import RETURN, tell
from bursar.apps.booking.returns import ask_back
from bursar.kernel import jobs
from bursar.kernel.db import Transaction
from bursar.kernel.errors import FieldError
from bursar.money.fulfilment import Change, GrantStatus
from bursar.money.fulfilment.fulfillers import SpecInvalid
from bursar.money.payments.brought import Brought, brought_by

SETTLE: Final = "fees.settle"
POLICY: Final = "policy:fees"
WAITS_FOR: Final = timedelta(hours=1)
"""How long money waits for the report that says what it is for."""

_ENDED: Final = (GrantStatus.revoked, GrantStatus.superseded)

_OF_ORDERS = "select order_id, fee_id from booking_fee_order where tenant_id = $1 and order_id = any($2::uuid[])"
_FEES = f"""
select {COLUMNS} from booking_fee where tenant_id = $1 and (id = any($2::uuid[]) or grant_id = any($3::uuid[]))
order by id for no key update
"""
_PAY = f"""
update booking_fee set status = 'paid', grant_id = $3, ended_at = $4, ended_by = '{POLICY}', version = version + 1
where tenant_id = $1 and id = $2 and status = 'open'
returning {COLUMNS}
"""
_REFUNDED = f"""
update booking_fee set status = 'refunded', ended_at = $3, ended_by = '{POLICY}', version = version + 1
where tenant_id = $1 and id = $2 and status = 'paid'
returning {COLUMNS}
"""
_REOPEN = f"""
update booking_fee set status = 'open', grant_id = null, opened_at = $3, ended_at = null, ended_by = null, version = version + 1
where tenant_id = $1 and id = $2 and status = 'paid'
returning {COLUMNS}
"""
_GRANT = "select source_id, status from fulfilment_grant where tenant_id = $1 and id = $2"
_PAYS = "select exists (select from booking_fee where tenant_id = $1 and grant_id = $2 and status = 'paid')"


@dataclass(frozen=True, slots=True)
class Granted:
    """A grant of a fee as it now is."""

    id: UUID
    purchase_id: UUID
    status: GrantStatus


class Fees:
    """Delivers `{"kind": "fee", "of": "no_show"}`: the fee that the purchase's order is for. Fees make such prices by themselves."""

    kind = "fee"
    is_standing = False

    def checked(self, spec: dict[str, Any]) -> dict[str, Any]:
        if set(spec) - {"of"} or spec.get("of") not in get_args(FeeKind):
            wrong = FieldError("of", "invalid", f"one of {', '.join(get_args(FeeKind))}, and nothing else")
            raise SpecInvalid("a fee says what it is of, and nothing else", fields=(wrong,))
        return {"of": spec["of"]}

    async def deliver(self, tx: Transaction, *, tenant_id: UUID, changes: Sequence[Change], now: datetime) -> None:
        granted = [Granted(c.grant.id, c.target.source_id, c.target.status) for c in changes]
        await settle(tx, tenant_id=tenant_id, granted=granted, now=now)


async def settle(
    tx: Transaction, *, tenant_id: UUID, granted: Sequence[Granted], now: datetime, is_last: bool = False
) -> None:
    """Bring fees to what the money for them now is. Harmless when repeated. is_last: what names no fee by now goes back."""
    money = await brought_by(tx, tenant_id=tenant_id, purchase_ids=[each.purchase_id for each in granted])
    named = await _named(tx, tenant_id=tenant_id, money=money)
    wanted = sorted({fee_id for its in named.values() for fee_id in its})
    rows = await tx.fetch(_FEES, tenant_id, wanted, [each.id for each in granted])
    fees = {row["id"]: fee_read(row) for row in rows}
    later: list[jobs.NewJob] = []
    # Those that let go of a fee first, so that another may pay it.
    for each in sorted(granted, key=lambda g: (g.status not in _ENDED, g.id)):
        own = next((fee for fee in fees.values() if fee.grant_id == each.id), None)
        if each.status in _ENDED:
            if own and own.status == "paid":
                is_lost = each.status is GrantStatus.superseded or money[each.purchase_id].lost_minor > 0
                fees[own.id] = await _let_go(tx, tenant_id=tenant_id, fee=own, is_owed=is_lost, now=now)
            continue
        if own or each.status is GrantStatus.suspended:
            continue
        its = [fees[fee_id] for fee_id in named.get(each.purchase_id, ()) if fee_id in fees]
        fee = next((fee for fee in its if fee.status == "open"), None)
        if fee and _suffices(fee, money[each.purchase_id]):
            fees[fee.id] = await _pay(tx, tenant_id=tenant_id, fee=fee, grant_id=each.id, now=now)
        elif its or is_last:
            later.append(jobs.NewJob(RETURN, str(each.id)))
        else:
            later.append(jobs.NewJob(SETTLE, str(each.id), run_at=now + WAITS_FOR))
    if later:
        await jobs.enqueue_all(tx, tenant_id=tenant_id, jobs=later)


async def settle_again(work: jobs.Work) -> None:
    """Look again at money that named no fee, and let it go back if it still does not."""
    tenant_id, grant_id = work.job.tenant_id, UUID(work.job.key)
    async with work.finish() as tx:
        grant = await tx.fetchrow(_GRANT, tenant_id, grant_id)
        granted = Granted(grant_id, grant["source_id"], GrantStatus(grant["status"]))
        await settle(tx, tenant_id=tenant_id, granted=[granted], now=work.resources.now(), is_last=True)


async def return_money(work: jobs.Work) -> None:
    """Ask for the refund of money that pays no fee, once."""
    tenant_id, grant_id = work.job.tenant_id, UUID(work.job.key)
    async with work.finish() as tx:
        grant = await tx.fetchrow(_GRANT, tenant_id, grant_id)
        if GrantStatus(grant["status"]) in _ENDED or await tx.fetchval(_PAYS, tenant_id, grant_id):
            return
        await ask_back(
            tx,
            work,
            grant_id=grant_id,
            purchase_id=grant["source_id"],
            reason="the fee is owed no more",
            actor=POLICY,
        )


async def _named(tx: Transaction, *, tenant_id: UUID, money: Mapping[UUID, Brought]) -> dict[UUID, list[UUID]]:
    """Return the fees that purchases are for."""
    order_ids = sorted({order_id for each in money.values() for order_id in each.order_ids})
    found = {row["order_id"]: row["fee_id"] for row in await tx.fetch(_OF_ORDERS, tenant_id, order_ids)}
    return {purchase: [found[o] for o in each.order_ids if o in found] for purchase, each in money.items()}


def _suffices(fee: Fee, money: Brought) -> bool:
    return money.currency == fee.currency and money.net_minor >= fee.amount_minor


async def _pay(tx: Transaction, *, tenant_id: UUID, fee: Fee, grant_id: UUID, now: datetime) -> Fee:
    done = fee_read(await tx.fetchrow(_PAY, tenant_id, fee.id, grant_id, now))
    await tell(tx, tenant_id=tenant_id, topic="booking_fee.paid", made=done, actor=POLICY)
    return done


async def _let_go(tx: Transaction, *, tenant_id: UUID, fee: Fee, is_owed: bool, now: datetime) -> Fee:
    """Let a fee be without the payment that it had. is_owed: the money did not go back because we gave it."""
    done = fee_read(await tx.fetchrow(_REOPEN if is_owed else _REFUNDED, tenant_id, fee.id, now))
    topic = "booking_fee.reopened" if is_owed else "booking_fee.refunded"
    await tell(tx, tenant_id=tenant_id, topic=topic, made=done, actor=POLICY)
    return done


KINDS: Final = (jobs.Kind(SETTLE, settle_again), jobs.Kind(RETURN, return_money))
