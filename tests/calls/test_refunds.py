"""Refunds that we ask for: promised within what was captured, one row from the promise to the report, taken back once."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import asyncpg
import pytest

from api.conftest import Caller, caller_of, running
from bursar.kernel import ids
from bursar.money.gateways.calling import GatewayRefused, NotSent
from bursar.operations.fingerprint import fingerprint
from bursar.operations.verify import verify
from calls.gateway_double import Desk
from stage import charge, event, intent, refund, session, set_stage

pytestmark = pytest.mark.anyio


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


@dataclass
class Shop:
    """A business with one captured payment of 50.00 EUR that granted ten credits."""

    desk: Desk
    caller: Caller
    payment: str

    async def ask(self, **more: Any) -> Any:
        return await self.caller.post("/v1/refunds", {"payment": self.payment} | more)

    async def promised(self) -> int:
        return await self.desk.stage.value("select promised_minor from payment where gateway_ref = 'pi_1'")

    async def credits(self) -> int:
        return await self.desk.stage.value("select remaining from credit_lot")

    async def settle(self) -> None:
        await self.desk.live(minutes=1)
        await self.desk.stage.apply()


async def paid(desk: Desk) -> None:
    await desk.stage.tell(
        event("checkout.session.completed", session(), id="evt_s"),
        event("payment_intent.succeeded", intent(), id="evt_p"),
        event("charge.succeeded", charge(), id="evt_c"),
    )


@pytest.fixture
async def shop(db, database_url):
    desk = await Desk.of(await set_stage(db, database_url))
    await paid(desk)
    async with running(database_url) as (_, http):
        caller = await caller_of(desk.stage, http)
        yield Shop(desk, caller, (await caller.one("/v1/payments", gateway_ref="pi_1"))["id"])


async def test_a_refund_is_pending_at_once_and_becomes_what_the_gateway_reports(shop: Shop):
    asked = await shop.ask(amount_minor=2000, reason="requested_by_customer")
    before = (await shop.promised(), await shop.credits())
    await shop.settle()
    told = (await shop.caller.get(f"/v1/refunds/{asked.json()['id']}")).json()

    assert asked.status_code == 201
    assert {k: asked.json()[k] for k in ("payment", "gateway_ref", "status", "amount_minor", "currency")} == {
        "payment": shop.payment,
        "gateway_ref": None,
        "status": "pending",
        "amount_minor": 2000,
        "currency": "EUR",
    }
    assert before == (2000, 10)
    (made,) = shop.desk.double.effects.values()
    assert (told["status"], told["gateway_ref"], told["id"]) == ("succeeded", made["id"], asked.json()["id"])
    assert (await shop.promised(), await shop.credits()) == (0, 6)
    assert len(await shop.caller.data("/v1/refunds")) == 1
    assert (await shop.caller.get(f"/v1/payments/{shop.payment}")).json()["refunded_minor"] == 2000


async def test_twenty_parallel_partial_refunds_never_exceed_what_was_captured(shop: Shop, admin_url: str):
    answers = await asyncio.gather(*(shop.ask(amount_minor=400) for _ in range(20)))
    refused = [a.json() for a in answers if a.status_code != 201]
    promised = await shop.promised()
    await shop.settle()

    assert len(refused) == 8
    assert {(r["code"], r["context"]["left_minor"]) for r in refused} == {("refund_exceeds_payment", 200)}
    assert promised == 4800
    assert len(shop.desk.double.effects) == 12
    assert await shop.desk.stage.row(
        "select refunded_minor, promised_minor from payment where gateway_ref = 'pi_1'"
    ) == {
        "refunded_minor": 4800,
        "promised_minor": 0,
    }
    async with connected(admin_url) as connection:
        verified = await verify(connection, shop.desk.stage.tenant_id, standing_kinds=[])
    assert not [(check.name, check.offending) for check in verified.invariants if not check.ok]


async def test_what_went_back_at_the_gateway_counts_done_and_pending(shop: Shop):
    await shop.desk.stage.tell(
        event("refund.created", refund("a", amount=3000)),
        event("refund.created", refund("b", amount=1500, status="pending")),
    )

    too_much, rest = await shop.ask(amount_minor=501), await shop.ask()

    assert (too_much.status_code, too_much.json()["code"]) == (409, "refund_exceeds_payment")
    assert (rest.status_code, rest.json()["amount_minor"]) == (201, 500)


async def test_the_database_refuses_a_promise_beyond_what_was_left(shop: Shop):
    await shop.ask(amount_minor=5000)

    with pytest.raises(asyncpg.CheckViolationError, match="payment_promises"):
        await shop.desk.stage.rows("update payment set promised_minor = promised_minor + 1 returning id")


async def test_a_refund_that_the_gateway_refuses_fails_and_can_be_asked_for_again(shop: Shop):
    shop.desk.double.failures.append(GatewayRefused("no balance", code="balance_insufficient", status=400))

    asked = await shop.ask()
    await shop.settle()
    told = (await shop.caller.get(f"/v1/refunds/{asked.json()['id']}")).json()
    again = await shop.ask()

    assert (told["status"], told["failure"]) == ("failed", "balance_insufficient: no balance")
    assert again.status_code == 201
    assert (await shop.promised(), await shop.credits()) == (5000, 10)
    assert await shop.desk.stage.value("select count(*) from outbox where topic = 'refund.failed'") == 1


async def test_a_refusal_in_words_that_cannot_be_kept_is_kept_without_them(shop: Shop):
    shop.desk.double.failures.append(GatewayRefused("no\x00 balance \ud800", code="bal\x00ance", status=400))

    asked = await shop.ask()
    await shop.settle()

    told = (await shop.caller.get(f"/v1/refunds/{asked.json()['id']}")).json()
    assert (told["status"], told["failure"]) == ("failed", "balance: no balance ?")


async def test_a_report_that_comes_before_the_answer_is_the_same_refund(shop: Shop):
    asked = await shop.ask(amount_minor=1000)
    told = refund("early", amount=1000, metadata={"bursar_refund": asked.json()["id"]})
    await shop.desk.stage.tell(event("refund.created", told))
    early = (await shop.caller.get(f"/v1/refunds/{asked.json()['id']}")).json()

    assert (early["gateway_ref"], early["status"], await shop.promised()) == ("re_early", "succeeded", 0)
    assert len(await shop.caller.data("/v1/refunds")) == 1


async def test_a_report_without_our_id_that_came_first_is_found_under_both_ids(shop: Shop):
    asked = (await shop.ask(amount_minor=1000)).json()["id"]
    await shop.desk.stage.tell(event("refund.created", refund("twin", amount=1000)))
    await shop.desk.stage.tell(
        event("refund.updated", refund("twin", amount=1000, metadata={"bursar_refund": asked}), at=1_760_000_900)
    )

    (listed,) = await shop.caller.data("/v1/refunds")
    by_own = (await shop.caller.get(f"/v1/refunds/{asked}")).json()

    assert by_own == listed
    assert (by_own["gateway_ref"], await shop.promised()) == ("re_twin", 0)


async def test_our_id_beside_a_refund_of_another_payment_changes_nothing(shop: Shop):
    asked = (await shop.ask(amount_minor=1000)).json()["id"]
    other = refund("x", amount=100, charge="ch_2", payment_intent="pi_2", metadata={"bursar_refund": asked})
    await shop.desk.stage.tell(
        event("payment_intent.succeeded", intent("2")), event("refund.created", other), event("refund.created", refund("y", amount=1, metadata={"bursar_refund": "re_nonsense"}))
    )  # fmt: skip

    assert (await shop.caller.get(f"/v1/refunds/{asked}")).json()["status"] == "pending"
    assert await shop.promised() == 1000
    assert len(await shop.caller.data("/v1/refunds")) == 3


async def test_a_key_makes_a_repeat_harmless(shop: Shop):
    body = {"payment": shop.payment, "amount_minor": 300}
    first = await shop.caller.post("/v1/refunds", body, once="k1")
    again = await shop.caller.post("/v1/refunds", body, once="k1")

    assert first.json() == again.json()
    assert await shop.promised() == 300


async def test_the_truth_does_not_tell_who_asked_for_a_refund(shop: Shop, db, database_url: str, admin_url: str):
    await shop.ask(amount_minor=700)
    await shop.settle()
    (made,) = shop.desk.double.effects.values()
    other = await Desk.of(await set_stage(db, database_url, name="Other"))
    await paid(other)
    await other.stage.tell(event("refund.created", made, at=made["created"]))

    async with connected(admin_url) as connection:
        ours = await fingerprint(connection, shop.desk.stage.tenant_id)
        theirs = await fingerprint(connection, other.stage.tenant_id)
    assert ours.differing(theirs) == ["gateway_event"], "only who told of it differs"


async def test_money_of_the_desk_is_refunded_through_the_same_route(shop: Shop):
    account = (await shop.caller.post("/v1/gateway-accounts", {"gateway": "manual", "name": "Desk"})).json()["id"]
    cash = {
        "amount_minor": 900,
        "currency": "EUR",
        "reference": "cash",
        "gateway_account": account,
        "email": "a@example.org",
    }
    assert (await shop.caller.post("/v1/manual-payments", cash)).status_code == 202
    await shop.desk.stage.apply()
    payment = (await shop.caller.one("/v1/payments", gateway_ref="cash"))["id"]

    asked = await shop.caller.post("/v1/refunds", {"payment": payment, "amount_minor": 600, "reason": "rained off"})
    too_much = await shop.caller.post("/v1/refunds", {"payment": payment, "amount_minor": 301})
    await shop.desk.stage.apply()
    told = (await shop.caller.get(f"/v1/refunds/{asked.json()['id']}")).json()

    assert (asked.status_code, asked.json()["status"]) == (201, "pending")
    assert too_much.json()["code"] == "refund_exceeds_payment"
    assert (told["status"], told["amount_minor"], told["reason"]) == ("succeeded", 600, "rained off")
    assert shop.desk.double.sent == []


async def test_a_payment_that_did_not_succeed_cannot_be_refunded(shop: Shop):
    await shop.desk.stage.tell(event("payment_intent.payment_failed", intent("8", status="requires_payment_method")))
    payment = (await shop.caller.one("/v1/payments", gateway_ref="pi_8"))["id"]

    answer = await shop.caller.post("/v1/refunds", {"payment": payment})

    assert (answer.status_code, answer.json()["code"]) == (409, "payment_not_refundable")
    assert await shop.desk.stage.value("select count(*) from gateway_call") == 0


async def test_a_refund_that_the_gateway_cannot_make_is_refused_at_once_and_by_name(shop: Shop):
    await shop.desk.stage.rows("update gateway_account set gateway = 'dodo' returning id")
    await shop.desk.stage.rows("update payment set charge_ref = gateway_ref returning id")

    answer = await shop.ask(amount_minor=100)

    assert (answer.status_code, answer.json()["code"]) == (422, "operation_unsupported")
    assert answer.json()["hint"] == "Name the payment."
    assert await shop.promised() == 0
    assert await shop.desk.stage.value("select count(*) from refund") == 0
    assert await shop.desk.stage.value("select count(*) from gateway_call") == 0


async def test_calls_are_listed_with_what_came_of_them(shop: Shop):
    shop.desk.double.failures.append(NotSent("no connection"))
    asked = (await shop.ask()).json()["id"]
    await shop.desk.drain()
    waiting = await shop.caller.one("/v1/gateway-calls", subject=asked)
    await shop.settle()
    done = (await shop.caller.get(f"/v1/gateway-calls/{waiting['id']}")).json()
    look = await shop.caller.post(f"/v1/gateway-calls/{waiting['id']}/looks")

    assert (waiting["state"], waiting["error_kind"], waiting["operation"]) == ("asked", "not_sent", "create_refund")
    assert (done["state"], done["attempts"], done["ref"]) == (
        "succeeded",
        2,
        next(iter(shop.desk.double.effects.values()))["id"],
    )
    assert (look.status_code, look.json()["code"]) == (409, "gateway_call_not_unknown")
    assert json.dumps(done).find("sk_test") == -1
    assert ids.parse(ids.EVENT, done["event"])
