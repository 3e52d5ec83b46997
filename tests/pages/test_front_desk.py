"""The front desk sees the day, gives seats, checks people in and cancels; what it may not do it is not offered."""

import asyncio
import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

import pytest
from visitors import Markup, Site, Visitor
from watching import watching

from bursar.web.pages.marks import POLL_S
from draining import drain

pytestmark = pytest.mark.anyio

ZONE = ZoneInfo("Europe/Berlin")


class Desk:
    """A business with a class of three seats that begins in half an hour, and an empty one tomorrow."""

    def __init__(self, visitor: Visitor) -> None:
        self.visitor = visitor
        self.venue = self.soon = self.later = self.day = ""

    async def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {self.visitor.key}"}
        answer = await self.visitor.http.request(method, path, json=body, headers=headers)
        assert answer.status_code < 300, (path, answer.text)
        return dict(answer.json())

    async def open(self) -> "Desk":
        self.venue = (await self.ask("POST", "/v1/venues", {"name": "Harbour", "time_zone": ZONE.key}))["id"]
        begins = datetime.now(UTC) + timedelta(minutes=20)
        self.day = str(begins.astimezone(ZONE).date())  # which may be tomorrow already
        self.soon = await self.class_at(begins, "Flow <b>", 3)
        self.later = await self.class_at(begins + timedelta(days=1), "Slow", 3)
        return self

    async def class_at(self, at: datetime, title: str, capacity: int) -> str:
        there = at.astimezone(ZONE)
        body = {
            "venue": self.venue, "title": title, "duration_min": 60, "capacity": capacity, "credit_cost": 0,
            "local_date": str(there.date()), "local_start": f"{there:%H:%M}", "is_published": True,
        }  # fmt: skip
        return str((await self.ask("POST", "/v1/classes", body))["id"])

    async def give(self, who: str, *, of: str = "", **more: str) -> Any:
        fields = {"who": who, "seats": "1"} | more
        return await self.visitor.post(f"/day/classes/{of or self.soon}/bookings", fields)

    async def bookings(self, of: str = "") -> list[dict[str, Any]]:
        return list((await self.ask("GET", f"/v1/bookings?class={of or self.soon}"))["data"])


@pytest.fixture
async def desk(site: Site) -> Desk:
    return await Desk(site.lived).open()


async def test_the_day_shows_its_classes_and_the_class_who_comes(desk: Desk):
    day = await desk.visitor.page(f"/day?date={desk.day}")
    await desk.give("ann@example.org", name="Ann <i>", is_here="1")
    a_class = await desk.visitor.page(f"/day/classes/{desk.soon}")
    bookings = await desk.visitor.page("/bookings")
    number = (await desk.bookings())[0]["number"]
    part = await desk.visitor.get(f"/day?date={desk.day}", **{"hx-request": "true"})

    assert "Flow &lt;b&gt;" in day
    assert "0 of 3" in day
    assert "Ann &lt;i&gt;" in a_class
    assert "1 of 3" in a_class
    assert number in bookings
    assert "1 of 3" in part.text
    assert "<html" not in part.text
    for page in (day, a_class, bookings, await desk.visitor.page(f"/bookings/{(await desk.bookings())[0]['id']}")):
        assert Markup(page).crossed == []


async def test_a_seat_is_given_once_people_are_checked_in_and_cancelled(desk: Desk):
    form = await desk.visitor.page(f"/day/classes/{desk.soon}")
    new = re.search(r'name="booking" value="(bkg_[a-z0-9]+)"', form)
    assert new
    twice = [await desk.give("ann@example.org", booking=new[1]) for _ in range(2)]
    (booking,) = await desk.bookings()
    path = f"/bookings/{booking['id']}"

    here = await desk.visitor.post(f"{path}/check-in", {"from": "class"})
    attended = (await desk.bookings())[0]["status"]
    undone = await desk.visitor.post(f"{path}/undo-check-in")
    told = await desk.visitor.page(path)
    gone = await desk.visitor.post(f"{path}/cancel", {"who": "business", "reason": "the room is flooded"})
    again = await desk.visitor.post(f"{path}/cancel", {"who": "business"})
    after = await desk.visitor.page(path)

    assert [each.headers["location"] for each in twice] == [f"/day/classes/{desk.soon}?done=booked"] * 2
    assert (booking["id"], attended) == (new[1], "attended")
    assert here.headers["location"] == f"/day/classes/{desk.soon}?done=in"
    assert undone.headers["location"] == f"{path}?done=out"
    assert "The business takes the seat back" in told
    assert (gone.status_code, again.status_code) == (303, 409)
    assert "the room is flooded" in after
    assert [each["status"] for each in await desk.bookings()] == ["cancelled"]


