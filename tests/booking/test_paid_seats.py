"""Money that arrives for a booking makes it sure, or goes back: never neither, never both, whatever the order and however often."""

import asyncio
import itertools
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import asyncpg
import pytest

from booking.salon import ZONE, Salon, salon
from bursar.apps.booking import bookings, people
from bursar.apps.booking.bookings import seat_jobs
from bursar.kernel import ids
from bursar.kernel.identity import tokens
from bursar.operations.verify import verify
from draining import bring_forward, drain
from stage import charge, event, intent, refund

pytestmark = pytest.mark.anyio

HOUR = timedelta(hours=1)
KINDS = (*bookings.KINDS, *seat_jobs.KINDS)


def _monday() -> datetime:
    """The Monday after next, at nine in New York: payments are applied by the clock of this machine."""
    today = datetime.now(ZoneInfo(ZONE)).date()
    day = today + timedelta(days=14 - today.weekday())
    return datetime.combine(day, time(9), ZoneInfo(ZONE)).astimezone(UTC)


NINE, TEN = (_monday() + HOUR * n for n in (0, 1))


@pytest.fixture
async def shop(db, database_url, admin_url):
    """A business of which every invariant holds when the test is over."""
    async with salon(db, database_url, now=datetime.now(UTC)) as made:
        yield made
        connection = await asyncpg.connect(admin_url)
        verified = await verify(connection, made.stage.tenant_id, standing_kinds=[])
        await connection.close()
        assert not [(check.name, check.offending) for check in verified.invariants if not check.ok]


async def held(shop: Salon, *, ago: timedelta = timedelta(), **more: Any) -> dict[str, Any]:
    """Ask for an hour with Mia, of which 20.00 are paid ahead. ago: the hold is so much older."""
    shop.clock.now = datetime.now(UTC) - ago
    asked = {"tier": shop.names["hour"], "staff": shop.names["mia"], "status": 202} | more
    made = await shop.book(NINE.isoformat(), **asked)
    shop.clock.now = datetime.now(UTC)
    return made


def paid(made: dict[str, Any], n: str = "1", amount: int = 2000, currency: str = "eur", **more: Any) -> dict[str, Any]:
    told = {
        "amount": amount,
        "amount_received": amount,
        "currency": currency,
        "metadata": {"bursar_order": made["order"]},
    }
    return event("payment_intent.succeeded", intent(n, **told | more), id=f"evt_paid_{n}")


async def expire(shop: Salon) -> None:
    """Let the holds that are over end, as their jobs do."""
    await bring_forward(shop.stage)
    await drain(shop.stage, KINDS)


async def of(shop: Salon, made: dict[str, Any]) -> tuple[str, str]:
    told = (await shop.caller.get(f"/v1/appointments/{made['id']}")).json()
    return told["status"], told["payment_status"]


async def asked_back(shop: Salon) -> list[int]:
    """Return the refunds that were asked for."""
    return [row["amount_minor"] for row in await shop.stage.rows("select amount_minor from refund where is_asked")]


async def test_a_payment_in_time_confirms_and_its_repetition_changes_nothing(shop: Salon):
    made = await held(shop)
    before = await of(shop, made)
    await shop.stage.tell(paid(made))
    after = await of(shop, made)
    written = await shop.stage.value("select count(*) from outbox where topic = 'booking.booked'")
    await shop.stage.tell(
        paid(made) | {"id": "evt_again"}, event("charge.succeeded", charge(amount=2000, amount_captured=2000))
    )
    await expire(shop)

    assert (before, made["price_minor"], made["due_minor"]) == (("held", "unpaid"), 8000, 2000)
    assert made["checkout"]["status"] == "pending"
    assert after == await of(shop, made) == ("booked", "deposit_paid")
    assert written == await shop.stage.value("select count(*) from outbox where topic = 'booking.booked'") == 1
    assert await asked_back(shop) == []


async def test_the_customers_page_says_what_of_the_price_a_deposit_has_paid(shop: Salon):
    made = await held(shop)
    link, _ = tokens.make(shop.stage.tenant_id, ids.new())
    token = tokens.read(link)
    assert token
    async with shop.stage.db.tenant(shop.stage.tenant_id) as tx:
        assert await people.keep_link(tx, token, booking_id=ids.parse(ids.BOOKING, made["id"]), now=shop.clock.now)
    await shop.stage.tell(paid(made))
    own = f"/b/{ids.show(ids.TENANT, shop.stage.tenant_id)}/bookings/{link}"
    pages = [await shop.caller.http.get(path) for path in (own, f"{own}/cancel")]

    assert [page.status_code for page in pages] == [200, 200]
    assert "20.00 EUR of 80.00 EUR paid ahead." in pages[0].text
    assert "80.00 EUR back" not in pages[1].text


