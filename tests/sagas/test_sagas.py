"""Several calls that belong together: done, undone in reverse, or laid before a person with what to do."""

from typing import Any

import httpx2
import pytest

from bursar.kernel import ids
from bursar.money.sagas import kinds
from pages.visitors import Visitor, key_of
from sagas.conftest import Scene

pytestmark = pytest.mark.anyio

CHANGE, REFUND = "change_subscription", "create_refund"
ENDING, END, RENEW = "cancel_subscription_at_period_end", "cancel_subscription_now", "reactivate_subscription"
SILVER = {"price": "silver"}


def price(scene: Scene, key: str) -> str:
    return ids.show(ids.PRICE, scene.club.stage.prices[key])


async def test_a_cheaper_price_and_the_difference_back(scene: Scene):
    preview = SILVER | {"proration": "next_invoice", "proration_at": scene.middle}
    shown = (await scene.club.mine.post(f"/v1/subscriptions/{scene.sub}/previews", preview)).json()
    difference = -sum(line["amount_minor"] for line in shown["lines"] if line["is_proration"])

    answer = await scene.ask("refunded-changes", SILVER, once="k1")
    again = await scene.ask("refunded-changes", SILVER, once="k1")

    assert answer.status_code == 201, answer.text
    told = answer.json()
    assert (told["state"], told["amount_minor"], told["currency"]) == ("completed", 3000, "EUR")
    assert difference == 3000
    assert [(step["name"], step["state"], step["call_state"], step["amount_minor"]) for step in told["steps"]] == [
        ("change", "done", "succeeded", None),
        ("refund", "done", "succeeded", 3000),
    ]
    assert (again.status_code, again.json()) == (201, told)
    payment = await scene.club.mine.one("/v1/payments")
    assert (payment["id"], payment["refunded_minor"]) == (told["payment"], 3000)
    assert (await scene.club.subscription())["price"] == price(scene, "silver")
    assert (await scene.refunds(), scene.fortune.sent) == ([3000], [CHANGE, REFUND])
    assert await scene.broken() == []


async def test_a_refused_refund_changes_back(scene: Scene):
    scene.fortune.refused = [REFUND]

    answer = await scene.ask("refunded-changes", SILVER)

    assert (answer.status_code, answer.json()["code"]) == (422, "saga_compensated")
    assert answer.json()["context"]["gateway_code"] == "no_reason"
    assert await scene.steps() == [("change", "done"), ("refund", "refused"), ("change_back", "done")]
    assert (await scene.club.subscription())["price"] == price(scene, "gold")
    assert (await scene.refunds(), scene.fortune.sent) == ([], [CHANGE, REFUND, CHANGE])
    assert await scene.club.stage.value("select promised_minor from payment") == 0
    assert (await scene.saga())["state"] == "compensated"
    assert await scene.broken() == []


async def test_a_refused_change_leaves_nothing_to_undo(scene: Scene):
    scene.fortune.refused = [CHANGE]

    answer = await scene.ask("refunded-changes", SILVER)

    assert (answer.status_code, answer.json()["code"]) == (422, "saga_compensated")
    assert await scene.steps() == [("change", "refused"), ("refund", "skipped")]
    assert scene.fortune.sent == [CHANGE]
    assert await scene.broken() == []


