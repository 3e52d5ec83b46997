"""The schedule's pages, by their forms alone: from an empty business to classes that repeat, change and are deleted."""

import json
import re
from datetime import UTC, datetime, timedelta

import httpx2
from test_every_page import _is_sound
from visitors import Markup, Site, Visitor

from bursar.kernel import ids

TITLES = "select title, local_start::text as start, status from class_instance order by starts_at, id"


def landed(answer: httpx2.Response) -> str:
    assert answer.status_code == 303, Markup(answer.text).text
    return answer.headers["location"]


def offered(text: str, select: str) -> dict[str, str]:
    """Return the options of a select of a page, by their words."""
    found = re.search(rf'<select id="{select}".*?</select>', text, re.DOTALL)
    assert found, select
    return {word.strip(): value for value, word in re.findall(r'<option value="([^"]*)"[^>]*>([^<]*)<', found[0])}


async def furnish(visitor: Visitor) -> dict[str, str]:
    """Add a venue, a room and an instructor, and return what the form of a class offers of them."""
    places = "/schedule/places"
    landed(
        await visitor.post(
            f"{places}/venues", {"name": "Quay", "time_zone": "Europe/Berlin", "address": "Pier 1\r\nHarbour"}
        )
    )
    venue = offered(await visitor.page(places), "venue")["Quay"]
    landed(await visitor.post(f"{places}/rooms", {"venue": venue, "name": "Hall", "capacity": "12"}))
    landed(await visitor.post(f"{places}/staff", {"name": "Ines <b>", "about": ""}))
    form = await visitor.page("/schedule/templates/new")
    room, staff = offered(form, "room"), offered(form, "staff")
    return {"venue": venue, "room": room["Hall (Quay), 12 seats"], "staff": staff["Ines &lt;b&gt;"]}


def filled(place: dict[str, str], **more: str) -> dict[str, str]:
    usual = {"title": "Flow", "about": "", "local_start": "18:00", "duration_min": "60", "capacity": "", "credit_cost": "1",
             "pools": "vip, classes", "price": "", "policy": "", "is_published": "on"}  # fmt: skip
    return usual | place | more


async def test_a_business_plans_its_week_by_forms_alone(site: Site):
    visitor, stage = site.empty, site.empty.stage
    tomorrow = (datetime.now(UTC) + timedelta(days=2)).date()
    weekday = tomorrow.strftime("%A")[:2].upper()
    place = await furnish(visitor)

    new = filled(place, starts_on=str(tomorrow), every="1", rule="", ends_on="") | {f"day {weekday}": "on"}
    template = landed(await visitor.post("/schedule/templates/new", new)).partition("?")[0]
    shown = await visitor.page(template)
    made = await stage.rows(TITLES)
    again = await visitor.post("/schedule/templates/new", new | {"title": "Clash"})
    third = (tomorrow + timedelta(weeks=2)).isoformat()
    changed = filled(
        place, title="Slow", from_day=third, every="1", rule="", ends_on="", capacity="8", deposit_percent="25"
    ) | {f"day {weekday}": "on"}
    wrong = [await visitor.post(template, changed | {"deposit_percent": text}) for text in ("0", "100", "a", "9" * 30)]
    following = landed(await visitor.post(template, changed)).partition("?")[0]
    split = await stage.rows(TITLES)
    later = changed | {"from_day": "", "local_start": "19:30"}
    landed(await visitor.post(following, later))
    moved = await stage.rows(TITLES)
    deposits = await stage.rows(
        "select title, deposit_percent as percent from class_instance where status = 'scheduled'"
    )
    form = await visitor.page(following)
    landed(await visitor.post(following, later | {"deposit_percent": ""}))

    assert {(row["title"], row["percent"]) for row in deposits} == {("Flow", None), ("Slow", 25)}
    assert 'name="deposit_percent" type="number" min="1" max="99" step="1" value="25"' in form
    assert await stage.value("select count(*) from class_instance where deposit_percent is not null") == 0
    assert {answer.status_code for answer in wrong} == {422}
    assert "The deposit is a whole number from 1 to 99, or empty." in Markup(wrong[0].text).text
    assert len(made) == 8
    assert {(row["title"], row["start"]) for row in made} == {("Flow", "18:00:00")}
    assert f"every week on {weekday.title()}" in Markup(shown).text
    assert again.status_code == 409
    assert "the instructor gives Flow" in Markup(again.text).text
    assert [row["title"] for row in split] == ["Flow"] * 2 + ["Slow"] * 6
    assert [row["start"] for row in moved] == ["18:00:00"] * 2 + ["19:30:00"] * 6
    week = await visitor.page(f"/schedule/week?day={tomorrow}")
    assert "0 of 12" in Markup(week).text
    for path in (
        template,
        following,
        f"/schedule/week?day={tomorrow}",
        "/schedule/places",
        "/schedule/templates",
        "/schedule/terms/new",
    ):
        _is_sound(await visitor.page(path))


