"""Coupons by their pages' forms alone: made, taken by a customer, changed, turned off; and nobody else's."""

from datetime import UTC, datetime, timedelta

import httpx2
from test_every_page import _is_sound
from test_planning_pages import filled, furnish, landed
from visitors import Markup, Site, Visitor

from bursar.kernel import ids
from stage import add_price

EMPTY = {"code": "", "percent": "", "amount": "", "currency": "eur", "valid_from": "", "valid_until": "", "uses_max": "", "uses_per_customer": ""}  # fmt: skip
LIMITS = {"valid_until": "", "uses_max": "", "uses_per_customer": ""}
KEPT = "select code, percent, amount_minor, currency, valid_until, uses_max, uses_per_customer, is_on, used from coupon order by id"


async def api(visitor: Visitor, path: str, body: dict[str, object]) -> httpx2.Response:
    once = {"authorization": f"Bearer {visitor.key}", "idempotency-key": str(ids.new())}
    return await visitor.http.post(path, json=body, headers=once)


async def test_a_coupon_made_on_the_page_is_taken_by_a_customer_until_it_is_used_up_or_off(site: Site):
    visitor, stage = site.empty, site.empty.stage
    place = await furnish(visitor)
    day = str((datetime.now(UTC) + timedelta(days=9)).date())
    await add_price(stage, "seat", 1500, [{"kind": "seat"}], refs=[])
    price = ids.show(ids.PRICE, stage.prices["seat"])
    added = landed(
        await visitor.post(
            "/schedule/classes/new", filled(place, local_date=day, price=price, credit_cost="0", pools="")
        )
    )
    a_class = added.partition("?")[0].rpartition("/")[2]
    people = [(await api(visitor, "/v1/customers", {"email": f"{n}@example.org"})).json()["id"] for n in "abc"]

    first = landed(await visitor.post("/coupons", EMPTY | {"code": "gift-15", "amount": "15,00", "uses_max": "1"}))
    shown = await visitor.page(first)
    books = [{"class": a_class, "customer": who, "coupon": "gift-15"} for who in people]
    taken = await api(visitor, "/v1/bookings", books[0])
    used_up = await api(visitor, "/v1/bookings", books[1])
    full = await visitor.page("/coupons")
    path = first.partition("?")[0]
    too_low = await visitor.post(path, LIMITS | {"uses_max": "0"})
    landed(await visitor.post(path, LIMITS | {"uses_max": "2", "uses_per_customer": "1"}))
    landed(await visitor.post(f"{path}/off"))
    off = await api(visitor, "/v1/bookings", books[1])
    landed(await visitor.post(f"{path}/on"))
    second = await api(visitor, "/v1/bookings", books[1])
    below = await visitor.post(path, LIMITS | {"uses_max": "1"})

    assert "Added: customers can type it when they book." in Markup(shown).text
    assert "Takes off 15.00 EUR" in Markup(shown).text.replace("\u00a0", " ")
    assert (taken.status_code, taken.json()["status"]) == (201, "booked")
    assert (taken.json()["discount_minor"], taken.json()["due_minor"]) == (1500, 0)
    assert (used_up.status_code, used_up.json()["code"]) == (409, "coupon_used_up")
    assert "GIFT-15 15.00 EUR all classes always 1 of 1 used used up" in Markup(full).text.replace("\u00a0", " ")
    assert (too_low.status_code, below.status_code) == (422, 409)
    assert "was taken 2 times. Allow as many at least, or turn it off." in Markup(below.text).text
    assert 'id="uses_max" name="uses_max" value="1" aria-invalid="true" aria-describedby="uses_max-wrong"' in below.text
    assert (off.status_code, second.status_code) == (409, 201)
    kept = [{**row} for row in await stage.rows(KEPT)]
    assert kept == [
        {"code": "GIFT-15", "percent": None, "amount_minor": 1500, "currency": "EUR", "valid_until": None, "uses_max": 2,
         "uses_per_customer": 1, "is_on": True, "used": 2}
    ]  # fmt: skip
    for text in (shown, full, below.text):
        _is_sound(text)


