"""Forms: sent from our own pages only, and doing what they say."""

import pytest
from visitors import ORIGIN, Markup, Visitor, unnamed

from stage import PACK, event


async def _dead(visitor: Visitor) -> str:
    return await visitor.id_of("evt", "select event_id from gateway_event_dead order by event_id limit 1")


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.test"},
        {"origin": "null"},
        {"origin": "http://bursar.test.evil.test"},
        {"origin": ORIGIN, "sec-fetch-site": "cross-site"},
        {"origin": ORIGIN, "sec-fetch-site": "same-site"},
        {"origin": ORIGIN, "sec-fetch-site": "none"},
        {},
    ],
)
async def test_a_form_from_elsewhere_is_refused(lived: Visitor, headers: dict[str, str]):
    event_id, token = await _dead(lived), await lived.token()

    answer = await lived.http.post(f"/events/{event_id}/replay", data={"form_token": token}, headers=headers)

    assert answer.status_code == 403
    assert "this form was not sent from our own page" in answer.text
    assert await lived.stage.value("select count(*) from gateway_event_replay") == 0


@pytest.mark.parametrize("token", ["", "x", "é", "A" * 43])
async def test_a_form_without_its_token_is_refused(lived: Visitor, token: str):
    event_id = await _dead(lived)

    for path in (f"/events/{event_id}/replay", "/dead/replay", "/sign-out", "/unmatched/pur_0/assign"):
        answer = await lived.http.post(
            path, data={"form_token": token} if token else {"a": "b"}, headers={"origin": ORIGIN}
        )
        assert answer.status_code in (400, 403), path
    assert await lived.stage.value("select count(*) from gateway_event_replay") == 0
    assert (await lived.get("/")).status_code == 200


async def test_what_is_no_form_is_refused(lived: Visitor):
    event_id, headers = await _dead(lived), {"origin": ORIGIN}
    path = f"/events/{event_id}/replay"

    as_json = await lived.http.post(path, json={"form_token": await lived.token()}, headers=headers)
    huge = await lived.http.post(path, data={"reason": "x" * 70_000}, headers=headers)
    many = await lived.http.post(path, data={str(n): "" for n in range(100)}, headers=headers)
    broken = await lived.http.post(
        path, content=b"reason=\xff\xfe", headers={**headers, "content-type": "application/x-www-form-urlencoded"}
    )

    assert [answer.status_code for answer in (as_json, huge, many, broken)] == [422, 413, 422, 422]


async def test_nothing_is_changed_by_a_get(lived: Visitor):
    event_id = await _dead(lived)

    for path in (f"/events/{event_id}/replay", "/dead/replay", "/sign-out"):
        assert (await lived.get(path)).status_code in (404, 405)
    assert await lived.stage.value("select count(*) from gateway_event_dead") == 2


async def test_a_replay_queues_the_event_again_in_the_visitor_s_name(lived: Visitor):
    event_id = await _dead(lived)

    answer = await lived.post(f"/events/{event_id}/replay", {"reason": "mended the catalogue"})

    assert (answer.status_code, answer.headers["location"]) == (303, f"/events/{event_id}?done=replayed")
    text = Markup(await lived.page(answer.headers["location"])).text
    assert "Queued again." in text
    assert "waits for a worker" in text
    record = await lived.stage.row("select actor, reason, events from gateway_event_replay")
    assert record["actor"].startswith("key:key_")
    assert (record["reason"], record["events"]) == ("mended the catalogue", 1)


async def test_an_applied_event_replayed_changes_nothing_and_says_so(lived: Visitor):
    event_id = await lived.id_of("evt", "select event_id from ledger_transaction order by id limit 1")
    before = await lived.stage.rows("select account, currency, balance_minor from ledger_balance order by 1, 2")

    await lived.post(f"/events/{event_id}/replay")
    await lived.stage.apply()

    assert "replayed: applied again" in Markup(await lived.page(f"/events/{event_id}")).text
    assert await lived.stage.rows("select account, currency, balance_minor from ledger_balance order by 1, 2") == before


