"""Signing in with a password: who gets in, what the session is, how it ends."""

import re
from datetime import UTC, datetime

import httpx2
import pytest
from visitors import ORIGIN, Markup, Site

from bursar.kernel import ids
from bursar.kernel.access import OPERATOR
from bursar.kernel.identity import links, users
from stage import Stage

PASSWORD = "nine green bottles on a wall"


async def invited(stage: Stage, email: str = "Ann@Example.com", *, roles: tuple[str, ...] = ("owner",)) -> str:
    """Add a user and return the token of the invitation's link."""
    now = datetime.now(UTC)
    async with stage.db.tenant(stage.tenant_id) as tx:
        user = await users.invite(
            tx, tenant_id=stage.tenant_id, email=email, name="Ann Abara", roles=roles, by=OPERATOR, now=now
        )
        return await links.make(tx, tenant_id=stage.tenant_id, user_id=user.id, purpose="invitation", now=now)


async def settled(
    site: Site,
    *,
    roles: tuple[str, ...] = ("owner",),
    email: str = "Ann@Example.com",
    http: httpx2.AsyncClient | None = None,
) -> None:
    """Have a user who has chosen a password."""
    token = await invited(site.lived.stage, email, roles=roles)
    answer = await (http or site.stranger).post(
        "/accept", data={"token": token, "password": PASSWORD, "again": PASSWORD}, headers={"origin": ORIGIN}
    )
    assert answer.status_code == 303, answer.text


async def signing_in(http: httpx2.AsyncClient, **fields: str) -> httpx2.Response:
    data = {"business": "Harbour Yoga", "email": "ann@example.com", "password": PASSWORD, **fields}
    return await http.post("/sign-in", data=data, headers={"origin": ORIGIN})


async def test_a_user_chooses_a_password_signs_in_and_leaves(site: Site):
    await settled(site)

    signed = await signing_in(site.stranger, next="/payments")
    assert (signed.status_code, signed.headers["location"]) == (303, "/payments")
    page = (await site.stranger.get("/payments")).text
    assert "Harbour Yoga" in page
    assert "Ann Abara" in page
    row = await site.lived.stage.row("select * from session where kind = 'user'")
    assert (row["address"], row["ended_at"]) == ("127.0.0.1", None)
    assert row["user_agent"].startswith("python-httpx")

    token = re.search(r'name="form_token" value="([^"]+)"', page)
    left = await site.stranger.post("/sign-out", data={"form_token": token[1]}, headers={"origin": ORIGIN})
    assert left.headers["location"] == "/sign-in"
    assert await site.lived.stage.value("select ended_at is not null from session where kind = 'user'") is True


async def test_a_session_that_was_left_opens_nothing_for_whoever_kept_its_token(site: Site):
    await settled(site)
    await signing_in(site.stranger)
    kept = dict(site.stranger.cookies)
    async with site.lived.stage.db.tenant(site.lived.stage.tenant_id) as tx:
        await tx.execute("update session set ended_at = now() where tenant_id = $1", site.lived.stage.tenant_id)

    answer = await site.stranger.get("/payments", headers={"cookie": f"bursar_session={kept['bursar_session']}"})

    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=%2Fpayments")


async def test_signing_in_again_ends_the_session_before(site: Site):
    await settled(site)
    await signing_in(site.stranger)
    before = dict(site.stranger.cookies)["bursar_session"]

    await signing_in(site.stranger)

    assert dict(site.stranger.cookies)["bursar_session"] != before
    ended = await site.lived.stage.rows("select ended_at from session where kind = 'user' order by id")
    assert [row["ended_at"] is None for row in ended] == [False, True]


async def test_only_the_hash_of_a_token_is_kept(site: Site):
    await settled(site)
    await signing_in(site.stranger)
    token = dict(site.stranger.cookies)["bursar_session"]

    row = await site.lived.stage.row("select s::text as told from session s where kind = 'user'")

    assert len(token) == 96
    assert token[53:] not in row["told"]


