"""A subscription is changed at its gateway, once; and its renewals grant what it sells by then."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from bursar.kernel import ids
from bursar.kernel.permissions import ROLES
from changing.conftest import Club

pytestmark = pytest.mark.anyio


async def member(club: Club) -> str:
    """Let somebody have bought the silver membership, 3000 a month for 8 credits; gold is 9000 for 30."""
    silver = await club.price("silver", 3000, 8)
    await club.price("gold", 9000, 30)
    return await club.bought("silver", silver)


async def refused(club: Club, path: str, body: object = None) -> tuple[int, str]:
    """Ask for what is refused at once; return how. Nothing was asked of the gateway."""
    before = await club.stage.value("select count(*) from gateway_call")
    answer = await club.mine.post(path, body)
    assert await club.stage.value("select count(*) from gateway_call") == before
    return answer.status_code, answer.json()["code"]


async def test_a_renewal_after_a_change_grants_the_new_price(club: Club):
    sub = await member(club)
    await club.advance(32)
    assert await club.credits() == [8, 8]

    answer = await club.ask(f"/v1/subscriptions/{sub}/changes", {"price": "gold", "proration": "none"})
    await club.advance(31)

    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert (told["kind"], told["status"], told["proration"], told["quantity"]) == ("change", "done", "none", 1)
    gold = ids.show(ids.PRICE, club.stage.prices["gold"])
    assert (told["price"], (await club.subscription())["price"]) == (gold, gold)
    assert await club.credits() == [8, 8, 30]
    metadata = (await club.sandbox.done("GET", "/v1/subscriptions"))["data"][0]["metadata"]
    assert {name for name in metadata if name != "bursar_call"} == {"bursar_price", "bursar_quantity"}
    assert await club.mine.data("/v1/unmatched-payments") == []


async def test_what_settles_a_change_within_a_period_grants_nothing_twice(club: Club):
    sub = await member(club)
    await club.advance(10)
    body = {"price": "gold", "quantity": 2}
    shown = (await club.mine.post(f"/v1/subscriptions/{sub}/previews", body)).json()

    await club.ask(f"/v1/subscriptions/{sub}/changes", body | {"proration_at": shown["proration_at"]})

    bills = await club.mine.data("/v1/invoices")
    assert sorted(bill["total_minor"] for bill in bills) == sorted([3000, shown["due_now_minor"]])
    assert await club.credits() == [8]
    await club.advance(31)
    assert await club.credits() == [8, 60]


async def test_a_preview_reckons_and_changes_nothing(club: Club):
    sub = await member(club)

    answer = await club.mine.post(f"/v1/subscriptions/{sub}/previews", {"price": "gold"}, once="k1")

    assert answer.status_code == 200, answer.text
    told = answer.json()
    assert (told["currency"], told["quantity"]) == ("EUR", 1)
    assert told["due_now_minor"] == sum(line["amount_minor"] for line in told["lines"])
    assert {line["is_proration"] for line in told["lines"]} == {True}
    assert min(line["amount_minor"] for line in told["lines"]) < 0
    assert await club.stage.value("select count(*) from gateway_call") == 0
    assert await club.stage.value("select count(*) from idempotency_answer where key = 'k1'") == 0
    assert (await club.subscription())["price"] == ids.show(ids.PRICE, club.stage.prices["silver"])


async def test_a_preview_holds_no_transaction_while_the_gateway_reckons(club: Club, admin_url: str):
    sub = await member(club)
    busy: list[int] = []

    async def looking() -> None:
        while True:
            async with club.stage.db.engine() as tx:
                busy.append(
                    await tx.fetchval(
                        "select count(*) from pg_stat_activity where datname = current_database() and state = 'idle in transaction'"
                    )
                )
            await asyncio.sleep(0.05)

    await club.sandbox.control("misbehave", {"slow_s": 0.6})
    watch = asyncio.create_task(looking())
    answer = await club.mine.post(f"/v1/subscriptions/{sub}/previews", {"price": "gold"}, once="k1")
    watch.cancel()

    assert answer.status_code == 200, answer.text
    assert len(busy) > 5
    assert max(busy) == 0


async def test_a_pause_stops_renewals_and_a_resumption_begins_a_period(club: Club):
    sub = await member(club)

    paused = await club.ask(f"/v1/subscriptions/{sub}/pauses")
    await club.advance(70)

    assert (paused.status_code, paused.json()["kind"]) == (201, "pause")
    assert (await club.subscription())["status"] == "paused"
    assert await club.credits() == [8]
    assert (await refused(club, f"/v1/subscriptions/{sub}/pauses"))[1] == "subscription_state_refuses"

    resumed = await club.ask(f"/v1/subscriptions/{sub}/resumptions")

    assert resumed.status_code == 201, resumed.text
    assert (await club.subscription())["status"] == "active"
    assert await club.credits() == [8, 8]


async def test_a_cancellation_at_period_end_serves_the_period_and_renews_nothing(club: Club):
    sub = await member(club)

    ending = await club.ask(f"/v1/subscriptions/{sub}/cancellations", {"at": "period_end", "comment": "too dear"})

    assert ending.status_code == 201, ending.text
    now = await club.subscription()
    assert (now["status"], now["cancel_at_period_end"]) == ("active", True)
    again = await refused(club, f"/v1/subscriptions/{sub}/cancellations", {"at": "period_end"})
    assert again == (409, "subscription_state_refuses")
    await club.advance(40)
    assert (await club.subscription())["status"] == "canceled"
    assert await club.credits() == [8]


async def test_a_reactivation_lets_it_renew(club: Club):
    sub = await member(club)
    assert await refused(club, f"/v1/subscriptions/{sub}/reactivations") == (409, "subscription_state_refuses")
    await club.ask(f"/v1/subscriptions/{sub}/cancellations", {"at": "period_end"})

    answer = await club.ask(f"/v1/subscriptions/{sub}/reactivations")
    await club.advance(32)

    assert answer.status_code == 201, answer.text
    now = await club.subscription()
    assert (now["status"], now["cancel_at_period_end"]) == ("active", False)
    assert await club.credits() == [8, 8]


async def test_what_has_ended_takes_no_change(club: Club):
    sub = await member(club)
    ended = await club.ask(f"/v1/subscriptions/{sub}/cancellations", {"at": "now"})
    assert (ended.status_code, (await club.subscription())["status"]) == (201, "canceled")

    for act, body in (
        ("changes", {"price": "gold"}),
        ("previews", {"price": "gold"}),
        ("pauses", None),
        ("resumptions", None),
        ("cancellations", {"at": "now"}),
        ("reactivations", None),
        ("trial-extensions", {"trial_end": "2099-01-01T00:00:00Z"}),
    ):
        assert await refused(club, f"/v1/subscriptions/{sub}/{act}", body) == (409, "subscription_state_refuses"), act


async def test_a_trial_can_be_made_longer_and_not_shorter(club: Club):
    silver = await club.price("silver", 3000, 8)
    end = datetime.now(UTC).replace(microsecond=0) + timedelta(days=7)
    sub = await club.bought("silver", silver, trial_end=end)
    path = f"/v1/subscriptions/{sub}/trial-extensions"

    longer = await club.ask(path, {"trial_end": (end + timedelta(days=7)).isoformat()})

    assert longer.status_code == 201, longer.text
    assert await refused(club, path, {"trial_end": end.isoformat()}) == (409, "subscription_state_refuses")
    await club.advance(10)
    assert (await club.subscription())["status"] == "trialing"
    assert await club.credits() == []
    await club.advance(5)
    assert await club.credits() == [8]


async def test_a_price_must_recur_and_be_known_at_the_gateway(club: Club):
    sub = await member(club)
    await club.price("bronze", 1000, 2, is_here=False)
    path = f"/v1/subscriptions/{sub}/changes"

    assert await refused(club, path, {"price": "bronze"}) == (409, "price_not_at_gateway")
    assert await refused(club, path, {"price": "pack-10"}) == (422, "price_not_recurring")
    assert await refused(club, path, {"price": "nothing"}) == (404, "price_not_found")
    assert await refused(club, path, {"price": "gold", "proration": "full_now"}) == (422, "operation_unsupported")


async def test_a_change_whose_payment_fails_is_refused_and_nothing_changes(club: Club):
    sub = await member(club)
    ref = (await club.subscription())["gateway_ref"]
    customer = (await club.sandbox.done("GET", f"/v1/subscriptions/{ref}"))["customer"]
    bad = await club.sandbox.done(
        "POST", "/v1/payment_methods/pm_card_chargeCustomerFail/attach", {"customer": customer}
    )
    await club.sandbox.done("POST", f"/v1/subscriptions/{ref}", {"default_payment_method": bad["id"]})

    answer = await club.ask(f"/v1/subscriptions/{sub}/changes", {"price": "gold"}, once="again")

    assert (answer.status_code, answer.json()["code"]) == (422, "subscription_change_refused")
    assert answer.json()["context"]["gateway_code"] == "generic_decline"
    assert (await club.subscription())["price"] == ids.show(ids.PRICE, club.stage.prices["silver"])
    (listed,) = await club.mine.data("/v1/subscription-changes", subscription=sub)
    assert (listed["status"], listed["failure_code"]) == ("refused", "generic_decline")
    assert (await club.ask(f"/v1/subscriptions/{sub}/cancellations", {"at": "now"})).status_code == 201


async def test_of_twenty_changes_at_once_one_is_asked_for(club: Club):
    sub = await member(club)

    asked = [
        asyncio.create_task(club.mine.post(f"/v1/subscriptions/{sub}/changes", {"price": "gold", "quantity": n}))
        for n in range(1, 21)
    ]
    done, waiting = await asyncio.wait(asked, timeout=3)
    assert await club.stage.value("select count(*) from gateway_call") == 1
    while waiting:
        await club.work()
        _, waiting = await asyncio.wait(waiting, timeout=0.05)

    codes = sorted(task.result().json().get("code", "done") for task in asked)
    assert codes == ["done"] + ["subscription_change_open"] * 19
    assert len(done) == 19
    assert await club.stage.value("select count(*) from subscription_change where is_open") == 0


async def test_a_key_makes_a_repeat_harmless(club: Club):
    sub = await member(club)
    path, body = f"/v1/subscriptions/{sub}/changes", {"price": "gold"}

    first = await club.ask(path, body, once="k1")
    again = await club.mine.post(path, body, once="k1")

    assert (first.status_code, again.status_code, again.json()) == (201, 201, first.json())
    assert again.headers["idempotency-replayed"] == "true"
    assert await club.stage.value("select count(*) from gateway_call") == 1


async def test_nobody_else_sees_or_changes_it(club: Club):
    sub = await member(club)
    change = (await club.ask(f"/v1/subscriptions/{sub}/pauses")).json()["id"]

    theirs = club.theirs
    assert (await theirs.post(f"/v1/subscriptions/{sub}/resumptions")).status_code == 404
    assert (await theirs.post(f"/v1/subscriptions/{sub}/previews", {"price": "gold"})).status_code == 404
    assert (await theirs.get(f"/v1/subscription-changes/{change}")).status_code == 404
    assert await theirs.data("/v1/subscription-changes") == []


def test_owner_admin_and_finance_may_change_subscriptions():
    assert {role for role, held in ROLES.items() if "subscriptions:write" in held} == {"owner", "admin", "finance"}