async def test_a_manager_is_led_to_what_customers_see(site: Site):
    visitor = site.empty
    front = f"/b/{ids.show(ids.TENANT, visitor.stage.tenant_id)}"
    day = (datetime.now(UTC) + timedelta(days=2)).date()
    added = landed(
        await visitor.post(
            "/schedule/classes/new", filled(await furnish(visitor), title="Seen by all", local_date=str(day))
        )
    )
    a_class = added.partition("?")[0].rpartition("/")[2]

    led = {
        "/storefront": front,
        f"/schedule/week?day={day}": front,
        f"/schedule/classes/{a_class}": f"{front}/classes/{a_class}",
        "/schedule/services": f"{front}/services",
    }

    for path, there in led.items():
        assert f'href="{there}"' in await visitor.page(path), path
        assert (await visitor.get(there)).status_code == 200, there
    assert "Seen by all" in Markup(await visitor.page(f"{front}/classes/{a_class}")).text


async def test_a_manager_says_who_may_come_and_of_what_category_a_class_is(site: Site):
    visitor, stage = site.empty, site.empty.stage
    day = (datetime.now(UTC) + timedelta(days=2)).date()
    place = await furnish(visitor)
    asked = {"asks": "1", "age_min": "16", "age_max": "", "levels": "beginner,  steady", "genders": "", "membership": "gold",
             "first_timer": "on", "category": "yoga"}  # fmt: skip
    daily = {"starts_on": str(day), "every": "1", "rule": "FREQ=DAILY", "ends_on": "", "about": "Bring a mat."}

    template = landed(await visitor.post("/schedule/templates/new", filled(place, **daily, **asked))).partition("?")[0]
    shown = await visitor.page(template)
    kept = "select distinct category, about, requirements from class_instance"
    made = await stage.rows(kept)
    wrong = [
        await visitor.post(template, filled(place, **daily) | asked | {name: text})
        for name, text in (
            ("age_min", "200"),
            ("levels", ",".join("abcdefghijklmnopqrstuvwxyz")),
            ("category", "Hot Yoga"),
        )
    ]
    plain = filled(place, **daily | {"about": ""}) | {"asks": "1", "category": ""}
    landed(await visitor.post(template, plain))
    emptied = await stage.rows(kept)

    wanted = {"age_min": 16, "levels": ["beginner", "steady"], "membership": "gold", "first_timer": True}
    assert [(row["category"], row["about"], json.loads(row["requirements"])) for row in made] == [
        ("yoga", "Bring a mat.", wanted)
    ]
    for part in ('value="16"', 'value="beginner, steady"', 'value="gold"', 'value="yoga"', "every day"):
        assert part in shown, part
    assert [each.status_code for each in wrong] == [422] * 3
    for answer, words in zip(wrong, ("The ages are", "The levels are", "The category is one word"), strict=True):
        assert words in Markup(answer.text).text
    assert [(row["category"], row["about"], json.loads(row["requirements"])) for row in emptied] == [("", "", {})]
    _is_sound(shown)