async def test_all_dead_letters_of_a_cause_are_replayed_and_no_others(lived: Visitor):
    await lived.stage.deliver(
        event(
            "payment_intent.succeeded",
            {"id": "pi_bad", "object": "payment_intent", "status": "succeeded", "currency": "eur", "amount": "x"},
        )
    )
    await lived.stage.apply(retries_max=1)
    page = Markup(await lived.page("/dead"))
    causes = [field["value"] for field in page.all("input") if field["name"] == "cause"]
    assert len(causes) == 2

    answer = await lived.post("/dead/replay", {"cause": causes[0] or "", "reason": "a new release reads them"})

    assert answer.headers["location"] == "/dead?replayed=2"
    assert "2 events queued again." in await lived.page("/dead?replayed=2")
    assert await lived.stage.value("select count(*) from gateway_event_dead") == 1
    assert await lived.stage.value("select count(*) from gateway_event_queue") == 2


async def test_a_cause_that_nothing_rests_of_is_a_word_and_no_replay(lived: Visitor):
    answer = await lived.post("/dead/replay", {"cause": "nothing of the kind"})

    assert answer.status_code == 404
    assert await lived.stage.value("select count(*) from gateway_event_replay") == 0


async def test_assigning_restates_amount_and_customer_and_then_grants(lived: Visitor):
    purchase_id = await lived.id_of("pur", "select id from purchase where is_paid and unmatched_reason is not null")
    price_id = await lived.id_of("price", "select id from price where lookup_key = $1", PACK)
    fields = {"price": price_id, "quantity": "2"}

    asked = await lived.page(f"/unmatched/{purchase_id}")
    assert f'value="{price_id}"' in asked

    confirmed = Markup((await lived.post(f"/unmatched/{purchase_id}/confirm", fields)).text).text
    assert "Assign 100.00 EUR of cus_eve ?" in confirmed
    assert "to 2 × pack-10 (pack-10) , 50.00 EUR each." in confirmed
    assert await lived.stage.value("select count(*) from gateway_event where origin = 'operator'") == 0

    answer = await lived.post(f"/unmatched/{purchase_id}/assign", fields)
    assert answer.status_code == 303
    await lived.stage.apply()

    story = Markup(await lived.page(answer.headers["location"])).text
    assert "bursar.payment.assigned" in story
    assert "recorded here, by an operator" in story
    lot = await lived.stage.row(
        "select l.granted from credit_lot l join customer c on c.id = l.customer_id where c.gateway_ref = 'cus_eve'"
    )
    assert lot["granted"] == 20
    assert "Every payment names what it bought" in await lived.page("/unmatched")


async def test_sums_that_differ_are_said_before_they_are_assigned(lived: Visitor):
    purchase_id = await lived.id_of("pur", "select id from purchase where is_paid and unmatched_reason is not null")
    price_id = await lived.id_of("price", "select id from price where lookup_key = $1", PACK)

    text = Markup(
        (await lived.post(f"/unmatched/{purchase_id}/confirm", {"price": price_id, "quantity": "1"})).text
    ).text

    assert "The sums differ: 100.00 EUR was paid, 50.00 EUR is what this costs." in text


@pytest.mark.parametrize("quantity", ["", "0", "-1", "1.5", "1e3", "9" * 30, "٣", "1000001", "x"])
async def test_an_assignment_takes_a_whole_quantity(lived: Visitor, quantity: str):
    purchase_id = await lived.id_of("pur", "select id from purchase where is_paid and unmatched_reason is not null")
    price_id = await lived.id_of("price", "select id from price where lookup_key = $1", PACK)

    for act in ("confirm", "assign"):
        answer = await lived.post(f"/unmatched/{purchase_id}/{act}", {"price": price_id, "quantity": quantity})
        assert answer.status_code == 422
    assert await lived.stage.value("select count(*) from gateway_event where origin = 'operator'") == 0


async def test_money_that_found_its_price_meanwhile_is_not_assigned(lived: Visitor):
    purchase_id = await lived.id_of("pur", "select id from purchase where is_paid and unmatched_reason is not null")
    price_id = await lived.id_of("price", "select id from price where lookup_key = $1", PACK)
    await lived.stage.tell(
        event(
            "payment_intent.succeeded",
            unnamed("7") | {"metadata": {"bursar_price": PACK, "bursar_quantity": "2"}},
            at=1_760_000_010,
        )
    )

    answer = await lived.post(f"/unmatched/{purchase_id}/assign", {"price": price_id, "quantity": "1"})

    assert answer.status_code == 409
    assert "not unmatched any more" in answer.text
