"""API keys on their page: made with what one has oneself, shown once, handed on, ended."""

import re

import httpx2
import pytest
from visitors import ORIGIN, Markup, Site, Visitor

from bursar.kernel import ids

NEW = {"name": "web shop", "scope:payments:read": "on", "scope:customers:read": "on", "days": "90", "addresses": ""}
SECRET = re.compile(r"bsk_[0-9a-z]{52}_[A-Za-z0-9_-]{43}")


async def made(visitor: Visitor, **fields: str) -> tuple[str, str]:
    """Make a key; return its id and its secret."""
    answer = await visitor.post("/api-keys", NEW | fields)
    assert answer.status_code == 200, answer.text
    secret = SECRET.search(answer.text)
    assert secret
    return ids.show(ids.API_KEY, ids.decode(secret[0][30:56])), secret[0]


async def test_a_key_is_made_shown_once_and_works(site: Site):
    visitor = site.empty
    key, secret = await made(visitor, addresses="127.0.0.0/8, 2001:db8::/32")

    listed = await visitor.page("/api-keys")
    one = await visitor.page(f"/api-keys/{key}")
    used = await visitor.http.get("/v1/customers", headers={"authorization": f"Bearer {secret}"})
    beyond = await visitor.http.get("/v1/ledger-balances", headers={"authorization": f"Bearer {secret}"})

    assert "web shop" in listed
    assert secret[57:] not in listed + one
    assert "customers:read, payments:read" in Markup(one).text
    assert "127.0.0.0/8, 2001:db8::/32" in Markup(one).text
    assert used.status_code == 200
    assert beyond.status_code in (403, 404)


async def test_a_key_is_rotated_and_both_work_for_the_overlap(site: Site):
    visitor = site.empty
    key, old = await made(visitor)

    answer = await visitor.post(f"/api-keys/{key}/rotate", {"overlap_s": "3600"})

    new = SECRET.search(answer.text)[0]
    statuses = [
        (await visitor.http.get("/v1/customers", headers={"authorization": f"Bearer {secret}"})).status_code
        for secret in (old, new)
    ]
    assert statuses == [200, 200]
    assert "Rotate it" not in await visitor.page(f"/api-keys/{key}")
    again = await visitor.post(f"/api-keys/{key}/rotate", {"overlap_s": "0"})
    assert again.status_code == 409


async def test_a_revoked_key_is_refused_at_once(site: Site):
    visitor = site.empty
    key, secret = await made(visitor)
    assert (await visitor.http.get("/v1/customers", headers={"authorization": f"Bearer {secret}"})).status_code == 200

    answer = await visitor.post(f"/api-keys/{key}/revoke")

    assert (answer.status_code, answer.headers["location"]) == (303, f"/api-keys/{key}")
    assert (await visitor.http.get("/v1/customers", headers={"authorization": f"Bearer {secret}"})).status_code == 401
    assert "Revoke it" not in await visitor.page(f"/api-keys/{key}")


async def test_the_page_offers_and_gives_only_what_its_visitor_has(site: Site):
    owner = site.empty
    _, limited = await made(owner, **{"scope:keys:read": "on", "scope:keys:write": "on"})
    guest = Visitor(owner.stage, limited, owner.http)
    guest.http.cookies.clear()
    assert (await guest.sign_in()).status_code == 303

    offered = Markup(await guest.page("/api-keys"))
    more = await guest.http.post(
        "/api-keys",
        data=NEW | {"scope:refunds:write": "on", "form_token": await _token(guest)},
        headers={"origin": "http://bursar.test"},
    )

    boxes = {field["name"] for field in offered.all("input") if field.get("type") == "checkbox"}
    assert boxes == {"scope:customers:read", "scope:keys:read", "scope:keys:write", "scope:payments:read"}
    assert more.status_code == 403
    assert "refunds:write" in more.text
    assert await owner.stage.value("select count(*) from api_key where name = 'web shop'") == 1


async def _token(visitor: Visitor) -> str:
    found = re.search(r'name="form_token" value="([^"]+)"', await visitor.page("/api-keys"))
    assert found
    return found[1]


@pytest.mark.parametrize(
    "fields",
    [{"days": "9999"}, {"addresses": "10.0.0.1/8"}, {"name": ""}, {"scope:nothing": "on"}, {"name": "x" * 201}],
)
async def test_a_form_that_offers_something_else_makes_no_key(site: Site, fields: dict[str, str]):
    before = await site.empty.stage.value("select count(*) from api_key")

    answer = await site.empty.post("/api-keys", NEW | fields)

    assert answer.status_code == 422
    assert await site.empty.stage.value("select count(*) from api_key") == before


async def test_another_business_s_key_is_neither_seen_nor_ended(site: Site, lived: Visitor):
    key, secret = await made(site.empty)

    seen = await lived.get(f"/api-keys/{key}")
    revoked = await lived.post(f"/api-keys/{key}/revoke")
    rotated = await lived.post(f"/api-keys/{key}/rotate", {"overlap_s": "0"})

    assert (seen.status_code, revoked.status_code, rotated.status_code) == (404, 404, 404)
    assert key not in await lived.page("/api-keys")
    assert (await lived.http.get("/v1/customers", headers={"authorization": f"Bearer {secret}"})).status_code == 200


async def test_a_session_of_a_key_works_from_where_the_key_does(site: Site):
    """The cookie must not be worth more than the key that opened the session."""
    visitor = site.empty
    _, secret = await made(visitor, addresses="127.0.0.1")
    guest = Visitor(visitor.stage, secret, visitor.http)
    guest.http.cookies.clear()
    assert (await guest.sign_in()).status_code == 303
    assert (await guest.get("/payments")).status_code == 200
    elsewhere = httpx2.ASGITransport(site.app, client=("203.0.113.9", 1))

    async with httpx2.AsyncClient(transport=elsewhere, base_url=ORIGIN, cookies=guest.http.cookies) as http:
        answer = await http.get("/payments", headers={"accept": "text/html"})

    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=%2Fpayments")
