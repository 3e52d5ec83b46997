"""A business's own pages: what is on, signing in, booking, and a customer's account. Without a script, for customers who are no users."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import httpx2
import icalendar
import pytest

from booking.fronts import ORIGIN, Studio, studio_at
from booking.salon import salon
from bursar.kernel import ids
from pages.visitors import Markup
from sandboxing import sandbox_at

pytestmark = pytest.mark.anyio


@pytest.fixture
async def studio(db, database_url: str) -> AsyncIterator[Studio]:
    async with studio_at(db, database_url) as studio:
        yield studio


def is_sound(text: str) -> Markup:
    """Markup closes as it opens, names things once, labels its inputs, and runs nothing."""
    markup = Markup(text)
    assert not markup.crossed, markup.crossed
    assert len(markup.all("main")) == len(markup.all("h1")) == 1
    identifiers = markup.values("id")
    assert len(identifiers) == len(set(identifiers)), identifiers
    labelled = set(markup.values("for"))
    for shown in markup.all("input", "select"):
        assert shown.get("type") == "hidden" or shown.get("id") in labelled, shown
    assert not markup.all("script", "style", "iframe", "object", "embed")
    assert not [name for _, attrs in markup.elements for name in attrs if name == "style" or name.startswith("on")]
    return markup


async def test_the_timetable_shows_published_classes_by_day_with_zone_seats_and_cost(studio: Studio):
    shown = await studio.add_class("Morning Flow", cost=1, price="seat", capacity=12)
    await studio.add_class("Hidden", is_published=False)
    await studio.add_class("Gone", status="deleted")
    await studio.add_class("Called off", status="cancelled")
    await studio.add_class("Far away", days=40)

    page = await studio.page(studio.base)
    later = await studio.page(studio.base, **{"from": (datetime.now(UTC) + timedelta(days=38)).date().isoformat()})
    empty = await studio.page(f"/b/{ids.show(ids.TENANT, studio.theirs.stage.tenant_id)}")

    text = is_sound(page).text
    for part in ("Morning Flow", "09:00", "CE", "60 min", "Ines · Harbour Hall", "15.00 EUR or 1 credit", "12 left"):
        assert part in text, part
    assert "Called off" in text
    assert "cancelled" in text
    assert not [word for word in ("Hidden", "Gone", "Far away") if word in text]
    assert f"/classes/{shown}" in page
    assert "Far away" in later
    assert "No classes in these days" in is_sound(empty).text
    assert "Morning Flow" not in empty


async def test_a_customer_signs_in_by_code_or_link_and_out_again_and_a_stranger_has_no_account(studio: Studio):
    stranger = await studio.get(f"{studio.base}/account")
    await studio.sign_in("zoe@example.com")
    account = await studio.page(f"{studio.base}/account")
    fields = await studio.fields(f"{studio.base}/account", f"{studio.base}/sign-out")
    forged = await studio.send(f"{studio.base}/sign-out", fields | {"form_token": "x"})
    elsewhere = await studio.send(f"{studio.base}/sign-out", fields, origin="https://evil.test")
    await studio.send(f"{studio.base}/sign-out", fields)
    after = await studio.get(f"{studio.base}/account")
    asked = await studio.send(f"{studio.base}/sign-in", {"email": "zoe@example.com", "next": "https://evil.test/"})
    assert asked.status_code == 303, asked.text
    link = re.search(r"https://pay.example.org(/\S+token=\S+)", (await studio.mailed())[-1].text)[1]
    asked = await studio.page(link)
    entered = await studio.send(f"{studio.base}/enter", {"token": link.partition("token=")[2]})
    again = await studio.send(f"{studio.base}/enter", {"token": link.partition("token=")[2]})

    assert stranger.headers["location"].startswith(f"{studio.base}/sign-in")
    assert "zoe@example.com" in is_sound(account).text
    assert (forged.status_code, elsewhere.status_code) == (403, 403)
    assert after.status_code == 303
    assert "zoe@example.com" in is_sound(asked).text
    assert (entered.status_code, entered.headers["location"]) == (303, studio.base)
    assert again.status_code in (400, 422, 403)
    cookie = entered.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "Secure" in cookie
    assert "SameSite=lax" in cookie


async def test_a_page_that_asks_for_a_code_is_alike_for_known_and_unknown_addresses(studio: Studio):
    await studio.give_credits("known@example.com")
    pages = []
    for email in ("known@example.com", "other@example.com"):
        asked = await studio.send(f"{studio.base}/sign-in", {"email": email})
        pages.append((asked.status_code, (await studio.page(asked.headers["location"])).replace(email, "…")))

    wrong = await studio.send(f"{studio.base}/sign-in", {"email": "no address"})

    assert pages[0] == pages[1]
    assert wrong.status_code == 422
    assert "That is no e-mail address" in is_sound(wrong.text).text


async def test_a_guest_books_a_free_class_and_the_link_shows_cancels_and_puts_it_into_a_calendar(studio: Studio):
    a_class = await studio.add_class("Open Evening", cost=0, capacity=1)
    path = f"{studio.base}/classes/{a_class}"
    fields = await studio.fields(path)
    form = fields | {"name": "Guest One", "email": "one@example.com", "seats": "1"}

    wrong = await studio.send(f"{path}/bookings", form | {"email": "x", "name": ""})
    booked = await studio.send(f"{path}/bookings", form)
    again = await studio.send(f"{path}/bookings", form)
    own = booked.headers["location"]
    page = await studio.page(own)
    file = await studio.get(f"{own}/calendar.ics")
    full = await studio.page(path)
    asked = await studio.page(f"{own}/cancel")
    cancelled = await studio.send(f"{own}/cancel", await studio.fields(f"{own}/cancel"))
    after = await studio.page(own)
    later = await studio.get(f"{own}/calendar.ics")

    assert wrong.status_code == 422
    assert "Tell us your name." in is_sound(wrong.text).text
    assert (booked.status_code, again.status_code) == (303, 303)
    assert again.headers["location"] == own
    row = await studio.stage.row("select id, number, status, cancelled_by, version from booking")
    assert "You are booked" in is_sound(page).text
    assert row["number"] in page
    assert ids.show(ids.BOOKING, row["id"]) not in page
    assert "Every seat is taken" in is_sound(full).text
    assert "What happens then" in is_sound(asked).text
    assert cancelled.headers["location"] == own
    assert (row["status"], row["cancelled_by"]) == ("cancelled", "online")
    assert "This booking is cancelled" in is_sound(after).text
    (event,) = icalendar.Calendar.from_ical(file.content).walk("VEVENT")
    (gone,) = icalendar.Calendar.from_ical(later.content).walk("VEVENT")
    assert str(event["DTSTART"].params["TZID"]) == "Europe/Amsterdam"
    assert (event["UID"], event["STATUS"]) == (gone["UID"], "CONFIRMED")
    assert gone["STATUS"] == "CANCELLED"
    assert gone["SEQUENCE"] > event["SEQUENCE"]
    assert file.headers["content-type"].startswith("text/calendar")


async def test_a_calendar_has_the_right_instants_in_the_hour_that_comes_twice(studio: Studio):
    last = date(datetime.now(UTC).year + 1, 10, 31)
    sunday = last - timedelta(days=last.isoweekday() % 7)
    # Half past one, half past two, half past two again: each lasts an hour.
    begins = [datetime.combine(sunday, time(23, 30), UTC) - timedelta(days=1) + timedelta(hours=n) for n in range(3)]
    read = []
    for n, starts_at in enumerate(begins):
        path = f"{studio.base}/classes/{await studio.add_class(cost=0, starts_at=starts_at)}"
        form = await studio.fields(path) | {"name": "Ann", "email": f"ann{n}@example.org", "seats": "1"}
        booked = await studio.send(f"{path}/bookings", form)
        file = await studio.get(f"{booked.headers['location']}/calendar.ics")
        (event,) = icalendar.Calendar.from_ical(file.content).walk("VEVENT")
        read.append([event[name].to_ical().decode() for name in ("DTSTART", "DTEND")])
        assert [event.decoded(name).astimezone(UTC) for name in ("DTSTART", "DTEND")] == [
            starts_at,
            starts_at + timedelta(hours=1),
        ]

    day = f"{sunday:%Y%m%d}T"
    assert read[0] == [f"{day}013000", f"{day}023000"]
    assert read[1:] == [[f"{day}003000Z", f"{day}013000Z"], [f"{day}013000Z", f"{day}023000Z"]]


async def test_credits_pay_once_signed_in_and_cancelling_says_before_what_it_does(studio: Studio):
    await studio.give_credits("zoe@example.com", 2)
    a_class = await studio.add_class("Morning Flow", cost=1)
    path = f"{studio.base}/classes/{a_class}"
    guest = await studio.page(path)
    await studio.sign_in("zoe@example.com")
    page = await studio.page(path)
    fields = await studio.fields(path)

    booked = await studio.send(f"{path}/bookings", fields)
    own = booked.headers["location"]
    account = await studio.page(f"{studio.base}/account")
    twice = await studio.page(path)
    asked = await studio.page(f"{own}/cancel")
    await studio.send(f"{own}/cancel", await studio.fields(f"{own}/cancel"))
    after = await studio.page(f"{studio.base}/account")

    assert "Sign in to book" in is_sound(guest).text
    assert "You have 2 credits for this class." in is_sound(page).text
    assert booked.status_code == 303, booked.text
    assert "1 credit" in is_sound(account).text
    assert "good until" in account
    assert "You are booked" in is_sound(twice).text
    assert "You get 1 credit back" in is_sound(asked).text
    assert "2 credits" in is_sound(after).text
    assert "cancelled" in after


async def test_why_somebody_cannot_book_is_told_whole_to_that_person_and_to_nobody_else(studio: Studio):
    customer = await studio.give_credits("zoe@example.com", 1, ends_in_days=1)
    a_class = await studio.add_class("Morning Flow", cost=1, price=None, days=3)
    async with studio.stage.db.tenant(studio.stage.tenant_id) as tx:
        await tx.execute(
            "insert into attendee (tenant_id, customer_id, is_banned) values ($1, $2, true)",
            *(studio.stage.tenant_id, customer),
        )
    free = await studio.add_class("Open Evening", cost=0)
    path = f"{studio.base}/classes/{free}"
    fields = await studio.fields(path)
    refused = await studio.send(f"{path}/bookings", fields | {"name": "X", "email": "zoe@example.com", "seats": "1"})
    await studio.sign_in("zoe@example.com")

    why = is_sound(await studio.page(f"{studio.base}/classes/{a_class}")).text

    assert refused.status_code == 409
    assert "Sign in with it to see why" in is_sound(refused.text).text
    assert "may not book" not in refused.text
    assert "Why you cannot book it" in why
    for part in ("You may not book here.", "1 credit is asked for, 0 can be spent on this class.", "expire"):
        assert part in why, part
    assert "/v1/" not in why
    assert await studio.stage.value("select count(*) from booking") == 0


async def test_a_full_class_is_waited_for_and_left_again(studio: Studio):
    await studio.give_credits("zoe@example.com", 2)
    a_class = await studio.add_class("Morning Flow", cost=1, capacity=0)
    path = f"{studio.base}/classes/{a_class}"
    stranger = await studio.page(path)
    await studio.sign_in("zoe@example.com")
    await studio.send(f"{path}/waitlist", await studio.fields(path, f"{path}/waitlist"))
    waits = await studio.page(path)
    account = await studio.page(f"{studio.base}/account")
    leave = re.search(r'action="([^"]+/account/waitlist/[^"]+)"', account)[1]
    foreign = await studio.send(leave[:-1] + ("0" if leave[-1] != "0" else "1"), await studio.fields(path))
    left = await studio.send(leave, await studio.fields(f"{studio.base}/account", leave))

    assert "Join the waitlist" in is_sound(stranger).text
    assert "You are the next" in is_sound(waits).text
    assert "Where you wait" in is_sound(account).text
    assert foreign.status_code == 404
    assert left.status_code == 303
    assert await studio.stage.value("select status from waitlist_entry") == "left"


async def test_a_guest_waits_for_a_full_class_once_the_mailed_link_or_its_code_confirms_it(studio: Studio):
    path = f"{studio.base}/classes/{await studio.add_class('Morning Flow', cost=0, capacity=0)}"
    other = f"{studio.base}/classes/{await studio.add_class('Slow', cost=0, capacity=1, days=3)}"
    nameless = await studio.send(f"{path}/waitlist", {"name": "", "email": "ann"})
    asked = await studio.send(f"{path}/waitlist", {"name": "Ann", "email": "ann@example.com"})
    told = await studio.page(asked.headers["location"])
    before = await studio.stage.value("select count(*) from waitlist_entry")
    mail = (await studio.mailed())[-1]
    link = re.search(r"https://pay.example.org(/\S+token=\S+)", mail.text)[1]
    opened = [await studio.page(link) for _ in range(2)]
    looked = await studio.stage.value("select count(*) from waitlist_entry")
    form = {"token": link.partition("token=")[2]}

    confirmed = await studio.send(f"{studio.base}/enter", form)
    again = await studio.send(f"{studio.base}/enter", form | await studio.fields(path))
    waits = await studio.page(path)
    await studio.send(
        f"{studio.base}/sign-out", await studio.fields(f"{studio.base}/account", f"{studio.base}/sign-out")
    )
    by_code = await studio.send(f"{path}/waitlist", {"name": "Bob", "email": "bob@example.com"})
    code = re.search(r"\n    (\d{3} \d{3})\n", (await studio.mailed())[-1].text)[1]
    coded = await studio.send(by_code.headers["location"], {"code": code})
    await studio.send(
        f"{studio.base}/sign-out", await studio.fields(f"{studio.base}/account", f"{studio.base}/sign-out")
    )
    free = await studio.send(f"{other}/waitlist", {"name": "Cy", "email": "cy@example.com"})
    code = re.search(r"\n    (\d{3} \d{3})\n", (await studio.mailed())[-1].text)[1]
    refused = await studio.send(free.headers["location"], {"code": code})

    assert nameless.status_code == 422
    for part in ("Tell us your name", "no e-mail address"):
        assert part in is_sound(nameless.text).text
    assert "ann@example.com" in is_sound(told).text
    assert "Until then you do not" in is_sound(told).text
    assert (before, looked) == (0, 0)
    assert mail.to == "ann@example.com"
    for part in ("Hello Ann", "wait for a seat", "Morning Flow", "Europe/Amsterdam"):
        assert part in mail.text
    assert "Wait for a seat?" in is_sound(opened[1]).text
    assert (confirmed.status_code, confirmed.headers["location"]) == (303, path)
    assert again.status_code == 422
    assert "You are the next" in is_sound(waits).text
    assert coded.headers["location"] == path
    names = "select c.name from waitlist_entry w join customer c on c.id = w.customer_id order by w.seq"
    assert [row["name"] for row in await studio.stage.rows(names)] == ["Ann", "Bob"]
    assert refused.status_code == 409
    assert "Book, it is free" in is_sound(refused.text).text
    assert "has 1 free seats" in refused.text


async def test_a_booking_is_opened_by_its_link_or_its_customer_and_by_nobody_else(studio: Studio):
    a_class = await studio.add_class("Open Evening", cost=0)
    path = f"{studio.base}/classes/{a_class}"
    form = await studio.fields(path) | {"name": "One", "email": "one@example.com", "seats": "1"}
    own = (await studio.send(f"{path}/bookings", form)).headers["location"]
    link = own.rpartition("/")[2]
    booking = ids.show(ids.BOOKING, await studio.stage.value("select id from booking"))
    theirs = f"/b/{ids.show(ids.TENANT, studio.theirs.stage.tenant_id)}"
    guesses = [
        f"{studio.base}/bookings/{booking}",
        f"{studio.base}/bookings/{link[:-43]}{'A' * 43}",
        f"{studio.base}/bookings/{link[:-1]}",
        f"{studio.base}/bookings/bkg_x",
        f"{theirs}/bookings/{link}",
        f"{theirs}/classes/{a_class}",
        f"{studio.base}/bookings/x%00",
    ]
    before = [(await studio.get(guess)).status_code for guess in guesses]
    await studio.sign_in("two@example.com")
    other = [(await studio.get(f"{guess}{end}")).status_code for guess in guesses for end in ("", "/cancel", "/pay")]
    await studio.send(f"{studio.base}/sign-out", await studio.fields(f"{studio.base}/account"))
    await studio.sign_in("one@example.com")

    mine = await studio.get(guesses[0])

    assert before == [404] * 7
    assert set(other) == {404}
    assert mine.status_code == 200
    taken = form | {"link": f"{link[:26]}{booking.partition('_')[2]}_{'A' * 43}", "email": "evil@example.com"}
    fresh = await studio.fields(f"{studio.base}/account")
    stolen = await studio.send(f"{path}/bookings", taken | {"form_token": fresh["form_token"]})
    assert link not in stolen.headers.get("location", "")
    assert (await studio.get(f"{studio.base}/bookings/{taken['link']}")).status_code == 404


async def test_hostile_words_are_refused_or_shown_as_words(studio: Studio):
    a_class = await studio.add_class("<script>alert(1)</script>", cost=0, about='"><img src=x>')
    path = f"{studio.base}/classes/{a_class}"
    fields = await studio.fields(path)
    evil = '"><script>alert(1)</script>'

    for given in ({"name": evil, "email": evil}, {"link": evil}, {"seats": "10"}, {"seats": "٣"}, {"pays": evil}, {}):
        answer = await studio.send(f"{path}/bookings", fields | {"name": "A", "email": "a@b.co"} | given)
        assert answer.status_code < 500, given
        assert "<script>" not in answer.text
    for query in (
        {"from": "x"},
        {"from": "9999-99-99"},
        {"from": "2000-01-01"},
        {"venue": "x"},
        {"from": "0001-01-01"},
    ):
        answer = await studio.get(studio.base, **query)
        assert answer.status_code in (200, 400), query
    ends = (
        "",
        "/account?before=x",
        "/account?before=%00",
        "/sign-in?next=//evil",
        "/sign-in/x",
        "/enter?token=%ff",
        "/classes/x",
    )
    for base in (studio.base, "/b/ten_x", f"/b/{ids.show(ids.TENANT, ids.new())}", "/b/%00"):
        for end in ends:
            assert (await studio.get(f"{base}{end}")).status_code < 500, (base, end)
    page = await studio.page(path)
    assert "<script>" not in page
    assert "<img" not in page
    door = await studio.page(f"{studio.base}/sign-in", next="//evil.test")
    assert "evil.test" not in door


async def test_a_booking_is_moved_to_a_class_that_costs_the_same_and_its_mail_leads_to_it(studio: Studio):
    first = await studio.add_class("Open Evening", cost=0, days=2)
    other = await studio.add_class("Open Evening", cost=0, days=4)
    dear = await studio.add_class("Morning Flow", cost=1, days=4)
    path = f"{studio.base}/classes/{first}"
    form = await studio.fields(path) | {"name": "One", "email": "one@example.com", "seats": "1"}
    own = (await studio.send(f"{path}/bookings", form)).headers["location"]
    link = re.search(r"https://pay.example.org(/b/\S+)", (await studio.mailed())[-1].text)[1]
    asked = await studio.page(f"{own}/move")

    refused = await studio.send(f"{own}/move", {"class": dear})
    moved = await studio.send(f"{link}/move", {"class": other})
    again = await studio.send(f"{own}/move", {"class": first})

    assert other in asked
    assert dear not in is_sound(asked).values("value")
    assert refused.status_code == 409
    assert "Your booking is as it was." in is_sound(refused.text).text
    assert moved.status_code == 303
    assert "You are booked" in is_sound(await studio.page(moved.headers["location"])).text
    assert again.status_code == 409
    rows = await studio.stage.rows("select class_id, status from booking order by id")
    assert [(ids.show(ids.CLASS, row["class_id"]), row["status"]) for row in rows] == [
        (first, "cancelled"),
        (other, "booked"),
    ]


@pytest.fixture
async def till(db, database_url: str, tmp_path: Path) -> AsyncIterator[Studio]:
    """A studio whose seats are paid at a gateway of its own."""
    async with sandbox_at(tmp_path) as sandbox, studio_at(db, database_url, sandbox=sandbox) as studio:
        yield studio


async def test_a_guest_pays_and_the_page_says_booked_with_the_number(till: Studio):
    a_class = await till.add_class("Morning Flow", cost=1, price="seat", capacity=1)
    path = f"{till.base}/classes/{a_class}"
    form = await till.fields(path) | {"name": "One", "email": "one@example.com", "seats": "1"}
    sending = asyncio.create_task(till.send(f"{path}/bookings", form))
    while not sending.done():
        await till.work()
        await asyncio.sleep(0.01)
    paying = (await sending).headers["location"]
    own = paying.removesuffix("/pay")
    held = await till.page(own)
    full = await till.page(path)
    led = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', await till.page(paying))[1]
    card = {
        "email": "one@example.com",
        "method": "card",
        "number": "4242424242424242",
        "expiry": "12 / 34",
        "cvc": "123",
    }
    await till.sandbox.http.post(led, data=card)
    back = await till.page(own, n="1")
    await till.hear()
    booked = await till.page(own, n="1")
    again = await till.get(paying)

    assert paying.endswith("/pay")
    assert "A seat is held for you" in is_sound(held).text
    assert "Pay 15.00 EUR" in held
    assert "Every seat is taken" in full
    assert "Your payment is being confirmed" in is_sound(back).text
    assert f"url={own}?n=2" in back
    row = await till.stage.row("select number, status from booking")
    assert row["status"] == "booked"
    assert "You are booked" in is_sound(booked).text
    assert row["number"] in booked
    assert "15.00 EUR paid." in booked
    assert 'http-equiv="refresh"' not in booked
    assert again.headers["location"] == own


async def test_an_appointment_is_chosen_by_service_staff_and_time_booked_once_and_its_time_is_gone(
    db, database_url: str
):
    async with salon(db, database_url) as made:
        base = f"/b/{ids.show(ids.TENANT, made.stage.tenant_id)}"
        transport = httpx2.ASGITransport(made.app, raise_app_exceptions=False)
        async with httpx2.AsyncClient(transport=transport, base_url=ORIGIN) as browser:
            listed = await browser.get(f"{base}/services")
            path = f"{base}/services/{made.names['massage']}/{made.names['free']}"
            free = await browser.get(path, params={"staff": made.names["mia"]})
            at = re.search(r"at=([^&\"]+)", free.text)[1]
            form = await browser.get(f"{path}?at={at}&staff={made.names['mia']}")
            fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form.text))
            fields |= {"name": "One", "email": "one@example.com"}
            booked = await browser.post(path, data=fields, headers={"origin": ORIGIN})
            again = await browser.post(path, data=fields, headers={"origin": ORIGIN})
            page = await browser.get(booked.headers["location"])
            gone = await browser.get(f"{path}?at={at}&staff={made.names['mia']}")
            other = {**fields, "email": "two@example.com", "link": re.sub(r".{43}$", "B" * 43, fields["link"])}
            taken = await browser.post(path, data=other, headers={"origin": ORIGIN})
            odd = [(await browser.get(f"{path}?{query}")).status_code for query in ("at=x", "staff=x", "at=%00")]
            bad = await browser.post(path, data=fields | {"at": "x", "link": other["link"]}, headers={"origin": ORIGIN})

        assert "Massage , Trial Free" in is_sound(listed.text).text
        assert path in listed.text
        assert "09:00" in is_sound(free.text).text
        assert "Book it" in is_sound(form.text).text
        assert (booked.status_code, again.headers["location"]) == (303, booked.headers["location"])
        assert "You are booked" in is_sound(page.text).text
        assert "Mia" in page.text
        assert "not free any more" in is_sound(gone.text).text
        assert taken.status_code == 409
        assert odd == [200, 400, 200]
        assert bad.status_code == 400
        assert await made.stage.value("select count(*) from booking where kind = 'service'") == 1


async def test_a_fee_is_told_before_cancelling_owed_after_and_paid_on_the_bookings_own_page(till: Studio):
    terms = {"cancel_minutes": 90 * 24 * 60, "late_cancel_fee_minor": 1000, "fee_currency": "EUR"}
    made = await till.mine.post("/v1/booking-policies", {"name": "Strict", "terms": terms, "is_default": True})
    a_class = await till.add_class("Open Evening", cost=0)
    path = f"{till.base}/classes/{a_class}"
    before = await till.page(path)
    form = await till.fields(path) | {"name": "One", "email": "one@example.com", "seats": "1"}
    own = (await till.send(f"{path}/bookings", form)).headers["location"]
    told = await till.page(f"{own}/cancel")
    await till.send(f"{own}/cancel", await till.fields(f"{own}/cancel"))
    owed = await till.page(own)
    mail = (await till.mailed())[-1]
    sending = asyncio.create_task(till.send(f"{own}/fee", await till.fields(own)))
    while not sending.done():
        await till.work()
        await asyncio.sleep(0.01)
    paying = (await sending).headers["location"]
    led = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', await till.page(paying))[1]
    card = {
        "email": "one@example.com",
        "method": "card",
        "number": "4242424242424242",
        "expiry": "12 / 34",
        "cvc": "123",
    }
    await till.sandbox.http.post(led, data=card)
    await till.hear()
    paid = await till.page(own)
    again = await till.send(f"{own}/fee", await till.fields(f"{path}"))

    assert made.status_code == 201, made.text
    assert "Cancelling later costs 10.00 EUR." in before
    assert "You owe a fee of 10.00 EUR." in is_sound(told).text
    assert "You owe 10.00 EUR" in is_sound(owed).text
    assert (mail.to, "You owe 10.00 EUR" in mail.subject, f"{ORIGIN}{till.base}/bookings/" in mail.text) == (
        "one@example.com",
        True,
        True,
    )
    assert "The fee for cancelling late of 10.00 EUR is paid." in is_sound(paid).text
    assert again.headers["location"] == own
    assert [row["status"] for row in await till.stage.rows("select status from booking_fee")] == ["paid"]


async def test_a_coupon_is_shown_before_paying_and_the_gateway_takes_what_is_left(till: Studio):
    a_class = await till.add_class("Morning Flow", cost=1, price="seat")
    path = f"{till.base}/classes/{a_class}"
    without = await till.page(path)
    made = await till.mine.post("/v1/coupons", {"code": "SPRING", "percent": 40, "uses_max": 1})
    form = await till.fields(path) | {"name": "One", "email": "one@example.com", "seats": "2", "coupon": "spring"}
    shown = is_sound((await till.send(f"{path}/bookings", form | {"check": "1"})).text).text
    wrong = await till.send(f"{path}/bookings", form | {"coupon": "<b>none", "check": "1"})
    refused = await till.send(f"{path}/bookings", form | {"coupon": "NONE"})
    sending = asyncio.create_task(till.send(f"{path}/bookings", form))
    while not sending.done():
        await till.work()
        await asyncio.sleep(0.01)
    own = (await sending).headers["location"].removesuffix("/pay")
    held = await till.page(own)
    led = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', await till.page(f"{own}/pay"))[1]
    card = {
        "email": "one@example.com",
        "method": "card",
        "number": "4242424242424242",
        "expiry": "12 / 34",
        "cvc": "123",
    }
    await till.sandbox.http.post(led, data=card)
    await till.hear()
    booked = await till.page(own, n="1")
    gone = await till.send(f"{path}/bookings", await till.fields(path) | form | {"check": "1"})

    assert made.status_code == 201, made.text
    assert "oupon" not in is_sound(without).text
    for part in ("Price 30.00 EUR", "Coupon SPRING − 12.00 EUR", "To pay 18.00 EUR", "Book and pay 18.00 EUR"):
        assert part in re.sub(r"\s+", " ", shown), part
    assert "There is no coupon &lt;B&gt;NONE" in wrong.text
    assert (refused.status_code, "There is no coupon NONE." in refused.text) == (409, True)
    assert "Pay 18.00 EUR" in held
    assert "18.00 EUR paid." in is_sound(booked).text
    assert "was taken as often as it may be" in gone.text
    assert await till.stage.value("select amount_minor from payment where status = 'succeeded'") == 1800
    assert await till.stage.value("select count(*) from refund") == 0


async def test_a_button_tells_a_deposit_and_a_coupon_that_leaves_nothing_in_whole_sentences(till: Studio):
    a_class = await till.add_class("Morning Flow", cost=1, price="seat")
    path = f"{till.base}/classes/{a_class}"
    await till.mine.send("PATCH", f"/v1/classes/{a_class}", {"deposit_percent": 33})
    await till.mine.post("/v1/coupons", {"code": "GIFT", "percent": 100})
    form = await till.fields(path) | {"name": "Zoe", "email": "zoe@example.com", "coupon": "GIFT", "check": "1"}
    of_nobody = (await till.send(f"{path}/bookings", form)).text
    await till.give_credits("zoe@example.com", 2)
    await till.sign_in("zoe@example.com")
    usual = await till.page(path)
    nothing_left = (await till.send(f"{path}/bookings", form | await till.fields(path) | {"pays": "money"})).text

    assert "Book with the coupon, nothing to pay</button>" in of_nobody
    assert "Pay with money instead: 4.95 EUR now, 10.05 EUR at the studio</button>" in usual
    assert "Book with the coupon instead, nothing to pay</button>" in nothing_left


async def test_credits_that_were_paid_at_the_desk_are_owed_in_real_money_whoever_has_them(till: Studio):
    desk = (await till.mine.post("/v1/gateway-accounts", {"gateway": "manual", "name": "Desk"})).json()["id"]
    grants = [{"kind": "credits", "amount": 10, "pool": "classes"}]
    product = (await till.mine.post("/v1/products", {"name": "Ten"})).json()["id"]
    ten = {"product": product, "lookup_key": "ten", "amount_minor": 12000, "currency": "EUR", "grants": grants}
    await till.mine.post("/v1/prices", ten)
    who = ids.show(ids.CUSTOMER, await till.give_credits("zoe@example.com", 3))
    paid = {"amount_minor": 12000, "currency": "EUR", "method": "cash", "reference": "r1", "price": "ten"}
    await till.mine.post("/v1/manual-payments", paid | {"customer": who, "gateway_account": desk})
    await till.stage.apply()
    rows = (await till.mine.get("/v1/booking-reports/credit-liability")).json()["data"]

    told = {(row["credits"], row["value_minor"], row["is_sandbox"]) for row in rows}
    assert told == {(10, 12000, False), (3, None, True)}


async def test_who_has_too_few_credits_is_told_the_rest_and_pays_it_with_money(till: Studio):
    a_class = await till.add_class("Morning Flow", cost=2, price="seat")
    path = f"{till.base}/classes/{a_class}"
    await till.give_credits("zoe@example.com", 1)
    await till.sign_in("zoe@example.com")
    usual = await till.page(path)
    answer = await till.mine.send("PUT", "/v1/booking-rules/paid_with_one_thing", {"is_on": False})
    page = await till.page(path)
    fields = await till.fields(path, f"{path}/bookings")
    sending = asyncio.create_task(till.send(f"{path}/bookings", fields))
    while not sending.done():
        await till.work()
        await asyncio.sleep(0.01)
    own = (await sending).headers["location"].removesuffix("/pay")
    held = await till.page(own)

    assert answer.status_code == 200
    assert "and 7.50 EUR" not in usual
    assert "Book with 1 credit and 7.50 EUR" in is_sound(page).text
    assert fields["pays"] == "both"
    assert "Pay 7.50 EUR" in held
    row = await till.stage.row("select paid_with, credit_cost, due_minor from booking")
    assert tuple(row.values()) == ("credits_and_money", 1, 750)


async def test_a_tax_on_top_is_told_before_and_asked_for_with_the_price(till: Studio):
    a_class = await till.add_class("Morning Flow", cost=0, price="seat")
    path = f"{till.base}/classes/{a_class}"
    venue = ids.show(ids.VENUE, await till.stage.value("select venue_id from class_instance limit 1"))
    await till.mine.send("PATCH", f"/v1/venues/{venue}", {"tax_bp": 1900})
    within = await till.page(path)
    await till.mine.send("PATCH", f"/v1/venues/{venue}", {"tax_bp": 825, "tax_included": False})
    timetable, before = await till.page(till.base), await till.page(path)
    fields = await till.fields(path, f"{path}/bookings")
    who = fields | {"name": "Zoe", "email": "zoe@example.com", "seats": "2"}
    priced = await till.send(f"{path}/bookings", who | {"check": "1"})
    sending = asyncio.create_task(till.send(f"{path}/bookings", who))
    while not sending.done():
        await till.work()
        await asyncio.sleep(0.01)
    held = await till.page((await sending).headers["location"].removesuffix("/pay"))

    assert "The money has 19 % tax in it: 2.39 EUR" in is_sound(within).text
    assert "Book and pay 15.00 EUR a seat" in within
    assert "plus tax" in is_sound(timetable).text
    assert "15.00 EUR plus 8.25 % tax" in is_sound(before).text
    assert "With money 16.24 EUR in all, 1.24 EUR of it tax" in before
    assert "Book and pay 15.00 EUR a seat plus tax" in before
    assert "Tax, 8.25 % + 2.48 EUR To pay 32.48 EUR" in is_sound(priced.text).text
    assert "Pay 32.48 EUR" in is_sound(held).text
    assert "2.48 EUR of 32.48 EUR (8.25 %)" in held


async def test_a_deposit_is_told_before_and_the_rest_after_it_was_paid(till: Studio):
    a_class = await till.add_class("Morning Flow", cost=0, price="seat")
    path = f"{till.base}/classes/{a_class}"
    await till.mine.send("PATCH", f"/v1/classes/{a_class}", {"deposit_percent": 33})
    before = await till.page(path)
    who = await till.fields(path, f"{path}/bookings") | {"name": "Zoe", "email": "zoe@example.com", "seats": "2"}
    priced = await till.send(f"{path}/bookings", who | {"check": "1"})
    sending = asyncio.create_task(till.send(f"{path}/bookings", who))
    while not sending.done():
        await till.work()
        await asyncio.sleep(0.01)
    own = (await sending).headers["location"].removesuffix("/pay")
    held = await till.page(own)
    led = re.search(r'http-equiv="refresh" content="0; url=([^"]+)"', await till.page(f"{own}/pay"))[1]
    card = {
        "email": "zoe@example.com",
        "method": "card",
        "number": "4242424242424242",
        "expiry": "12 / 34",
        "cvc": "123",
    }
    await till.sandbox.http.post(led, data=card)
    await till.hear()
    booked = await till.page(own, n="1")

    assert "With money you pay 4.95 EUR a seat to book, and 10.05 EUR at the studio" in is_sound(before).text
    assert "Book and pay 33 % of 15.00 EUR a seat now, the rest at the studio" in before
    assert "Price 30.00 EUR To pay now 9.90 EUR At the studio 20.10 EUR" in is_sound(priced.text).text
    assert "Book and pay 9.90 EUR now, 20.10 EUR at the studio" in priced.text
    assert "Pay 9.90 EUR" in is_sound(held).text
    assert "You pay the other 20.10 EUR at the studio." in held
    assert "9.90 EUR of 30.00 EUR paid ahead. You pay the other 20.10 EUR at the studio." in is_sound(booked).text


async def test_a_business_that_is_paid_at_its_desk_says_so_before_and_after_booking(studio: Studio):
    a_class = await studio.add_class("Flow", cost=0, price="seat", capacity=1)
    path = f"{studio.base}/classes/{a_class}"
    unpaid = is_sound(await studio.page(path))
    made = await studio.mine.post("/v1/gateway-accounts", {"gateway": "manual", "name": "Counter"})
    assert made.status_code == 201, made.text

    before = is_sound(await studio.page(path))
    form = await studio.fields(path) | {"name": "Guest One", "email": "one@example.com", "seats": "1"}
    booked = await studio.send(f"{path}/bookings", form)
    onward = await studio.get(booked.headers["location"])
    own = onward.headers["location"]
    held = is_sound(await studio.page(own))
    number = await studio.stage.value("select number from booking")
    (booking,) = await studio.mine.data("/v1/bookings")
    (letter,) = await studio.mailed()
    paid = await studio.mine.post(f"/v1/bookings/{booking['id']}/desk-payments", {"method": "cash"})
    await studio.stage.apply()
    after = is_sound(await studio.page(own))

    assert "takes no payments on this page yet" in unpaid.text
    assert "takes payment at its desk, not here. The seat is held for you for 15 minutes" in before.text
    assert "payment provider" not in before.text
    assert (booked.status_code, onward.status_code, paid.status_code) == (303, 303, 202)
    assert "Nothing was paid yet, and you are not booked yet." in held.text
    assert "takes payment at its desk: pay 15.00 EUR there until" in held.text
    assert number in held.text
    assert letter.to == "one@example.com"
    assert "takes payment at its desk. Pay there until then, and you are booked." in letter.text
    assert "You are booked" in after.text