async def test_a_full_class_takes_nobody_but_with_a_reason_and_lets_others_wait_in_order(desk: Desk):
    for name in ("a", "b", "c"):
        await desk.give(f"{name}@example.org", of=desk.later)
    full = await desk.give("d@example.org", of=desk.later)
    waits = [
        await desk.visitor.post(f"/day/classes/{desk.later}/waitlist", {"who": f"{name}@example.org"}) for name in "de"
    ]
    beyond = await desk.give("f@example.org", of=desk.later, reason="her birthday")
    page = await desk.visitor.page(f"/day/classes/{desk.later}")
    entry = re.search(r"/waitlist/(wle_[a-z0-9]+)/leave", page)
    assert entry
    left = await desk.visitor.post(f"/day/classes/{desk.later}/waitlist/{entry[1]}/leave")

    assert full.status_code == 409
    assert "full" in full.text
    assert [each.status_code for each in (*waits, beyond, left)] == [303] * 4
    assert "overbooked" in page
    assert "her birthday" in page
    assert page.index("d@example.org") < page.index("e@example.org")
    assert len(await desk.bookings(desk.later)) == 4


async def test_what_happened_to_a_customer_stands_in_one_list_whose_pages_neither_repeat_nor_skip(desk: Desk):
    person = await desk.ask("POST", "/v1/customers", {"email": "ann@example.org", "name": "Ann <i>"})
    gift = {"customer": person["id"], "pool": "classes", "amount": 3, "reason": "gift"}
    await desk.ask("POST", "/v1/credit-adjustments", gift)
    for act in ("cancel", "cancel", "check-in"):
        await desk.give("ann@example.org", of=desk.soon)
        booking = next(each for each in await desk.bookings() if each["status"] == "booked")
        await desk.visitor.post(f"/bookings/{booking['id']}/{act}", {"who": "business"})
    path = f"/v1/customers/{person['id']}/history"

    whole = await desk.ask("GET", path)
    walked, page = [], await desk.ask("GET", f"{path}?limit=2")
    while page["next"]:
        walked += page["data"]
        page = await desk.ask("GET", f"{path}?limit=2&before={quote(page['next'])}")
    walked += page["data"]
    own = await desk.visitor.page(f"/customers/{person['id']}")
    told = await desk.visitor.page(f"/customers/{person['id']}/timeline")
    wrong = await desk.visitor.get(f"/customers/{person['id']}/timeline?before=yesterday")

    kinds = [each["kind"] for each in whole["data"]]
    assert sorted(kinds) == sorted(["credits", *["booking"] * 3, *["cancellation"] * 2, "attendance"])
    assert kinds[0] == "attendance"
    assert whole["data"][-1]["credits"] == 3
    assert walked == whole["data"]
    assert whole["next"] is None
    for text in (own, told):
        assert Markup(text).crossed == []
        assert (text.count("Flow &lt;b&gt;"), text.count("<b>+3</b>")) >= (6, 1)
    assert wrong.status_code == 422


