"""What is taken back when money goes back, and given back when the money comes back."""

import pytest

from stage import MEMBERSHIP, PACK, add_price, charge, event, intent, invoice, refund, session, set_stage, subscription

pytestmark = pytest.mark.anyio

LOT = "select taken, remaining, shortfall, is_suspended from credit_lot"


def dispute(status: str, **more) -> dict:
    return {
        "id": "dp_1",
        "object": "dispute",
        "status": status,
        "amount": 5000,
        "currency": "eur",
        "charge": "ch_1",
        "payment_intent": "pi_1",
        "reason": "fraudulent",
        "created": 1_760_000_200,
        "evidence_details": {"due_by": 1_761_000_000},
    } | more


async def bought(db, url):
    stage = await set_stage(db, url)
    await stage.tell(event("checkout.session.completed", session()), event("charge.succeeded", charge()))
    return stage


async def test_an_open_dispute_suspends_and_a_won_one_restores(db, database_url):
    stage = await bought(db, database_url)

    await stage.tell(event("charge.dispute.created", dispute("needs_response"), at=1_760_000_200))
    open_lot = await stage.row(LOT)
    await stage.tell(event("charge.dispute.closed", dispute("won"), at=1_760_000_300))

    assert open_lot == {"taken": 0, "remaining": 10, "shortfall": 0, "is_suspended": True}
    assert await stage.row(LOT) == {"taken": 0, "remaining": 10, "shortfall": 0, "is_suspended": False}


async def test_a_lost_dispute_revokes_and_a_delayed_report_does_not_reopen_it(db, database_url):
    stage = await bought(db, database_url)

    await stage.tell(event("charge.dispute.closed", dispute("lost"), at=1_760_000_300))
    await stage.tell(event("charge.dispute.updated", dispute("under_review"), at=1_760_000_400))

    assert await stage.row(LOT) == {"taken": 10, "remaining": 0, "shortfall": 0, "is_suspended": False}
    assert await stage.value("select status from dispute") == "lost"
    assert await stage.value("select is_disputed from payment") is False


async def test_funds_withdrawn_and_reinstated_balance_in_the_books(db, database_url):
    stage = await bought(db, database_url)

    await stage.tell(event("charge.dispute.funds_withdrawn", dispute("needs_response"), at=1_760_000_200))
    withdrawn = await stage.value("select balance_minor from ledger_balance where account = 'disputes'")
    await stage.tell(event("charge.dispute.funds_reinstated", dispute("won"), at=1_760_000_300))

    assert withdrawn == 5000
    assert await stage.value("select balance_minor from ledger_balance where account = 'disputes'") == 0
    assert await stage.row("select withdrawn_minor, reinstated_minor from dispute") == {
        "withdrawn_minor": 5000,
        "reinstated_minor": 5000,
    }


async def test_a_refund_that_fails_gives_back_what_it_took(db, database_url):
    stage = await bought(db, database_url)

    await stage.tell(event("refund.created", refund(amount=5000), at=1_760_000_100))
    taken = await stage.value("select taken from credit_lot")
    await stage.tell(event("refund.failed", refund(amount=5000, status="failed"), at=1_760_000_200))

    assert taken == 10
    assert await stage.row(LOT) == {"taken": 0, "remaining": 10, "shortfall": 0, "is_suspended": False}
    assert await stage.value("select status from fulfilment_grant") == "active"
    assert await stage.value("select refunded_minor from payment") == 0


async def test_a_charge_that_reports_more_than_the_known_refunds_counts_the_rest_once(db, database_url):
    stage = await bought(db, database_url)

    await stage.tell(event("charge.refunded", charge(amount_refunded=2500), at=1_760_000_150))
    before = await stage.value("select refunded_minor from payment")
    await stage.tell(event("refund.created", refund(amount=2500), at=1_760_000_150))

    assert before == 2500
    assert await stage.value("select refunded_minor from payment") == 2500
    assert await stage.value("select balance_minor from ledger_balance where account = 'refunds'") == 2500


async def test_a_refund_told_before_its_payment_takes_back_as_one_told_after(db, database_url):
    stage = await set_stage(db, database_url)

    await stage.tell(event("refund.created", refund(amount=2500)))
    early = await stage.row("select status, amount_minor from payment")
    await stage.tell(event("checkout.session.completed", session()), event("charge.succeeded", charge()))

    assert early["status"] == "pending"
    assert await stage.row(LOT) == {"taken": 5, "remaining": 5, "shortfall": 0, "is_suspended": False}


async def test_what_was_spent_before_it_was_taken_back_is_a_visible_shortfall(db, database_url):
    stage = await bought(db, database_url)
    await stage.rows("update credit_lot set spent = 7 returning id")

    await stage.tell(event("refund.created", refund(amount=5000)))

    assert await stage.row(LOT) == {"taken": 10, "remaining": 0, "shortfall": 7, "is_suspended": False}


@pytest.mark.parametrize(("recovers", "left", "short"), [(False, 20, 7), (True, 13, 0)])
async def test_a_shortfall_is_made_good_by_the_next_grant_only_if_its_price_says_so(
    db, database_url, recovers, left, short
):
    stage = await bought(db, database_url)
    await add_price(
        stage, "pack-20", 9000, [{"kind": "credits", "amount": 20, "pool": "classes"}], refs=[], recovers=recovers
    )
    await stage.rows("update credit_lot set spent = 7 returning id")
    await stage.tell(event("refund.created", refund(amount=5000)))

    await stage.tell(
        event("checkout.session.completed", session("2", amount_total=9000, metadata={"bursar_price": "pack-20"}))
    )

    assert await stage.value("select sum(remaining)::bigint from credit_lot") == left
    assert await stage.value("select sum(shortfall)::bigint from credit_lot") == short