async def test_a_manager_adds_a_pack_that_is_sold_by_link(site: Site):
    visitor, stage = site.empty, site.empty.stage
    pack = {"name": "Ten <b> classes", "amount": "120.50", "currency": "eur", "credits": "10", "days": "180", "pool": "classes",
            "is_sold": "on"}  # fmt: skip
    wrong = [
        {"name": " "}, {"amount": "-1"}, {"amount": "1.234"}, {"amount": "1e400"}, {"amount": "NaN"}, {"amount": "\u0661"},
        {"currency": "EURO"}, {"credits": "0"}, {"credits": "9" * 40}, {"days": "x"}, {"pool": ""},
    ]  # fmt: skip

    refused = [await visitor.post("/packs", pack | one) for one in wrong]
    none = await stage.value("select count(*) from price where grants::text like '%classes%'")
    landed(await visitor.post("/packs", pack))
    landed(await visitor.post("/packs", pack | {"name": "Ten yen", "amount": "1200", "currency": "JPY", "days": ""}))
    page = await visitor.page("/packs")
    link = re.search(r'href="(/buy/[^"]+ten-b-classes[^"]+)"', page)
    assert link

    assert [each.status_code for each in refused] == [422] * len(wrong)
    assert none == 0
    sold = "select amount_minor, currency, grants::text as grants from price where grants::text like '%classes%' order by id"
    assert [(row["amount_minor"], row["currency"], json.loads(row["grants"])) for row in await stage.rows(sold)] == [
        (12050, "EUR", [{"kind": "credits", "amount": 10, "pool": "classes", "expires_after": "P180D"}]),
        (1200, "JPY", [{"kind": "credits", "amount": 10, "pool": "classes"}]),
    ]
    assert "10 in classes, within 180 days" in Markup(page).text
    assert "Ten &lt;b&gt; classes" in await visitor.page(link[1])
    _is_sound(page)


async def test_one_class_is_changed_alone_and_deleted_and_a_venue_says_when_it_is_open(site: Site):
    visitor, stage = site.empty, site.empty.stage
    day = (datetime.now(UTC) + timedelta(days=9)).date().isoformat()
    place = await furnish(visitor)

    added = landed(await visitor.post("/schedule/classes/new", filled(place, local_date=day))).partition("?")[0]
    landed(await visitor.post(added, filled(place, local_date=day, title="Guest", capacity="5", pools="")))
    page = await visitor.page(added)
    hours = {"opens 1": "08:00", "closes 1": "01:00", "closed": f"{day}  2030-12-25"}
    venue = f"/schedule/places/venues/{place['venue']}"
    landed(await visitor.post(f"{venue}/hours", hours))
    kept = await stage.rows("select weekday, opens_min, closes_min from venue_hours")
    warned = Markup(await visitor.page(f"/schedule/week?day={day}")).text
    refused = await visitor.post(f"{venue}/delete")
    half = await visitor.post(f"{venue}/hours", {"opens 2": "08:00", "closes 2": ""})
    landed(await visitor.post(f"{venue}/tax", {"tax_bp": "825", "tax_on_top": "on"}))
    taxed = Markup(await visitor.page(venue)).text
    too_much = await visitor.post(f"{venue}/tax", {"tax_bp": "10001"})
    landed(await visitor.post(f"{added}/delete"))
    landed(await visitor.post(f"{venue}/delete"))

    assert "8.25 %, on top of the price" in taxed
    assert (too_much.status_code, "0 to 10000" in too_much.text) == (422, True)
    assert await stage.value("select (tax_bp, tax_included)::text from venue") == "(825,f)"
    assert "Guest" in page
    assert "0 of 5" in Markup(page).text
    assert await stage.value("select pools from class_instance") == []
    assert kept == [{"weekday": 1, "opens_min": 480, "closes_min": 1500}]
    assert "the venue is closed that day" in warned
    assert (refused.status_code, half.status_code) == (409, 422)
    assert "1 classes" in Markup(refused.text).text
    _is_sound(await visitor.page(venue))
    assert await stage.value("select count(*) from venue where deleted_at is null") == 0