async def test_what_is_requested_is_confirmed_or_declined_at_the_desk_once(desk: Desk):
    terms = {"name": "Asked first", "is_default": True, "terms": {"needs_approval": True}}
    await desk.ask("POST", "/v1/booking-policies", terms)
    people = [
        await desk.ask("POST", "/v1/customers", {"email": f"{name}@example.org"}) for name in ("ann", "bob", "cy")
    ]
    made = [await desk.ask("POST", "/v1/bookings", {"class": desk.later, "customer": each["id"]}) for each in people]
    first, second, _ = [each["id"] for each in made]
    a_class, listed = await desk.visitor.page(f"/day/classes/{desk.later}"), await desk.visitor.page("/bookings")
    page = await desk.visitor.page(f"/bookings/{first}")

    answers = [
        await desk.visitor.post(f"/bookings/{first}/confirm"),
        await desk.visitor.post(f"/bookings/{second}/decline", {"reason": "beginners only", "from": "class"}),
        *[
            await desk.visitor.post(f"/bookings/{done}/{act}")
            for done in (first, second)
            for act in ("confirm", "decline")
        ],
    ]
    told = await desk.visitor.page(f"/bookings/{second}")

    assert {each["status"] for each in made} == {"requested"}
    assert [a_class.count(f">{word}<span") for word in ("Confirm", "Decline")] == [3, 3]
    assert "3 wait to be confirmed" in listed
    assert "ann@example.org" in listed
    assert "Confirm or decline" in page
    assert [each.status_code for each in answers] == [303, 303, 409, 409, 409, 409]
    assert [each.headers["location"] for each in answers[:2]] == [
        f"/bookings/{first}?done=confirmed",
        f"/day/classes/{desk.later}?done=declined",
    ]
    assert "beginners only" in told
    assert [each["status"] for each in await desk.bookings(desk.later)] == ["requested", "cancelled", "booked"]


async def test_what_is_wrong_is_told_and_changes_nothing(desk: Desk):
    refused = [
        await desk.give("nobody"),
        await desk.give("ann@example.org", seats="0"),
        await desk.give("ann@example.org", seats="9" * 40),
        await desk.give("cus_00000000000000000000000000"),
        await desk.give("\x00@\x1b", name="x" * 9000),
        await desk.visitor.get("/bookings?customer=x"),
        await desk.visitor.get("/day/classes/cls_00000000000000000000000000"),
        await desk.visitor.get("/day?venue=ven_1"),
    ]

    assert {each.status_code for each in refused} <= {400, 404, 409, 422}, [each.status_code for each in refused]
    assert await desk.bookings() == []
    assert (await desk.visitor.get("/day?date=tomorrow")).status_code == 200


async def test_another_business_sees_and_does_nothing(desk: Desk, site: Site):
    await desk.give("ann@example.org")
    (booking,) = await desk.bookings()
    foreign = [
        await site.empty.get(f"/day/classes/{desk.soon}"),
        await site.empty.get(f"/bookings/{booking['id']}"),
        await site.empty.post(f"/bookings/{booking['id']}/check-in"),
        await site.empty.post(f"/bookings/{booking['id']}/no-show"),
        await site.empty.post(f"/bookings/{booking['id']}/cancel"),
        await site.empty.post(f"/day/classes/{desk.soon}/bookings", {"who": "x@example.org", "seats": "1"}),
        await site.empty.post(f"/day/classes/{desk.soon}/waitlist", {"who": "x@example.org"}),
    ]

    assert [each.status_code for each in foreign] == [404] * 7
    assert "Flow" not in await site.empty.page("/day")
    assert [each["status"] for each in await desk.bookings()] == ["booked"]


async def test_whoever_may_only_look_is_offered_no_act_and_does_none(desk: Desk, site: Site):
    await desk.give("ann@example.org")
    (booking,) = await desk.bookings()
    scopes = ["bookings:read", "payments:read", "credits:read"]
    key = (await desk.ask("POST", "/v1/api-keys", {"name": "eyes", "scopes": scopes}))["key"]
    eyes = Visitor(desk.visitor.stage, key, site.stranger)
    assert (await eyes.sign_in()).status_code == 303

    page = await eyes.page(f"/day/classes/{desk.soon}")
    refused = [
        await eyes.post(f"/bookings/{booking['id']}/check-in"),
        await eyes.post(f"/bookings/{booking['id']}/cancel"),
        await eyes.post(f"/day/classes/{desk.soon}/bookings", {"who": "x@example.org", "seats": "1"}),
    ]

    assert "Give a seat" not in page
    assert "check-in" not in page
    assert [each.status_code for each in refused] == [403] * 3
    assert len(await desk.bookings()) == 1


