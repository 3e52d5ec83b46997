"""What is tried on pages is counted as what is tried on the API."""

import pytest
from visitors import ORIGIN, Site

from bursar.kernel import ids

pytestmark = pytest.mark.anyio


async def noted(site: Site) -> list[tuple[str, str]]:
    await site.app.resources.security.flush(site.lived.stage.db)
    rows = await site.lived.stage.rows("select kind, actor, detail from security_event order by kind, detail")
    assert all(row["actor"].startswith("key:key_") for row in rows), rows
    return [(row["kind"], row["detail"]) for row in rows]


async def test_an_id_that_is_not_there_is_counted_and_written_down(site: Site):
    theirs = ids.show(ids.PAYMENT, ids.new())

    answers = [(await site.lived.get(f"/payments/{theirs}")).status_code for _ in range(2)]

    assert answers == [404, 404]
    assert await noted(site) == [("unknown_id", "GET /payments/{payment_ref}")]
    assert await site.lived.stage.value("select subject from audit_record where action = 'id.not_found'") == theirs


async def test_an_address_and_a_form_that_look_like_an_attack_are_counted_and_not_refused(site: Site):
    found = await site.lived.get("/search?q=%3Cscript%3Ealert(1)%3C/script%3E")
    by_address = await noted(site)
    fields = {"email": "ann@example.org", "name": "Ann'; drop table payment; --", "role staff": "on"}
    invited = await site.lived.post("/people", fields)

    assert (found.status_code, invited.status_code) == (200, 303)
    assert by_address == [("suspicious_input", "GET /search: script in its address")]
    assert await noted(site) == [("suspicious_input", "POST /people: sql in its form")]


async def test_what_is_typed_as_a_password_is_no_suspicion(site: Site):
    wrong = {"email": "ann@example.com", "password": "<script>alert(1)</script>", "business": "Harbour Yoga"}

    answer = await site.stranger.post("/sign-in", data=wrong, headers={"origin": ORIGIN})

    assert answer.status_code == 401
    assert site.app.resources.security.totals["suspicious_input"] == 0


async def test_a_form_from_elsewhere_is_counted(site: Site):
    answer = await site.lived.post("/people", {"email": "x@example.org"}, origin="https://evil.example")

    assert answer.status_code == 403
    assert await noted(site) == [("csrf_refused", "POST /people")]