async def test_what_cannot_be_undone_is_told_with_all_that_a_person_needs_and_settled_by_a_word(scene: Scene):
    scene.fortune.refused = [REFUND]
    execute = scene.fortune.execute

    async def refused_later(call: Any, **how: Any) -> Any:
        if call.operation == REFUND:
            scene.fortune.refused.append(CHANGE)
        return await execute(call, **how)

    scene.fortune.execute = refused_later  # type: ignore[method-assign]
    answer = await scene.ask("refunded-changes", SILVER)
    saga = await scene.saga()
    mine, path = scene.club.mine, f"/v1/sagas/{saga['id']}"

    assert (answer.status_code, answer.json()["code"]) == (422, "saga_needs_hands")
    assert await scene.steps() == [("change", "done"), ("refund", "refused"), ("change_back", "refused")]
    payment, sub = await mine.one("/v1/payments"), await scene.club.subscription()
    for word in (
        "30.00 EUR",
        saga["customer"],
        payment["id"],
        payment["gateway_ref"],
        sub["gateway_ref"],
        price(scene, "gold"),
    ):
        assert word in saga["what_to_do"], word
    assert await mine.one("/v1/sagas", state="needs_hands") == saga
    assert await scene.broken() == []

    transport = httpx2.ASGITransport(scene.club.app, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="https://bursar.test") as http:
        desk = Visitor(scene.club.stage, await key_of(scene.club.stage), http)
        assert (await desk.sign_in()).status_code == 303
        listed, overview = await desk.page("/sagas"), await desk.page("/")
        story = await desk.page(f"/sagas/{saga['id']}")
        silent = await desk.post(f"/sagas/{saga['id']}/settle", {"note": " "})
    assert "Needs a person" in listed
    assert "Unfinished business" in overview
    assert payment["gateway_ref"] in story
    assert (silent.status_code, (await mine.get(path)).json()["state"]) == (422, "needs_hands")

    settled = await mine.post(f"{path}/settlements", {"note": "refunded 30.00 EUR by bank"})
    again = await mine.post(f"{path}/settlements", {"note": "once more"})
    assert (settled.status_code, settled.json()["state"], settled.json()["what_to_do"]) == (201, "settled", None)
    assert (again.status_code, again.json()["code"]) == (409, "saga_not_for_hands")
    assert (await mine.one("/v1/audit-records", action="saga.settled"))["subject"] == saga["id"]
    assert (await scene.club.theirs.get(path)).status_code == 404
    assert (await scene.club.theirs.post(f"{path}/settlements", {"note": "not mine"})).status_code == 404
    assert await scene.club.theirs.data("/v1/sagas") == []


@pytest.mark.parametrize("operation", [CHANGE, REFUND])
async def test_a_lost_answer_stops_it_until_the_effect_is_found(scene: Scene, operation: str):
    scene.attempts_max, scene.fortune.lost = 1, [operation]

    answer = await scene.ask("refunded-changes", SILVER)
    stuck = await scene.saga()
    broken = await scene.broken()
    await scene.look()
    await scene.work()
    await scene.hear()

    assert (answer.status_code, stuck["state"]) == (202, "stuck")
    lost = next(step for step in stuck["steps"] if step["state"] == "unknown")
    assert f"/v1/gateway-calls/{lost['gateway_call']}/looks" in stuck["what_to_do"]
    assert broken == []
    assert (await scene.saga())["state"] == "completed"
    assert (await scene.refunds(), scene.fortune.sent) == ([3000], [CHANGE, REFUND])
    assert await scene.broken() == []


async def test_what_surely_was_not_done_is_refused_and_the_rest_undone(scene: Scene):
    scene.attempts_max, scene.fortune.unsent = 1, [REFUND]

    await scene.ask("refunded-changes", SILVER)
    before = (await scene.saga())["state"]
    await scene.look()

    assert before == "stuck"
    assert await scene.steps() == [("change", "done"), ("refund", "refused"), ("change_back", "done")]
    assert (await scene.saga())["steps"][1]["error_code"] == "not_done"
    assert (await scene.club.subscription())["price"] == price(scene, "gold")
    assert await scene.refunds() == []
    assert await scene.broken() == []


async def test_a_state_that_is_not_there_proves_nothing_and_waits_for_a_person(scene: Scene):
    scene.attempts_max, scene.fortune.unsent = 1, [CHANGE]

    await scene.ask("refunded-changes", SILVER)
    await scene.look()

    assert ((await scene.saga())["state"], scene.fortune.sent) == ("stuck", [CHANGE])
    call = (await scene.saga())["steps"][0]["gateway_call"]
    scene.attempts_max = 12
    assert (await scene.club.mine.post(f"/v1/gateway-calls/{call}/looks")).status_code == 202
    assert await scene.broken() == []
    await scene.work()
    await scene.hear()
    assert (await scene.saga())["state"] == "completed"


