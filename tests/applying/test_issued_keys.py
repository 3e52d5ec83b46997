"""Licence keys that Dodo issued follow the payment that they were issued for, whichever is told first."""

from itertools import permutations

import pytest

from stage import Stage, set_stage

pytestmark = pytest.mark.anyio

STATUS = "select status from licence where gateway_ref = 'lic_1'"
PAID = {"payment_id": "pay_1", "total_amount": 5000, "currency": "EUR", "created_at": "2026-01-05T09:00:00Z"}
KEY = {"id": "lic_1", "key": "AAAA-BBBB", "status": "active", "payment_id": "pay_1", "product_id": "price_pack"}
REFUND = {"refund_id": "ref_1", "payment_id": "pay_1", "currency": "EUR"}
DISPUTE = {"dispute_id": "dsp_1", "payment_id": "pay_1", "amount": "5000", "currency": "EUR"}


def told(kind: str, day: int, data: dict) -> dict:
    at = f"2026-01-{day:02d}T09:00:00Z"
    return {"type": kind, "timestamp": at, "data": {"customer": {"customer_id": "cus_d"}, "created_at": at} | data}


SOLD = told("payment.succeeded", 5, PAID | {"product_cart": [{"product_id": "price_pack", "quantity": 1}]})
ISSUED = told("license_key.created", 5, KEY)


async def tell(stage: Stage, *reports: dict) -> None:
    for report in reports:
        name = f"{report['type']}-{report['timestamp']}"
        await stage.deliver(report, headers={"webhook-id": name})
        await stage.apply()


@pytest.mark.parametrize(
    ("report", "status"),
    [
        (told("refund.succeeded", 9, REFUND | {"amount": 5000}), "revoked"),
        (told("refund.succeeded", 9, REFUND | {"amount": 4999}), "active"),
        (told("refund.failed", 9, REFUND | {"amount": 5000}), "active"),
        (told("dispute.opened", 9, DISPUTE), "suspended"),
        (told("dispute.lost", 9, DISPUTE), "revoked"),
        (told("dispute.won", 9, DISPUTE), "active"),
    ],
    ids=lambda value: value if isinstance(value, str) else value["type"],
)
async def test_an_issued_key_follows_its_payment_in_any_order(db, database_url, report, status):
    for order in permutations([SOLD, ISSUED, report]):
        stage = await set_stage(db, database_url, gateway="dodo")
        await tell(stage, *order)

        assert await stage.value(STATUS) == status


async def test_a_key_comes_back_when_the_refund_was_sent_back(db, database_url):
    stage = await set_stage(db, database_url, gateway="dodo")

    await tell(stage, SOLD, ISSUED, told("refund.succeeded", 9, REFUND | {"amount": 5000}))
    returned = await stage.value(STATUS)
    await tell(stage, told("refund.failed", 12, REFUND | {"amount": 5000}))

    assert returned == "revoked"
    assert await stage.value(STATUS) == "active"


async def test_a_key_that_dodo_disabled_stays_so_whatever_its_payment_does(db, database_url):
    stage = await set_stage(db, database_url, gateway="dodo")

    await tell(stage, SOLD, told("license_key.created", 5, KEY | {"status": "disabled"}))
    await tell(stage, told("dispute.opened", 9, DISPUTE), told("dispute.won", 12, DISPUTE))

    assert await stage.value(STATUS) == "revoked"