@pytest.mark.parametrize(
    "fields",
    [
        {"password": "wrong"},
        {"email": "nobody@example.com"},
        {"business": "Nothing yet"},
        {"business": "No such business"},
        {"business": ""},
        {"email": "", "password": ""},
        {"email": "\x00", "password": "\x00", "business": "\x00"},
        {"email": "a" * 5000, "password": "b" * 5000},
        {"business": "ten_" + "0" * 26},
        {"email": "é" * 300 + "@x"},
    ],
)
async def test_whoever_is_not_right_gets_one_answer_and_no_cookie(site: Site, fields: dict[str, str]):
    await settled(site)

    answer = await signing_in(site.stranger, **fields)

    assert answer.status_code == 401
    assert "That is not right: the e-mail address, the password, or the business." in answer.text
    assert "bursar_session" not in answer.headers.get("set-cookie", "")
    assert await site.lived.stage.value("select count(*) from session where kind = 'user'") == 0


async def test_the_door_asks_for_the_business_only_where_there_are_several(site: Site):
    several = Markup((await site.stranger.get("/sign-in")).text)
    assert "business" in several.values("name")

    await settled(site)
    await signing_in(site.stranger, password="wrong")
    await signing_in(site.stranger)
    again = Markup((await site.stranger.get("/sign-in")).text)

    assert [f.get("value") for f in again.all("input") if f.get("name") == "business"] == ["Harbour Yoga"]


async def test_a_deactivated_user_is_out_with_the_next_request(site: Site):
    await settled(site)
    await settled(site, email="second@example.com")
    await signing_in(site.stranger)
    stage = site.lived.stage
    user_id = await stage.value("select id from tenant_user where email_key = 'ann@example.com'")

    async with stage.db.tenant(stage.tenant_id) as tx:
        await users.deactivate(tx, tenant_id=stage.tenant_id, user_id=user_id, by=OPERATOR, now=datetime.now(UTC))

    assert (await site.stranger.get("/payments")).headers["location"].startswith("/sign-in")
    assert (await signing_in(site.stranger)).status_code == 401


async def test_what_a_role_may_not_is_not_offered_and_is_a_page_that_says_so(site: Site):
    await settled(site, roles=("staff",))
    await signing_in(site.stranger)

    home = await site.stranger.get("/")
    refused = await site.stranger.get("/books", headers={"accept": "text/html"})

    links_seen = Markup(home.text).values("href")
    assert "/payments" in links_seen
    assert not {"/books", "/events", "/dead", "/checks", "/people"} & set(links_seen)
    assert refused.status_code == 403
    assert "ledger:read" in refused.text


async def test_attempts_are_limited_by_account_and_address_and_the_right_password_waits_too(site: Site):
    await settled(site)
    for _ in range(10):
        assert (await signing_in(site.stranger, password="wrong")).status_code == 401

    answer = await signing_in(site.stranger)

    assert answer.status_code == 429
    assert answer.headers["retry-after"] == "900"
    assert "too many attempts" in answer.text
    # Somebody else at the same address is not locked out by that.
    await settled(site, email="bob@example.com")
    assert (await signing_in(site.stranger, email="bob@example.com")).status_code == 303


async def test_failures_are_in_the_audit_trail_and_counted_as_security_events(site: Site):
    await settled(site)

    await signing_in(site.stranger, password="wrong")
    await signing_in(site.stranger, email="nobody@example.com")

    stage = site.lived.stage
    records = await stage.rows(
        "select actor, subject, changes::text from audit_record where action = 'user.sign_in_failed'"
    )
    user = ids.show(ids.USER, await stage.value("select id from tenant_user"))
    assert sorted((r["actor"], r["subject"]) for r in records) == [("nobody", None), (f"user:{user}", user)]
    assert all("127.0.0.1" in r["changes"] for r in records)
    assert site.app.resources.security.totals["sign_in_failed"] == 2
