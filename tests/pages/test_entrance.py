"""The door: who gets in, how the cookie is made, where one goes next."""

from datetime import UTC, datetime, timedelta

import pytest
from visitors import ORIGIN, Site

from bursar.web.pages.routing import safe_next
from bursar.web.tickets import make_ticket
from serving import KEY


async def test_a_stranger_is_sent_to_the_door_and_then_to_the_page(site: Site):
    answer = await site.stranger.get("/payments?status=failed", headers={"accept": "text/html"})

    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=%2Fpayments%3Fstatus%3Dfailed")

    door = await site.stranger.get(answer.headers["location"])
    assert 'value="/payments?status=failed"' in door.text

    signed = await site.stranger.post(
        "/sign-in", data={"api_key": site.lived.key, "next": "/payments?status=failed"}, headers={"origin": ORIGIN}
    )
    assert (signed.status_code, signed.headers["location"]) == (303, "/payments?status=failed")
    assert (await site.stranger.get("/payments?status=failed")).status_code == 200


async def test_the_cookie_is_for_this_site_and_no_script(site: Site):
    answer = await site.lived.sign_in()

    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("bursar_session=")
    assert {"HttpOnly", "Path=/", "SameSite=strict", "Max-Age=43200"} <= {part.strip() for part in cookie.split(";")}
    assert "Secure" not in cookie


async def test_the_cookie_is_secure_and_bound_to_the_host_under_https(site: Site):
    answer = await site.stranger.post(
        "https://bursar.test/sign-in", data={"api_key": site.lived.key}, headers={"origin": "https://bursar.test"}
    )

    assert answer.headers["set-cookie"].startswith("__Host-bursar_session=")
    assert "Secure" in answer.headers["set-cookie"]


@pytest.mark.parametrize("key", ["", "bsk_", "nonsense", "bsk_" + "0" * 52 + "_" + "A" * 43, "bsk_\x00", "é" * 50])
async def test_a_wrong_key_lets_nobody_in(site: Site, key: str):
    answer = await site.stranger.post("/sign-in", data={"api_key": key}, headers={"origin": ORIGIN})

    assert answer.status_code == 401
    assert "set-cookie" not in answer.headers
    assert "not valid here" in answer.text


async def test_a_ticket_is_exchanged_for_the_cookie_once_the_address_is_opened(site: Site):
    ticket = make_ticket(KEY, site.lived.stage.tenant_id, datetime.now(UTC))

    answer = await site.stranger.get(f"/enter?ticket={ticket}", headers={"sec-fetch-site": "none"})

    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert "Harbour Yoga" in (await site.stranger.get("/")).text


async def test_who_entered_and_with_what_and_left_is_in_the_audit_trail(site: Site):
    ticket = make_ticket(KEY, site.lived.stage.tenant_id, datetime.now(UTC))
    await site.stranger.get(f"/enter?ticket={ticket}", headers={"sec-fetch-site": "none"})
    await site.lived.post("/sign-out")

    told = await site.lived.stage.rows(
        "select split_part(actor, '_', 1) as actor, action, changes ->> 'with' as proof, address from audit_record"
        " where action like 'session.%' order by id"
    )
    assert [tuple(row.values()) for row in told] == [
        ("key:key", "session.opened", "API key", "127.0.0.1"),
        ("operator", "session.opened", "ticket", "127.0.0.1"),
        ("key:key", "session.left", None, "127.0.0.1"),
    ]


async def test_whoever_tries_keys_at_the_door_must_wait(site: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(site.app.resources.settings, "rate_stranger", 3)
    wrong = {"api_key": "bsk_" + "0" * 52 + "_" + "A" * 43}

    statuses = [
        (await site.stranger.post("/sign-in", data=wrong, headers={"origin": ORIGIN})).status_code for _ in range(5)
    ]

    assert statuses == [401, 401, 401, 429, 429]


async def test_a_ticket_from_another_site_asks_first(site: Site):
    ticket = make_ticket(KEY, site.lived.stage.tenant_id, datetime.now(UTC))

    asked = await site.stranger.get(f"/enter?ticket={ticket}", headers={"sec-fetch-site": "cross-site"})
    assert asked.status_code == 200
    assert "set-cookie" not in asked.headers

    refused = await site.stranger.post("/enter", data={"ticket": ticket}, headers={"origin": "https://evil.test"})
    assert refused.status_code == 403

    entered = await site.stranger.post("/enter", data={"ticket": ticket}, headers={"origin": ORIGIN})
    assert entered.status_code == 303
    assert "set-cookie" in entered.headers


async def test_an_old_ticket_is_refused_with_a_word(site: Site):
    ticket = make_ticket(KEY, site.lived.stage.tenant_id, datetime.now(UTC) - timedelta(minutes=11))

    answer = await site.stranger.get(f"/enter?ticket={ticket}")

    assert answer.status_code == 401
    assert "expired" in answer.text
    assert "set-cookie" not in answer.headers


async def test_leaving_takes_the_cookie_back(site: Site):
    answer = await site.lived.post("/sign-out")

    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in")
    assert (await site.lived.get("/")).status_code == 303


async def test_a_revoked_key_ends_its_sessions(site: Site):
    async with site.lived.stage.db.tenant(site.lived.stage.tenant_id) as tx:
        await tx.execute("update api_key set revoked_at = now() where tenant_id = $1", site.lived.stage.tenant_id)

    for path in ("/", "/events", "/live"):
        assert (await site.lived.get(path)).headers["location"].startswith("/sign-in")


async def test_a_link_from_another_site_is_asked_for_again_from_here(site: Site):
    """The browser holds a strict cookie back on such a visit; the second request comes from our own page."""
    answer = await site.stranger.get("/payments", headers={"sec-fetch-site": "cross-site", "accept": "text/html"})

    assert answer.status_code == 200
    assert 'http-equiv="refresh"' in answer.text
    assert "Harbour" not in answer.text


async def test_a_fragment_of_a_stranger_sends_the_whole_page_to_the_door(site: Site):
    answer = await site.stranger.get("/events", headers={"hx-request": "true"})

    assert answer.headers["hx-redirect"].startswith("/sign-in")
    assert answer.text == ""


async def test_a_stranger_s_stream_is_told_not_to_come_back(site: Site):
    answer = await site.stranger.get("/live", headers={"accept": "text/event-stream"})

    assert answer.status_code == 204


@pytest.mark.parametrize(
    "target",
    [
        None, "", "https://evil.test", "//evil.test", "/\\evil.test", "/a\\b", "javascript:alert(1)", "evil.test", "/\tx", "/\nx",
        "/é", "/" + "a" * 3000, "/sign-out", "/sign-in", "/enter?ticket=x", "///evil.test", "\\\\evil.test",
    ],
)  # fmt: skip
def test_no_address_leads_elsewhere_after_signing_in(target: str | None):
    assert safe_next(target) == "/"


@pytest.mark.parametrize("target", ["/", "/payments?status=failed&before=pay_1", "/events/evt_0#x"])
def test_an_address_of_this_site_is_kept(target: str):
    assert safe_next(target) == target
