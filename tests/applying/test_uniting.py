"""Two purchases that turn out to be one sale: what was spent of either was spent of the one."""

from datetime import UTC, datetime

import asyncpg
import pytest

from bursar.bootstrap import registry
from bursar.money.fulfilment.returning import give_back
from bursar.money.fulfilment.spending import spend
from bursar.operations.verify import standing_kinds, verify
from stage import MEMBERSHIP, Stage, event, intent, invoice, set_stage

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
BALANCE = "select sum(remaining)::bigint as left, sum(shortfall)::bigint as short from credit_lot"

PAYMENT = event(
    "payment_intent.succeeded", intent(amount=2000, amount_received=2000, metadata={"bursar_price": MEMBERSHIP})
)
INVOICE = event("invoice.paid", invoice(layout="new"))
LINK = event(
    "invoice_payment.paid",
    {
        "id": "inpay_1",
        "object": "invoice_payment",
        "invoice": "in_1",
        "payment": {"type": "payment_intent", "payment_intent": "pi_1"},
    },
)


async def use(stage: Stage, amount: int, reference: str):
    customer = await stage.value("select id from customer where gateway_ref = 'cus_ann'")
    async with stage.db.tenant(stage.tenant_id) as tx:
        return await spend(
            tx,
            tenant_id=stage.tenant_id,
            customer_id=customer,
            pool="classes",
            amount=amount,
            reference=reference,
            actor="test",
            now=NOON,
        )


async def sold_twice(db, database_url, reports, *, amount: int):
    """Tell of one sale as of two, and spend of what both granted."""
    stage = await set_stage(db, database_url)
    for report in reports:
        await stage.tell(report)
    spent = await use(stage, amount, "class-1")
    return stage, spent


async def broken(stage: Stage) -> list[str]:
    connection = await asyncpg.connect(stage.url)
    verified = await verify(connection, stage.tenant_id, standing_kinds=standing_kinds(registry()))
    await connection.close()
    return [finding.name for finding in verified.invariants if not finding.ok]


@pytest.mark.parametrize("reports", [(PAYMENT, INVOICE), (INVOICE, PAYMENT)], ids=["payment first", "invoice first"])
@pytest.mark.parametrize(("amount", "left_and_short"), [(3, (5, 0)), (8, (0, 0)), (11, (0, 3)), (16, (0, 8))])
async def test_spent_credits_of_a_twin_are_spent_of_the_one_sale(db, database_url, reports, amount, left_and_short):
    stage, _ = await sold_twice(db, database_url, reports, amount=amount)

    await stage.tell(LINK)
    await stage.tell(LINK | {"id": "evt_again"})

    assert tuple((await stage.row(BALANCE)).values()) == left_and_short
    assert await broken(stage) == []


@pytest.mark.parametrize("reports", [(PAYMENT, INVOICE), (INVOICE, PAYMENT)], ids=["payment first", "invoice first"])
async def test_what_is_given_back_after_the_uniting_is_whole_again(db, database_url, reports):
    stage, spent = await sold_twice(db, database_url, reports, amount=11)

    await stage.tell(LINK)
    async with db.tenant(stage.tenant_id) as tx:
        await give_back(tx, tenant_id=stage.tenant_id, spend_id=spent.id, actor="test")

    assert await stage.row(BALANCE) == {"left": 8, "short": 0}
    assert await broken(stage) == []


@pytest.mark.parametrize("reports", [(PAYMENT, INVOICE), (INVOICE, PAYMENT)], ids=["payment first", "invoice first"])
@pytest.mark.parametrize(("more", "left_and_short"), [(3, (5, 0)), (8, (0, 0))])
async def test_what_was_spent_of_the_twin_alone_is_carried_to_the_lot_that_stays(
    db, database_url, reports, more, left_and_short
):
    stage, first = await sold_twice(db, database_url, reports, amount=8)
    await use(stage, more, "class-2")
    async with db.tenant(stage.tenant_id) as tx:
        await give_back(tx, tenant_id=stage.tenant_id, spend_id=first.id, actor="test")

    await stage.tell(LINK)

    assert tuple((await stage.row(BALANCE)).values()) == left_and_short
    assert await broken(stage) == []