@pytest.mark.parametrize("where", [CHANGE, REFUND, "between"])
async def test_a_worker_that_dies_between_two_lines_is_healed_by_the_next(
    scene: Scene, monkeypatch: pytest.MonkeyPatch, where: str
):
    ask_refund, died = kinds.refunding.ask_refund, []

    async def dies_once(*given: Any, **more: Any) -> Any:
        asked = await ask_refund(*given, **more)
        if where == "between" and not died:
            died.append(1)
            raise RuntimeError("the process fails before the outcome and the next step are committed")
        return asked

    monkeypatch.setattr(kinds.refunding, "ask_refund", dies_once)
    scene.fortune.killed = [where]

    answer = await scene.ask("refunded-changes", SILVER)

    assert (answer.status_code, answer.json()["state"]) == (201, "completed")
    assert len(scene.fortune.sent) == 3
    assert await scene.refunds() == [3000]
    assert await scene.club.stage.value("select count(*) from gateway_call") == 2
    assert await scene.club.stage.value("select sum(promised_minor) from payment") == 0
    assert await scene.broken() == []


async def test_an_end_at_once_gives_back_what_was_not_used(scene: Scene):
    answer = await scene.ask("refunded-cancellations", {})

    assert answer.status_code == 201, answer.text
    assert answer.json()["amount_minor"] == 4500
    assert await scene.steps() == [("end_with_period", "done"), ("refund", "done"), ("cancel_now", "done")]
    assert ((await scene.club.subscription())["status"], await scene.refunds()) == ("canceled", [4500])
    assert await scene.broken() == []


async def test_a_refused_refund_lets_a_subscription_renew_again(scene: Scene):
    scene.fortune.refused = [REFUND]

    answer = await scene.ask("refunded-cancellations", {"refund_minor": 1250})

    assert (answer.status_code, answer.json()["code"]) == (422, "saga_compensated")
    assert scene.fortune.sent == [ENDING, REFUND, RENEW]
    now = await scene.club.subscription()
    assert (now["status"], now["cancel_at_period_end"]) == ("active", False)
    assert await scene.broken() == []


async def test_behind_the_refund_there_is_no_way_back(scene: Scene):
    ending = {"at": "period_end"}
    assert (await scene.club.ask(f"/v1/subscriptions/{scene.sub}/cancellations", ending)).status_code == 201
    scene.fortune.refused = [END]

    answer = await scene.ask("refunded-cancellations", {"refund_minor": 1250})

    assert (answer.status_code, answer.json()["code"]) == (422, "saga_needs_hands")
    assert await scene.steps() == [("end_with_period", "skipped"), ("refund", "done"), ("cancel_now", "refused")]
    assert await scene.refunds() == [1250]
    assert "12.50 EUR" in (await scene.saga())["what_to_do"]
    assert "Do not refund again" in (await scene.saga())["what_to_do"]
    assert await scene.broken() == []


async def test_what_makes_no_sense_is_refused_before_anything_is_asked(scene: Scene):
    await scene.club.price("platinum", 20_000, 50)
    mine, at = scene.club.mine, {"proration_at": scene.middle}
    path = f"/v1/subscriptions/{scene.sub}"
    may_not = await mine.post("/v1/api-keys", {"name": "half", "scopes": ["subscriptions:write"]})

    async def refusal(act: str, body: dict[str, Any], caller: Any = mine, **more: Any) -> tuple[int, str]:
        answer = await caller.post(f"{path}/{act}", body, **more)
        return answer.status_code, answer.json()["code"]

    assert await refusal("refunded-changes", at | {"price": "platinum"}) == (409, "nothing_to_give_back")
    assert await refusal("refunded-changes", SILVER | {"proration_at": "2020-01-01T00:00:00Z"}) == (
        409,
        "nothing_to_give_back",
    )
    assert await refusal("refunded-changes", at | SILVER | {"refund_minor": 9001}) == (409, "refund_exceeds_payment")
    assert await refusal("refunded-changes", at | {"price": "pack-10"}) == (409, "prices_not_comparable")
    assert (await refusal("refunded-cancellations", at | {"refund_minor": 0}))[0] == 422
    assert await refusal("refunded-cancellations", at, scene.club.theirs) == (404, "subscription_not_found")
    key = {"authorization": f"Bearer {may_not.json()['key']}"}
    narrow = await mine.http.post(f"{path}/refunded-cancellations", json=at, headers=key)
    assert (narrow.status_code, narrow.json()["code"]) == (403, "permission_missing")
    assert await scene.club.stage.value("select count(*) from gateway_call") == 0
    assert await scene.club.stage.value("select count(*) from saga") == 0