async def test_a_class_that_is_booked_moves_only_with_those_who_booked(site: Site):
    visitor, stage = site.empty, site.empty.stage
    day = (datetime.now(UTC) + timedelta(days=9)).date().isoformat()
    place = await furnish(visitor)
    api = {"authorization": f"Bearer {visitor.key}"}
    desk = await visitor.http.post("/v1/gateway-accounts", json={"gateway": "manual", "name": "Desk"}, headers=api)
    assert desk.status_code == 201, desk.text
    added = landed(await visitor.post("/schedule/classes/new", filled(place, local_date=day, credit_cost="0")))
    path = added.partition("?")[0]
    ann = await visitor.http.post("/v1/customers", json={"email": "ann@example.org"}, headers=api)
    new = {"class": path.rpartition("/")[2], "customer": ann.json()["id"], "source": "desk"}
    booked = await visitor.http.post("/v1/bookings", json=new, headers=api)
    assert booked.status_code == 201, booked.text
    later = filled(place, local_date=day, credit_cost="0", local_start="20:00", capacity="12")
    gap = "select b.starts_at - c.starts_at as gap, c.local_start::text as start from booking b join class_instance c on c.id = b.class_id"

    refused = await visitor.post(path, later)
    before = await stage.row(gap)
    landed(await visitor.post(path, later | {"moves_bookings": "on"}))
    after = await stage.row(gap)
    page = await visitor.page(path)
    landed(await visitor.post(f"{path}/cancel", {"reason": "The heating is broken"}))
    ended = await stage.row(
        "select c.status, b.status as booking, c.booked from booking b join class_instance c on c.id = b.class_id"
    )

    assert ended == {"status": "cancelled", "booking": "cancelled", "booked": 0}
    assert refused.status_code == 409
    assert "1 seats are given out" in Markup(refused.text).text
    assert (before["start"], after["start"]) == ("18:00:00", "20:00:00")
    assert before["gap"] == after["gap"] == timedelta()
    _is_sound(page)
    _is_sound(await visitor.page(path))


async def test_terms_and_rules_are_set_by_forms(site: Site):
    visitor, stage = site.empty, site.empty.stage
    text = await visitor.page("/schedule/terms/new")
    markup = Markup(text)
    usual = {f["name"] or "": f["value"] or "" for f in markup.all("input") if f.get("type") == "number"}
    chosen = {"late_cancel": "return", "no_show": "keep", "expired_lot": "grace", "waitlist_mode": "auto"}

    landed(await visitor.post("/schedule/terms/new", usual | chosen | {"name": "Kind", "is_default": "on"}))
    landed(await visitor.post("/schedule/rules/room_free", {"is_on": "on", "is_warning": "on"}))
    landed(await visitor.post("/schedule/rules/bookings_per_day", {"is_on": "on", "bookings_max": "3"}))
    wrong = await visitor.post("/schedule/rules/bookings_per_day", {"is_on": "on", "bookings_max": "-1"})
    unknown = await visitor.post("/schedule/rules/nothing", {})
    rules = {r["rule"]: r["parameters"] for r in await stage.rows("select rule, parameters::text from booking_rule")}
    policy = ids.show(ids.BOOKING_POLICY, await stage.value("select id from booking_policy"))

    assert (wrong.status_code, unknown.status_code) == (422, 404)
    assert rules == {"room_free": '{"is_warning": true}', "bookings_per_day": '{"bookings_max": 3}'}
    assert await stage.value("select terms->>'late_cancel' from booking_policy where is_default") == "return"
    for path in ("/schedule/terms", f"/schedule/terms/{policy}"):
        _is_sound(await visitor.page(path))
    landed(await visitor.post(f"/schedule/terms/{policy}/delete"))


async def test_nothing_of_another_business_is_shown_or_changed(site: Site):
    place = await furnish(site.empty)
    day = (datetime.now(UTC) + timedelta(days=9)).date().isoformat()
    added = landed(await site.empty.post("/schedule/classes/new", filled(place, local_date=day))).partition("?")[0]

    answers = [
        await site.lived.get(added),
        await site.lived.post(added, filled(place, local_date=day, title="Mine")),
        await site.lived.post(f"{added}/delete"),
        await site.lived.get(f"/schedule/places/venues/{place['venue']}"),
        await site.lived.get(f"/schedule/week?venue={place['venue']}"),
    ]

    assert {answer.status_code for answer in answers} == {404}
    assert "Quay" not in await site.lived.page("/schedule/places")
    assert await site.empty.stage.value("select title || status from class_instance") == "Flowscheduled"