async def test_an_authorisation_that_is_not_captured_is_no_payment_and_its_release_no_refund(db, database_url):
    stage = await set_stage(db, database_url)
    held = charge(captured=False, amount_captured=0)

    await stage.tell(
        event("payment_intent.amount_capturable_updated", intent(status="requires_capture", amount_received=0))
    )
    await stage.tell(event("charge.succeeded", held))
    await stage.tell(event("charge.refunded", held | {"amount_refunded": 5000, "refunded": True}, at=1_760_000_500))

    assert await stage.value("select status from payment") == "processing"
    assert await stage.rows("select account from ledger_balance") == []
    assert await stage.value("select count(*) from fulfilment_grant") == 0


FEATURE = "select status, ends_at is null as is_open from entitlement where kind = 'feature'"


async def member(db, url):
    stage = await set_stage(db, url)
    await stage.tell(event("customer.subscription.created", subscription()), event("invoice.paid", invoice()))
    return stage


async def test_a_membership_grants_its_feature_once_and_its_credits_with_each_paid_period(db, database_url):
    stage = await member(db, database_url)
    second = invoice("2", billing_reason="subscription_cycle")

    await stage.tell(
        event("invoice.paid", second, at=1_762_592_000), event("invoice.payment_succeeded", second, at=1_762_592_000)
    )

    assert await stage.row(FEATURE) == {"status": "active", "is_open": True}
    assert await stage.value("select count(*) from credit_lot") == 2
    assert await stage.value("select lookup_key from price p join subscription s on s.price_id = p.id") == MEMBERSHIP


@pytest.mark.parametrize(
    ("change", "status", "is_open"),
    [
        ({"cancel_at_period_end": True}, "active", False),
        ({"status": "past_due"}, "active", False),
        ({"status": "unpaid"}, "active", False),
        ({"status": "paused"}, "suspended", True),
        ({"status": "canceled", "canceled_at": 1_760_500_000, "ended_at": 1_760_500_000}, "active", False),
    ],
)
async def test_a_feature_ends_with_its_subscription(db, database_url, change, status, is_open):
    stage = await member(db, database_url)

    await stage.tell(event("customer.subscription.updated", subscription(**change), at=1_760_600_000))

    assert await stage.row(FEATURE) == {"status": status, "is_open": is_open}


async def test_a_canceled_subscription_is_not_reopened_by_a_delayed_report(db, database_url):
    stage = await set_stage(db, database_url)
    gone = subscription("canceled", canceled_at=1_760_500_000, ended_at=1_760_500_000)

    await stage.tell(event("customer.subscription.deleted", gone, at=1_760_500_000))
    await stage.tell(event("customer.subscription.updated", subscription(), at=1_760_700_000))

    assert await stage.value("select status from subscription") == "canceled"


async def test_a_subscription_that_ended_as_planned_goes_on_saying_so(db, database_url):
    stage = await set_stage(db, database_url)
    gone = subscription("canceled", cancel_at_period_end=True, ended_at=1_762_592_000)

    await stage.tell(event("customer.subscription.deleted", gone, at=1_762_592_000))

    assert await stage.row("select status, cancel_at_period_end from subscription") == {
        "status": "canceled",
        "cancel_at_period_end": True,
    }


async def test_an_authorisation_that_was_given_back_is_canceled_and_returned_nothing(db, database_url):
    stage = await set_stage(db, database_url)
    held = {"payment_intent": None, "captured": False}

    await stage.tell(event("charge.succeeded", charge(**held)))
    before = await stage.value("select status from payment")
    await stage.tell(event("charge.refunded", charge(**held, refunded=True, amount_refunded=5000), at=1_760_000_300))

    assert before == "processing"
    assert await stage.row("select status, refunded_minor from payment") == {"status": "canceled", "refunded_minor": 0}
    assert await stage.value("select count(*) from credit_lot") == 0


async def test_a_full_refund_of_the_latest_period_revokes_the_feature(db, database_url):
    stage = await member(db, database_url)

    await stage.tell(event("refund.created", refund(amount=2000)))

    assert (await stage.row(FEATURE))["status"] == "revoked"
    assert await stage.value("select remaining from credit_lot") == 0


async def test_a_change_of_plan_supersedes_the_old_plans_feature(db, database_url):
    stage = await member(db, database_url)
    await add_price(
        stage, "gold", 9000, [{"kind": "feature", "feature": "gold"}], interval="month", refs=["price_gold"]
    )
    items = {"object": "list", "data": [{"id": "si_1", "quantity": 1, "price": {"id": "price_gold"}}]}

    await stage.tell(event("customer.subscription.updated", subscription(items=items), at=1_760_800_000))

    assert await stage.rows("select key, status from entitlement order by key") == [
        {"key": "gold", "status": "active"},
        {"key": "unlimited_likes", "status": "superseded"},
    ]


async def test_a_trial_entitles_but_grants_no_credits(db, database_url):
    stage = await set_stage(db, database_url)
    free = invoice(total=0, amount_due=0, amount_paid=0, payment_intent=None, charge=None)
    free["lines"]["data"][0]["amount"] = 0

    await stage.tell(event("customer.subscription.created", subscription("trialing", trial_end=1_761_000_000)))
    await stage.tell(event("invoice.paid", free))

    assert await stage.row(FEATURE) == {"status": "active", "is_open": True}
    assert await stage.value("select count(*) from credit_lot") == 0
    assert await stage.value("select count(*) from payment") == 0
    assert PACK in stage.prices