async def test_reports_show_attendance_and_what_is_owed(desk: Desk):
    await desk.give("ann@example.org", is_here="1")
    days = f"first_day={desk.day}&last_day={desk.day}"
    today = await desk.visitor.page(f"/reports/attendance?{days}")
    by_class = await desk.visitor.page(f"/reports/attendance?by=title&{days}")
    owed = await desk.visitor.page("/reports/credits")

    assert "<svg" in today
    assert "Flow &lt;b&gt;" in by_class
    assert "Nothing is owed" in owed
    assert (await desk.visitor.get("/reports/attendance?by=luck")).status_code == 400


async def test_a_new_booking_is_seen_within_a_second_and_by_its_own_business_only(desk: Desk, site: Site):
    async with watching(site.lived, site) as mine, watching(site.empty, site) as other:
        await mine.mark(1, within_s=2)
        await other.mark(1, within_s=2)
        await asyncio.sleep(POLL_S * 2)
        marked = len(mine.marks)

        await desk.give("ann@example.org")
        await mine.mark(marked + 1, within_s=1.0)
        page = (await desk.visitor.get(f"/day/classes/{desk.soon}", **{"hx-request": "true"})).text
        others = len(other.marks)

    assert "ann@example.org" in page
    assert others == 1


async def test_a_fee_is_shown_at_the_desk_and_waived_with_a_reason_only(desk: Desk):
    terms = {"cancel_minutes": 1440, "late_cancel_fee_minor": 1000, "fee_currency": "EUR"}
    await desk.ask("POST", "/v1/booking-policies", {"name": "Strict", "terms": terms, "is_default": True})
    await desk.give("ann@example.org")
    (booking,) = await desk.bookings()
    path = f"/bookings/{booking['id']}"
    told = await desk.visitor.page(path)
    gone = await desk.visitor.post(f"{path}/cancel", {"who": "customer"})
    owed, customer = await desk.visitor.page(path), await desk.visitor.page(f"/customers/{booking['customer']}")
    silent = await desk.visitor.post(f"{path}/waive-fee", {"reason": " "})
    waived = [await desk.visitor.post(f"{path}/waive-fee", {"reason": "was ill"}) for _ in range(2)]
    after, spared = await desk.visitor.page(path), await desk.visitor.page(f"/customers/{booking['customer']}")

    assert "You owe a fee of 10.00 EUR." in told
    assert gone.status_code == 303
    assert "Fee for cancelling late" in owed and "Waive 10.00 EUR" in owed
    assert "Fees owed" in customer and booking["number"] in customer
    assert silent.status_code == 422
    assert [each.headers["location"] for each in waived] == [f"{path}?done=waived"] * 2
    assert "was ill" in after and "Waive 10.00 EUR" not in after
    assert "Fees owed" not in spared


async def test_what_a_deposit_leaves_to_pay_at_the_desk_is_on_the_page_of_the_booking(desk: Desk):
    product = (await desk.ask("POST", "/v1/products", {"name": "Seat"}))["id"]
    price = {"product": product, "amount_minor": 1500, "currency": "EUR", "grants": [{"kind": "seat"}]}
    sold = {"price": (await desk.ask("POST", "/v1/prices", price))["id"], "deposit_percent": 33}
    await desk.ask("PATCH", f"/v1/classes/{desk.later}", sold)
    who = (await desk.ask("POST", "/v1/customers", {"email": "dora@example.org"}))["id"]
    terms = {"name": "Asked first", "is_default": True, "terms": {"needs_approval": True}}
    await desk.ask("POST", "/v1/booking-policies", terms)
    booking = await desk.ask("POST", "/v1/bookings", {"class": desk.later, "customer": who, "pays": "money"})
    page = await desk.visitor.page(f"/bookings/{booking['id']}")

    told = re.sub(r"\s+([:;])", r"\1", " ".join(Markup(page).text.split()))
    assert "money: 15.00 EUR; 4.95 EUR ahead, 10.05 EUR at the desk" in told, told[told.find("Paid with") :][:120]