async def test_what_is_wrong_is_said_beside_its_field_and_nothing_is_made(site: Site):
    visitor, stage = site.empty, site.empty.stage
    good = EMPTY | {"code": "SPRING", "percent": "10"}
    nasty = '"><script>alert(1)</script>'
    wrong = [
        ("code", {"code": nasty}), ("code", {"code": "a"}), ("code", {"code": "ä" * 3}), ("code", {"code": "\u202eAB"[::-1] + "!"}),
        ("percent", {"percent": "101"}), ("percent", {"percent": "0"}), ("percent", {"percent": "9" * 400}), ("percent", {"percent": "1.5"}),
        ("percent", {"percent": ""}), ("percent", {"amount": "5"}), ("amount", {"percent": "", "amount": "1.234"}),
        ("amount", {"percent": "", "amount": "NaN"}), ("amount", {"percent": "", "amount": "1e400"}),
        ("amount", {"percent": "", "amount": "1.5", "currency": "JPY"}), ("currency", {"percent": "", "amount": "5", "currency": "EURO"}),
        ("valid_from", {"valid_from": "2027-02-30T00:00"}), ("valid_until", {"valid_until": nasty}), ("valid_from", {"valid_from": "0001-01-01T00:00"}),
        ("valid_until", {"valid_from": "2027-06-01T00:00", "valid_until": "2027-06-01T00:00"}),
        ("uses_max", {"uses_max": "1000001"}), ("uses_per_customer", {"uses_per_customer": "\u0661"}),
    ]  # fmt: skip

    refused = [(field, await visitor.post("/coupons", good | one)) for field, one in wrong]
    many = await visitor.post(
        "/coupons", good | {f"for {ids.show(ids.CLASS_TEMPLATE, ids.new())}": "on" for _ in range(41)}
    )
    unknown = await visitor.post("/coupons", good | {"for tpl_x": "on"})
    none = await stage.value("select count(*) from coupon")
    landed(await visitor.post("/coupons", good))
    again = await visitor.post("/coupons", good | {"code": "spring", "percent": "20"})

    for field, answer in refused:
        assert answer.status_code == 422, field
        assert f'id="{field}-wrong" class="wrong"' in answer.text, (field, Markup(answer.text).text)
        assert 'value="SPRING"' in answer.text or field == "code"
        assert nasty not in answer.text
        _is_sound(answer.text)
    assert (many.status_code, unknown.status_code, none) == (422, 400, 0)
    assert (again.status_code, 'id="code-wrong"' in again.text, 'value="20"' in again.text) == (409, True, True)
    assert await stage.value("select count(*) from coupon") == 1


async def test_times_are_by_the_clock_of_the_business_and_one_left_as_it_is_stays_to_the_second(site: Site):
    visitor, stage = site.empty, site.empty.stage
    place = await furnish(visitor)
    daily = filled(
        place, starts_on=str((datetime.now(UTC) + timedelta(days=2)).date()), every="1", rule="FREQ=DAILY", ends_on=""
    )
    template = landed(await visitor.post("/schedule/templates/new", daily)).partition("?")[0].rpartition("/")[2]
    async with stage.db.tenant(stage.tenant_id) as tx:
        await tx.execute("update tenant set time_zone = 'Europe/Berlin' where tenant_id = $1", stage.tenant_id)

    term = {"valid_from": "2027-03-01T00:00", "valid_until": "2027-07-01T00:00", f"for {template}": "on"}
    path = landed(
        await visitor.post("/coupons", EMPTY | {"code": "yen", "amount": "500", "currency": "JPY"} | term)
    ).partition("?")[0]
    made = await visitor.page(path)
    until = [await stage.value("select valid_until from coupon")]
    odd = datetime(2027, 7, 1, 9, 30, 59, 123, UTC)
    async with stage.db.tenant(stage.tenant_id) as tx:
        await tx.execute("update coupon set valid_until = $1", odd)
    for typed in ("2027-07-01T11:30", "2027-07-01T11:31", ""):
        landed(await visitor.post(path, LIMITS | {"valid_until": typed}))
        until.append(await stage.value("select valid_until from coupon"))
    early = await visitor.post(path, LIMITS | {"valid_until": "2027-02-28T00:00"})
    far = {"code": "FAR", "percent": 5, "valid_from": "1900-01-01T00:00:01Z", "valid_until": "2999-12-31T23:59:59Z"}
    assert (await api(visitor, "/v1/coupons", far)).status_code == 201

    told = Markup(made).text.replace("\u00a0", " ")
    for part in (
        "Takes off 500 JPY",
        "For Flow",
        "from 2027-03-01, 00:00 until 2027-07-01, 00:00, Europe/Berlin",
        "YEN not yet",
    ):
        assert part in told, (part, told)
    assert until == [datetime(2027, 6, 30, 22, tzinfo=UTC), odd, datetime(2027, 7, 1, 9, 31, tzinfo=UTC), None]
    assert (early.status_code, 'id="valid_until-wrong"' in early.text) == (422, True)
    _is_sound(await visitor.page("/coupons"))


async def test_a_coupon_of_another_business_is_neither_shown_nor_changed(site: Site):
    path = landed(await site.empty.post("/coupons", EMPTY | {"code": "QUAY", "percent": "5"})).partition("?")[0]
    place = await furnish(site.empty)
    daily = filled(
        place, starts_on=str((datetime.now(UTC) + timedelta(days=2)).date()), every="1", rule="FREQ=DAILY", ends_on=""
    )
    template = landed(await site.empty.post("/schedule/templates/new", daily)).partition("?")[0].rpartition("/")[2]

    answers = [
        await site.lived.get(path),
        await site.lived.post(path, LIMITS | {"uses_max": "1"}),
        await site.lived.post(f"{path}/off"),
        await site.lived.post("/coupons", EMPTY | {"code": "MINE", "percent": "5", f"for {template}": "on"}),
    ]

    assert [answer.status_code for answer in answers] == [404] * 4
    assert "QUAY" not in await site.lived.page("/coupons")
    assert await site.empty.stage.value("select code || is_on || (uses_max is null) from coupon") == "QUAYtruetrue"
    assert await site.lived.stage.value("select count(*) from coupon") == 0