async def test_all_of_the_price_paid_ahead_is_paid(shop: Salon):
    made = await held(shop, tier=shop.names["full"])
    await shop.stage.tell(paid(made, amount=8000))

    assert await of(shop, made) == ("booked", "paid")


async def test_money_that_comes_after_the_hold_is_seated_again_while_the_time_is_free(shop: Salon):
    made = await held(shop, ago=HOUR)
    await expire(shop)
    expired = await of(shop, made)
    await shop.stage.tell(paid(made))

    assert expired == ("expired", "unpaid")
    assert await of(shop, made) == ("booked", "deposit_paid")
    assert await asked_back(shop) == []


async def test_money_that_comes_when_the_time_is_gone_goes_back_once(shop: Salon):
    made = await held(shop, ago=HOUR)
    rival = await held(
        shop, tier=shop.names["free"], customer=shop.names["bob"], status=201
    )  # the hold is over: it is free
    await shop.stage.tell(paid(made))
    told = await of(shop, made)
    for n in range(3):
        await shop.stage.tell(paid(made) | {"id": f"evt_again_{n}"})
        await drain(shop.stage, KINDS)

    assert (told, await of(shop, rival)) == (("expired", "returning"), ("booked", "none"))
    assert await asked_back(shop) == [2000]
    assert await shop.stage.value("select count(*) from mail_message where kind = 'booking.payment_returning'") == 1