async def test_a_manager_offers_a_service_says_who_gives_it_and_when_and_it_can_be_booked(site: Site):
    visitor, stage = site.empty, site.empty.stage
    place = await furnish(visitor)
    day = (datetime.now(UTC) + timedelta(days=9)).date()
    new = {"name": "Massage <b>", "about": "Bring\r\na towel", "category": "", "slot_min": "60", "lead_min": "0", "horizon_days": "30",
           "policy": "", "is_published": "on"}  # fmt: skip
    tier = {"name": "One hour", "duration_min": "60", "before_min": "0", "after_min": "15", "currency": "eur"}
    paid = tier | {"name": "Two hours", "duration_min": "120", "amount": "90.50", "deposit_percent": "20"}
    hours = {"venue": place["venue"], "weekday": "", "date": str(day), "from": "09:00", "until": "12:00", "valid_from": "", "valid_until": ""}  # fmt: skip
    off = {"from": f"{day}T09:00", "until": f"{day}T10:00", "venue": place["venue"], "reason": "dentist"}

    service = landed(await visitor.post("/schedule/services", new)).partition("?")[0]
    bare = Markup(await visitor.page(service)).text
    wrong = [
        await visitor.post(path, form)
        for path, form in (
            ("/schedule/services", new | {"slot_min": "7"}),
            (f"{service}/tiers", tier | {"amount": "1.234"}),
            (f"{service}/tiers", tier | {"deposit_percent": "20"}),
            (f"{service}/tiers", tier | {"duration_min": "4"}),
        )
    ]
    for each in (tier, paid):
        landed(await visitor.post(f"{service}/tiers", each))
    only = re.findall(r'name="(gives tier_[0-9a-z]+)"', await visitor.page(service))[0]
    landed(await visitor.post(f"{service}/staff", {"staff": place["staff"], only: "on"}))
    person = f"/schedule/staff/{place['staff']}"
    wrong += [await visitor.post(f"{person}/hours", hours | more) for more in ({"date": ""}, {"until": "9"})]
    wrong += [await visitor.post(f"{person}/time-off", off | {"until": f"{day}T08:00"})]
    landed(await visitor.post(f"{person}/hours", hours))
    landed(await visitor.post(f"{person}/time-off", off))
    shown, theirs = await visitor.page(service), await visitor.page(person)
    asked = {"service": service.rpartition("/")[2], "tier": only.rpartition(" ")[2]}
    asked |= {"from": f"{day}T00:00:00Z", "to": f"{day + timedelta(days=1)}T00:00:00Z"}
    api = {"authorization": f"Bearer {visitor.key}"}
    free = (await visitor.http.get("/v1/availability", params=asked, headers=api)).json()["data"]

    assert "Nobody can book it yet: it has no tier, and nobody gives it." in bare
    assert {answer.status_code for answer in wrong} == {422}
    assert [slot["local"][11:16] for slot in free] == ["10:00", "11:00"]
    assert "90.50 EUR 18.10 EUR" in Markup(shown).text
    assert f"{day} Quay 09:00–12:00 Europe/Berlin that day" in Markup(theirs).text
    assert "dentist" in theirs
    priced = "select p.amount_minor, p.grants::text as grants from price p join tier t on t.price_id = p.id"
    assert [(row["amount_minor"], json.loads(row["grants"])) for row in await stage.rows(priced)] == [
        (9050, [{"kind": "seat"}])
    ]
    for path in ("/schedule/services", service, person):
        _is_sound(await visitor.page(path))
        assert (await site.lived.get(path)).status_code == (200 if path == "/schedule/services" else 404)

    for form in re.findall(r'action="([^"]+/delete)"', theirs):
        landed(await visitor.post(form))
    gone = [path for path in re.findall(r'action="([^"]+/delete)"', shown) if "/tiers/" in path or "/staff/" in path]
    for path in [*gone, f"{service}/delete"]:
        landed(await visitor.post(path))
    assert len(gone) == 3
    left = "select count(*) from {} where {} is null"
    for table, column in (("service", "deleted_at"), ("tier", "deleted_at"), ("staff_skill", "ended_at"),
                          ("staff_hours", "deleted_at"), ("staff_time_off", "deleted_at")):  # fmt: skip
        assert await stage.value(left.format(table, column)) == 0, table


async def test_services_that_do_not_fit_a_page_are_on_the_next_one(site: Site):
    stage = site.empty.stage
    async with stage.db.tenant(stage.tenant_id) as tx:
        for number in range(51):
            named = (stage.tenant_id, ids.new(), f"Service {number}.")
            await tx.execute("insert into service (tenant_id, id, name) values ($1, $2, $3)", *named)

    first = await site.empty.page("/schedule/services")
    older = re.search(r'rel="next" href="([^"]+)"', first)
    second = await site.empty.page(older[1] if older else "")

    assert [("Service 0." in page, "Service 50." in page) for page in (first, second)] == [(False, True), (True, False)]