async def test_a_priced_seat_is_held_at_the_desk_until_the_cash_is_taken_there(desk: Desk):
    await desk.ask("POST", "/v1/gateway-accounts", {"gateway": "manual", "name": "Counter"})
    product = (await desk.ask("POST", "/v1/products", {"name": "Drop-in"}))["id"]
    price = {
        "product": product,
        "lookup_key": "drop-in",
        "amount_minor": 1500,
        "currency": "EUR",
        "grants": [{"kind": "seat"}],
    }
    priced = (await desk.ask("POST", "/v1/prices", price))["id"]
    await desk.ask("PATCH", f"/v1/classes/{desk.soon}", {"price": priced})
    form = re.search(r'name="booking" value="(bkg_[a-z0-9]+)"', await desk.visitor.page(f"/day/classes/{desk.soon}"))
    assert form

    at_once = [await desk.give("ann@example.org", pays_cash="1", booking=form[1]) for _ in range(2)]
    later = await desk.give("bob@example.org")
    anns, bobs = sorted(await desk.bookings(), key=lambda each: each["id"] != form[1])
    a_class = await desk.visitor.page(f"/day/classes/{desk.soon}")
    page = await desk.visitor.page(f"/bookings/{bobs['id']}")
    path = f"/bookings/{bobs['id']}/take-payment"
    taken = await desk.visitor.post(path, {"from": "class", "method": "cash"})
    wrong = await desk.visitor.post(path, {"method": "shells"})
    await desk.visitor.stage.apply()
    nothing = await desk.visitor.post(path)

    word = f"/day/classes/{desk.soon}?done="
    assert [each.headers["location"] for each in (*at_once, later, taken)] == [
        *(f"{word}taken", f"{word}taken", f"{word}held", f"{word}taken")
    ]
    assert "Took 15.00 EUR in cash" in a_class
    assert "Nothing was paid yet" in page
    assert (wrong.status_code, nothing.status_code) == (422, 409)
    assert [each["status"] for each in await desk.bookings()] == ["booked", "booked"]
    paid = (await desk.ask("GET", "/v1/payments?status=succeeded&limit=5"))["data"]
    assert [each["gateway_ref"] for each in paid[:2]].count(anns["id"]) == 1


async def test_cash_of_a_class_that_is_called_off_stands_on_the_day_until_it_was_handed_back(desk: Desk):
    await desk.ask("POST", "/v1/gateway-accounts", {"gateway": "manual", "name": "Counter"})
    product = (await desk.ask("POST", "/v1/products", {"name": "Drop-in"}))["id"]
    price = {"product": product, "amount_minor": 1500, "currency": "EUR", "grants": [{"kind": "seat"}]}
    priced = (await desk.ask("POST", "/v1/prices", price))["id"]
    await desk.ask("PATCH", f"/v1/classes/{desk.later}", {"price": priced})
    await desk.give("ann@example.org", of=desk.later, name="Ann", pays_cash="1")
    await desk.visitor.stage.apply()
    await desk.ask("POST", f"/v1/classes/{desk.later}/cancellations", {"reason": "No water."})
    await drain(desk.visitor.stage)
    (booking,) = await desk.bookings(desk.later)

    day = await desk.visitor.page("/day")
    page = await desk.visitor.page(f"/bookings/{booking['id']}")
    (due,) = (await desk.ask("GET", "/v1/desk-returns"))["data"]
    path = f"/payments/{due['id']}/hand-back"
    done = await desk.visitor.post(path, {"booking": booking["id"]})
    twice = await desk.visitor.post(path)
    await desk.visitor.stage.apply()
    after = await desk.visitor.page("/day")

    assert "Cash to hand back" in day and "Handed back 15.00 EUR" in day
    assert "in cash have to be handed back" in page
    assert (done.headers["location"], twice.status_code) == (f"/bookings/{booking['id']}?done=returned", 409)
    assert "Cash to hand back" not in after
    (refund,) = (await desk.ask("GET", f"/v1/refunds?payment={due['id']}"))["data"]
    assert (refund["amount_minor"], refund["status"]) == (1500, "succeeded")