async def test_every_order_of_payment_expiry_and_rival_ends_in_a_seat_or_a_refund(shop: Salon):
    for number, order in enumerate(itertools.permutations(("pay", "expire", "rival", "repeat"))):
        day = NINE + timedelta(days=7 * (number // 3))
        at = (day + HOUR * (number % 3)).isoformat()
        shop.clock.now = datetime.now(UTC) - HOUR
        body = {"service": shop.names["massage"], "staff": shop.names["mia"], "starts_at": at}
        mine = await shop.post(
            "/v1/appointments", body | {"tier": shop.names["hour"], "customer": shop.names["ann"]}, 202
        )
        shop.clock.now = datetime.now(UTC)
        rival = None
        for step in order:
            if step == "expire":
                await expire(shop)
            elif step == "rival":
                wanted = body | {"tier": shop.names["full"], "customer": shop.names["bob"]}
                wanted |= {"venue": shop.names["venue"], "is_paid_ahead": False, "override_reason": "pays later"}
                rival = await shop.caller.post("/v1/appointments", wanted)
            else:
                await shop.stage.tell(paid(mine, f"{number}") | {"id": f"evt_{number}_{step}"})
        await expire(shop)
        status, payment = await of(shop, mine)
        back = await shop.stage.value(
            "select count(*) from refund r join seat_payment s using (tenant_id, purchase_id) join booking b on b.id = s.booking_id "
            "where b.number = $1 and r.is_asked",
            mine["number"],
        )

        is_mine = rival.status_code == 409
        assert (status, payment, back) == (("booked", "deposit_paid", 0) if is_mine else ("expired", "returning", 1)), (
            order
        )
        if order.index("pay") < order.index("rival"):
            assert is_mine, order


async def test_workers_that_apply_and_expire_at_once_leave_one_truth(shop: Salon):
    seen = set()
    for n in range(4):
        at = (NINE + timedelta(days=7 * n)).isoformat()
        shop.clock.now = datetime.now(UTC) - HOUR
        body = {"service": shop.names["massage"], "staff": shop.names["mia"], "starts_at": at}
        mine = await shop.post(
            "/v1/appointments", body | {"tier": shop.names["hour"], "customer": shop.names["ann"]}, 202
        )
        shop.clock.now = datetime.now(UTC)
        await shop.stage.deliver(paid(mine, f"{n}"), paid(mine, f"{n}") | {"id": f"evt_more_{n}"})
        rival = shop.caller.post("/v1/appointments", body | {"tier": shop.names["free"], "customer": shop.names["bob"]})
        answers = await asyncio.gather(shop.stage.apply(), expire(shop), rival, shop.stage.apply())
        await expire(shop)
        status, payment = await of(shop, mine)
        seen.add((answers[2].status_code, status, payment))

    assert seen <= {(409, "booked", "deposit_paid"), (201, "expired", "returning")}
    refunds = await shop.stage.value("select count(*) from refund where is_asked")
    assert refunds == await shop.stage.value(
        "select count(*) from booking where status = 'expired' and order_id is not null"
    )


@pytest.mark.parametrize(("amount", "currency"), [(1999, "eur"), (2000, "usd")])
async def test_what_is_not_what_was_due_does_not_confirm_and_goes_back_after_the_hold(shop: Salon, amount, currency):
    made = await held(shop, ago=timedelta(minutes=14))
    await shop.stage.tell(paid(made, amount=amount, currency=currency))
    while_held = await of(shop, made)
    await shop.stage.rows("update booking set held_until = now() returning id")
    await shop.stage.rows("update seat_payment set due_at = now() returning grant_id")
    await expire(shop)
    await expire(shop)

    assert while_held == ("held", "unpaid")
    assert await of(shop, made) == ("expired", "returning")
    assert await asked_back(shop) == [amount]


async def test_a_booking_that_is_paid_twice_keeps_one_payment_and_returns_the_other(shop: Salon):
    made = await held(shop)
    await shop.stage.tell(paid(made, "1"))
    await shop.stage.tell(paid(made, "2"))
    waits = await asked_back(shop)
    await shop.stage.rows("update seat_payment set due_at = now() where status = 'waiting' returning grant_id")
    await expire(shop)

    assert waits == []  # for an hour: the two may turn out to be one
    assert await of(shop, made) == ("booked", "deposit_paid")
    assert await asked_back(shop) == [2000]
    assert await shop.stage.value("select count(*) from seat_payment where status = 'seated'") == 1


async def test_money_for_a_booking_that_was_given_up_goes_back(shop: Salon):
    made = await held(shop)
    cancelled = await shop.post(f"/v1/bookings/{made['id']}/cancellations", {"by": "customer"})
    await shop.stage.tell(paid(made))
    await expire(shop)

    assert cancelled["status"] == "cancelled"
    assert await asked_back(shop) == [2000]


async def test_cancelling_in_time_gives_the_deposit_back_and_the_refund_changes_nothing_more(shop: Salon):
    made = await held(shop)
    await shop.stage.tell(paid(made))
    await shop.post(f"/v1/bookings/{made['id']}/cancellations", {"by": "customer"})
    await drain(shop.stage, KINDS)
    back = await asked_back(shop)
    await shop.stage.tell(event("refund.created", refund(amount=2000)))
    await expire(shop)

    assert back == [2000]
    assert await of(shop, made) == ("cancelled", "returned")
    assert await asked_back(shop) == [2000]


async def test_of_what_was_partly_refunded_before_cancelling_gives_the_rest_back(shop: Salon):
    made = await held(shop)
    await shop.stage.tell(paid(made))
    await shop.stage.tell(event("refund.created", refund(amount=500)))
    payment = await shop.caller.one("/v1/payments")
    await shop.post("/v1/refunds", {"payment": payment["id"], "amount_minor": 100})
    kept = await of(shop, made)
    before = (await shop.caller.get(f"/v1/bookings/{made['id']}/consequence")).json()
    await shop.post(f"/v1/bookings/{made['id']}/cancellations", {"by": "customer"})
    await drain(shop.stage, KINDS)

    assert kept[0] == "booked"
    assert (before["money_back_minor"], sorted(await asked_back(shop))) == (1400, [100, 1400])


async def test_money_that_goes_back_frees_the_time_and_a_dispute_only_shows(shop: Salon):
    made = await held(shop)
    await shop.stage.tell(paid(made))
    about = {
        "charge": "ch_1",
        "payment_intent": "pi_1",
        "amount": 2000,
        "currency": "eur",
        "reason": "fraudulent",
        "created": 1_760_000_200,
    }
    dispute = {"id": "dp_1", "object": "dispute", "status": "needs_response"} | about
    await shop.stage.tell(event("charge.dispute.created", dispute, at=1_760_000_200))
    in_dispute = await of(shop, made)
    await shop.stage.tell(event("charge.dispute.closed", dispute | {"status": "won"}, at=1_760_000_300))
    won = await of(shop, made)
    await shop.stage.tell(event("refund.created", refund(amount=2000)))

    assert (in_dispute, won) == (("booked", "disputed"), ("booked", "deposit_paid"))
    assert await of(shop, made) == ("cancelled", "returned")
    rival = await held(shop, tier=shop.names["free"], customer=shop.names["bob"], status=201)
    assert rival["status"] == "booked"


async def test_what_no_report_names_waits_an_hour_and_goes_back(shop: Salon):
    sold = {"bursar_price": "massage"}
    await shop.stage.tell(event("payment_intent.succeeded", intent(amount=8000, amount_received=8000, metadata=sold)))
    waiting = await shop.stage.row(
        "select status, reason, due_at > now() + interval '59 minutes' as is_later from seat_payment"
    )
    await shop.stage.rows("update seat_payment set due_at = now() returning grant_id")
    await expire(shop)

    assert waiting == {"status": "waiting", "reason": "no report names a booking that it is for", "is_later": True}
    assert await asked_back(shop) == [8000]


_CLASS = """
insert into class_instance (tenant_id, id, venue_id, title, credit_cost, local_date, local_start, time_zone, starts_at, ends_at, capacity,
  is_published, price_id)
select v.tenant_id, gen_random_uuid(), v.id, 'Flow', 0, $1::timestamptz::date, '09:00', v.time_zone, $1, $1::timestamptz + interval '1 hour',
  1, true, p.id
from venue v join price p on p.tenant_id = v.tenant_id and p.lookup_key = 'massage'
returning id
"""


async def _seat(
    shop: Salon, class_id: str, who: str, *, ago: timedelta = timedelta(), status: int = 201
) -> dict[str, Any]:
    shop.clock.now = datetime.now(UTC) - ago
    made = await shop.post("/v1/bookings", {"class": class_id, "customer": shop.names[who], "pays": "money"}, status)
    shop.clock.now = datetime.now(UTC)
    return made


async def test_seats_of_classes_are_confirmed_seated_again_or_paid_back_and_counted(shop: Salon):
    class_id = ids.show(ids.CLASS, (await shop.stage.rows(_CLASS, NINE))[0]["id"])
    late = await _seat(shop, class_id, "ann", ago=HOUR)
    await expire(shop)
    await shop.stage.tell(paid(late, "1", 8000))  # the seat was free: she has it again
    again = await shop.stage.row("select status from booking where number = $1", late["number"])
    counted = await shop.stage.row("select held, booked from class_instance")
    await shop.stage.tell(event("refund.created", refund(amount=8000)))
    freed = await shop.stage.row("select held, booked from class_instance")

    second = await _seat(shop, class_id, "bob", ago=HOUR)
    third = await _seat(shop, class_id, "cal")
    await shop.stage.tell(paid(third, "3", 8000))
    await shop.stage.tell(paid(second, "2", 8000))
    await drain(shop.stage, KINDS)
    states = {r["number"]: r["status"] for r in await shop.stage.rows("select number, status from booking")}

    assert (again["status"], counted, freed) == ("booked", {"held": 0, "booked": 1}, {"held": 0, "booked": 0})
    assert states == {late["number"]: "cancelled", second["number"]: "expired", third["number"]: "booked"}
    assert await shop.stage.row("select held, booked from class_instance") == {"held": 0, "booked": 1}
    assert await asked_back(shop) == [8000]


async def test_who_pays_late_has_the_seat_where_and_when_the_class_is_by_now(shop: Salon):
    class_id = ids.show(ids.CLASS, (await shop.stage.rows(_CLASS, NINE))[0]["id"])
    made = await _seat(shop, class_id, "ann", ago=HOUR)
    await expire(shop)
    day = str((NINE + timedelta(days=2)).astimezone(ZoneInfo(ZONE)).date())
    await shop.post(f"/v1/classes/{class_id}/changes", {"local_date": day, "local_start": "18:00"})

    await shop.stage.tell(paid(made, "1", 8000))

    told = (await shop.caller.get(f"/v1/bookings/{made['id']}")).json()
    assert (told["status"], told["local"][:16]) == ("booked", f"{day}T18:00")
    assert datetime.fromisoformat(told["cancel_by"]) == datetime.fromisoformat(told["starts_at"]) - 24 * HOUR


async def test_who_was_there_has_been_there_though_the_money_goes_back_and_is_not_booked_again(shop: Salon):
    class_id = ids.show(ids.CLASS, (await shop.stage.rows(_CLASS, NINE))[0]["id"])
    made = await _seat(shop, class_id, "ann")
    await shop.stage.tell(paid(made, "1", 8000))
    shop.clock.now = NINE
    came = f"/v1/bookings/{made['id']}/check-ins"
    await shop.post(came, {})
    await shop.stage.tell(event("refund.created", refund(amount=8000)))

    undone = await shop.caller.send("DELETE", came)

    assert (undone.status_code, undone.json()["code"]) == (409, "booking_state_unfit")
    assert "payment has gone back" in undone.json()["hint"]
    assert await shop.stage.value("select status from booking") == "attended"
    assert await shop.stage.value("select status from seat_payment") == "released"
    assert await shop.stage.row("select held, booked from class_instance") == {"held": 0, "booked": 1}


async def test_what_was_paid_moves_with_the_seat_and_goes_back_from_there(shop: Salon):
    first, second = [
        ids.show(ids.CLASS, (await shop.stage.rows(_CLASS, at))[0]["id"]) for at in (NINE, NINE + timedelta(days=1))
    ]
    made = await _seat(shop, first, "ann")
    await shop.stage.tell(paid(made, "1", 8000))
    moved = await shop.post(f"/v1/bookings/{made['id']}/reschedules", {"class": second})
    await shop.post(f"/v1/bookings/{moved['id']}/cancellations", {"by": "customer"})
    await drain(shop.stage, KINDS)
    back = await asked_back(shop)
    await shop.stage.tell(event("refund.created", refund(amount=8000)))

    assert (moved["status"], back) == ("booked", [8000])
    assert await shop.stage.rows("select held, booked from class_instance") == [{"held": 0, "booked": 0}] * 2
    assert await shop.stage.value("select status from seat_payment") == "released"


async def test_a_person_has_one_timeline_of_bookings_and_of_payments_at_several_gateways(shop: Salon):
    made = await held(shop)
    await shop.stage.tell(paid(made, customer=None, receipt_email="ann@example.org"))
    desk = (await shop.caller.post("/v1/gateway-accounts", {"gateway": "manual", "name": "Desk"})).json()["id"]
    cash = {"amount_minor": 6000, "currency": "EUR", "method": "cash", "reference": "c1", "email": "ann@example.org"}
    assert (
        await shop.caller.post("/v1/manual-payments", cash | {"gateway_account": desk, "price": "pack-10"})
    ).status_code == 202
    await shop.stage.apply()
    await shop.stage.tell(event("refund.created", refund(amount=500, created=1_760_000_100)))
    told = (await shop.caller.get(f"/v1/customers/{shop.names['ann']}/history")).json()
    first = (await shop.caller.get(f"/v1/customers/{shop.names['ann']}/history", until=told["data"][-1]["at"])).json()

    assert {(e["kind"], e["gateway"], e["amount_minor"]) for e in told["data"]} == {
        ("booking", None, 8000),
        ("payment", "stripe", 2000),
        ("refund", "stripe", 500),
        ("payment", "manual", 6000),
        ("credits", None, None),
    }
    assert [e["at"] for e in told["data"]] == sorted((e["at"] for e in told["data"]), reverse=True)
    assert {e["gateway_ref"] for e in told["data"]} == {None, "pi_1", "re_1", "c1"}
    assert (len(told["customers"]), first["data"]) == (2, [])


async def test_an_appointment_is_paid_in_cash_where_there_is_no_gateway(shop: Salon):
    await shop.stage.rows("update gateway_account set is_active = false where id is not null returning 1")
    told = {"tier": shop.names["hour"], "staff": shop.names["mia"]}
    refused = await shop.book(NINE.isoformat(), **told, status=409)
    await shop.post("/v1/gateway-accounts", {"gateway": "manual", "name": "Counter"})

    made = await shop.book(NINE.isoformat(), **told)
    await shop.post(f"/v1/bookings/{made['id']}/desk-payments", {"method": "cash"}, 202)
    await shop.stage.apply()
    gone = await shop.post(f"/v1/bookings/{made['id']}/cancellations", {"by": "business"})
    await expire(shop)

    assert refused["code"] == "gateway_account_missing"
    assert (made["status"], made["checkout"], gone["status"]) == ("held", None, "cancelled")
    (due,) = await shop.caller.data("/v1/desk-returns")
    assert (due["booking"], due["amount_minor"]) == (made["id"], 2000)
