"""What was paid with nothing, and what a change of plan bought: Dodo's payments of 0, and those without a cart."""

from datetime import UTC, datetime, timedelta
from itertools import islice, permutations

import pytest

from stage import Stage, add_price, set_stage

pytestmark = pytest.mark.anyio

START = datetime(2026, 1, 5, 9, tzinfo=UTC)
CREDITS = "select coalesce(sum(granted - taken), 0)::bigint from credit_lot"
LOTS = "select count(*) from credit_lot"
FEATURES = "select key from entitlement where kind = 'feature' and status = 'active' order by key"
REASONS = "select unmatched_reason from purchase order by paid_at"


def at(days: float) -> str:
    return (START + timedelta(days=days)).isoformat()


def told(kind: str, days: float, data: dict) -> tuple[dict, str]:
    """An event, and the id that its header bears."""
    event = {"type": kind, "timestamp": at(days), "data": data | {"customer": {"customer_id": "cus_d"}}}
    return event, f"{kind}-{days}-{data.get('payment_id')}"


def paid(amount: int, days: float, **more) -> tuple[dict, str]:
    told_of = {"payment_id": f"pay_{days}", "total_amount": amount, "currency": "EUR", "created_at": at(days)}
    return told("payment.succeeded", days, told_of | {"subscription_id": "sub_d", "product_cart": None} | more)


def subscription(days: float, *, kind: str = "active", price: str = "price_member", start: float = 0, **more):
    described = {
        "subscription_id": "sub_d",
        "status": "active",
        "product_id": price,
        "quantity": 1,
        "created_at": at(0),
        "previous_billing_date": at(start),
        "next_billing_date": at(start + 30),
    }
    return told(f"subscription.{kind}", days, described | more)


def orders(reports: list) -> list[tuple]:
    """Every third of all orders, so that each report comes first and last in some."""
    return list(islice(permutations(reports), 0, None, 3))


async def dodo(db, database_url) -> Stage:
    stage = await set_stage(db, database_url, gateway="dodo")
    plus = [{"kind": "credits", "amount": 20, "pool": "classes"}, {"kind": "feature", "feature": "vip"}]
    await add_price(stage, "plus", 3000, plus, interval="month", refs=["price_plus"])
    return stage


async def tell(stage: Stage, *reports: tuple[dict, str]) -> None:
    """Tell each report on its own."""
    for event, name in reports:
        await stage.deliver(event, headers={"webhook-id": name})
        await stage.apply()


@pytest.mark.parametrize("cart", [None, [{"product_id": "price_member", "quantity": 1}]], ids=["no cart", "cart"])
async def test_a_trial_entitles_and_its_first_paid_period_grants_the_credits_once(db, database_url, cart):
    reports = [
        paid(0, 0, product_cart=cart),
        subscription(0, trial_period_days=14),
        paid(2000, 14, product_cart=cart),
        subscription(14, kind="renewed", start=14, trial_period_days=14),
    ]

    for order in orders(reports):
        stage = await dodo(db, database_url)
        await tell(stage, *order)

        assert await stage.value(CREDITS) == 8
        assert await stage.value(LOTS) == 1
        assert await stage.rows(FEATURES) == [{"key": "unlimited_likes"}]


async def test_a_payment_of_nothing_grants_no_credits_while_its_subscription_is_not_described(db, database_url):
    stage = await dodo(db, database_url)

    await tell(stage, paid(0, 0, product_cart=[{"product_id": "price_member", "quantity": 1}]))
    unknown = await stage.value(CREDITS)
    await tell(stage, subscription(0))

    assert unknown == 0
    assert await stage.value(CREDITS) == 8  # It is in no trial: a discount paid for the period.


async def test_a_sale_that_a_discount_made_free_grants_what_it_sold(db, database_url):
    stage = await dodo(db, database_url)

    free = paid(0, 0, subscription_id=None, product_cart=[{"product_id": "price_pack", "quantity": 2}])
    await tell(stage, free, free)

    assert await stage.value(CREDITS) == 20
    assert await stage.value(LOTS) == 1


async def test_a_payment_that_proves_another_card_buys_nothing(db, database_url):
    stage = await dodo(db, database_url)

    await tell(stage, subscription(0), paid(2000, 0), paid(0, 9, is_update_payment_method=True))

    assert await stage.value(CREDITS) == 8
    assert await stage.rows(REASONS) == [{"unmatched_reason": None}] * 2


async def test_a_prorated_payment_for_a_change_of_plan_settles_it_and_grants_nothing(db, database_url):
    period = {"subscription_id": "sub_d", "starts_at": at(10), "ends_at": at(30), "proration_factor": "0.6667"}
    reports = [
        subscription(0),
        paid(2000, 0),
        paid(700, 10, charge_type="plan_change", service_periods=[period]),
        subscription(10, kind="plan_changed", price="price_plus"),
    ]

    for order in orders(reports):
        stage = await dodo(db, database_url)
        await tell(stage, *order)

        assert await stage.value(CREDITS) == 8
        assert await stage.rows(FEATURES) == [{"key": "vip"}]
        assert await stage.rows(REASONS) == [{"unmatched_reason": None}] * 2


@pytest.mark.parametrize("factor", [{}, {"proration_factor": "1"}, {"proration_factor": "all"}])
async def test_a_change_of_plan_that_does_not_say_what_it_asked_for_stays_unmatched(db, database_url, factor):
    stage = await dodo(db, database_url)
    period = {"subscription_id": "sub_d", "starts_at": at(10), "ends_at": at(40)} | factor

    await tell(
        stage,
        subscription(0),
        paid(2000, 0),
        paid(3000, 10, charge_type="plan_change", service_periods=[period]),
        subscription(10, kind="plan_changed", price="price_plus", start=10),
    )

    assert await stage.value(CREDITS) == 8
    assert [row["unmatched_reason"] for row in await stage.rows(REASONS)] == [
        None,
        "it paid for a change of plan, and no report says whether for a whole period of the new one",
    ]


async def test_a_payment_beside_a_change_of_plan_is_not_read_with_the_old_plan(db, database_url):
    reports = [
        subscription(0),
        paid(2000, 0),
        paid(1300, 10),
        subscription(10 + 0.0001, kind="plan_changed", price="price_plus"),
    ]

    for order in orders(reports):
        stage = await dodo(db, database_url)
        await tell(stage, *order)

        assert await stage.value(CREDITS) == 8
        assert [row["unmatched_reason"] for row in await stage.rows(REASONS)] == [
            None,
            "the subscription's plan changed about when this was paid, and no report says which plan it paid for",
        ]


async def test_a_renewal_with_a_plan_that_was_to_change_then_is_for_the_new_one(db, database_url):
    reports = [
        subscription(0),
        paid(2000, 0),
        paid(3000, 30, charge_type="renewal"),
        subscription(30.0001, kind="renewed", price="price_plus", start=30),
    ]

    for order in orders(reports):
        stage = await dodo(db, database_url)
        await tell(stage, *order)

        assert await stage.value(CREDITS) == 28


async def test_a_change_of_plan_right_after_a_renewal_leaves_the_renewal_alone(db, database_url):
    stage = await dodo(db, database_url)

    await tell(
        stage,
        subscription(0),
        paid(2000, 0.0001),
        subscription(0.02, kind="plan_changed", price="price_plus"),
    )

    assert await stage.value(CREDITS) == 8
    assert await stage.value("select unmatched_reason from purchase") is None
