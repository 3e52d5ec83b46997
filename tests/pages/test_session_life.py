"""How a session begins, grows old and ends, and what the forms that open one are like."""

import hashlib
from datetime import timedelta

import httpx2
import pytest
from test_people import NEW, PASSWORD, page_of, set_up
from test_signing_in import settled, signing_in
from visitors import ORIGIN, Markup, Site, Visitor, client_of

from bursar.kernel.identity import links, sessions
from bursar.kernel.identity.passwords import _leaked, require_strong

pytestmark = pytest.mark.anyio


async def aged(site: Site, column: str, by: timedelta) -> None:
    """Make the user's sessions older by so much."""
    stage = site.lived.stage
    async with stage.db.tenant(stage.tenant_id) as tx:
        changed = f"update session set {column} = {column} - $2::interval where tenant_id = $1 and kind = 'user'"
        await tx.execute(changed, stage.tenant_id, by)


@pytest.mark.parametrize(
    ("column", "life"), [("last_seen_at", sessions.IDLE), ("expires_at", sessions.LIFE)], ids=["idle", "old"]
)
async def test_a_session_ends_when_nobody_used_it_and_when_it_is_old_however_busy(
    site: Site, column: str, life: timedelta
):
    assert (timedelta(hours=2), timedelta(hours=12)) == (sessions.IDLE, sessions.LIFE)
    await settled(site)
    await signing_in(site.stranger)

    await aged(site, column, life - timedelta(minutes=2))
    assert (await site.stranger.get("/account")).status_code == 200
    await aged(site, column, timedelta(minutes=2) if column == "expires_at" else life)

    assert (await site.stranger.get("/account")).headers["location"].startswith("/sign-in")


async def test_a_new_password_by_mail_does_not_open_the_second_factor(site: Site):
    await settled(site)
    await signing_in(site.stranger)
    await set_up(site.stranger)
    stage, elsewhere = site.lived.stage, client_of(site.app)
    user_id = await stage.value("select id from tenant_user")
    async with stage.db.tenant(stage.tenant_id) as tx:
        told = {"tenant_id": stage.tenant_id, "user_id": user_id, "now": site.app.resources.now()}
        token = await links.make(tx, purpose="password_reset", **told)

    fields = {"token": token, "password": NEW, "again": NEW}
    await elsewhere.post("/reset", data=fields, headers={"origin": ORIGIN})
    signed = await signing_in(elsewhere, password=NEW)

    assert signed.headers["location"].startswith("/sign-in/code")
    assert (await elsewhere.get("/payments")).headers["location"].startswith("/sign-in?")
    assert (await signing_in(elsewhere, password=PASSWORD)).status_code == 401
    await elsewhere.aclose()


async def test_where_a_second_factor_is_required_nothing_opens_before_it_is_set_up(
    site: Site, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(site.app.resources.settings, "second_factor", "required")
    await settled(site)
    await signing_in(site.stranger)
    stranger = site.stranger

    for path in ("/", "/payments", "/people", "/search?q=x", "/live"):
        assert (await stranger.get(path)).headers["location"] == "/account?done=needed", path
    assert (await stranger.get("/live", headers={"accept": "text/event-stream"})).status_code == 204
    invited = await stranger.post("/people", data={}, headers={"origin": ORIGIN})
    assert invited.headers["location"] == "/account?done=needed"
    assert "A second factor is required here" in await page_of(stranger, "/account?done=needed")
    await set_up(stranger)

    assert (await stranger.get("/payments")).status_code == 200
    assert (await site.lived.get("/payments")).status_code == 200, "a key has no second factor to have"


async def test_fields_for_secrets_are_masked_and_may_be_pasted_and_filled(site: Site):
    await settled(site)
    pages = [await page_of(site.stranger, "/sign-in"), await page_of(site.stranger, "/operator/sign-in")]
    await signing_in(site.stranger)
    pages.append(await page_of(site.stranger, "/account"))

    fields = [field for page in pages for field in Markup(page).all("input")]
    secret = [f for f in fields if f.get("name") in ("password", "present", "again", "api_key")]

    assert len(secret) >= 6
    assert {field.get("type") for field in secret} == {"password"}
    assert {f.get("autocomplete") for f in secret if f.get("name") != "api_key"} <= {"current-password", "new-password"}
    assert not [name for field in fields for name in field if name.startswith("on") or name == "readonly"]


async def test_every_page_of_the_menu_offers_to_leave_and_is_not_stored(site: Site, lived: Visitor):
    menu = [href for href in Markup(await lived.page("/")).values("href") if href.startswith("/") and "." not in href]

    assert len(menu) > 8
    for path in dict.fromkeys(menu):
        answer = await lived.get(path)
        assert 'action="/sign-out"' in answer.text, path
        assert answer.headers["cache-control"] == "no-store", path


async def test_nobody_is_there_before_somebody_is_added(admin_url: str):
    import asyncpg  # noqa: PLC0415 - this test alone asks as the owner

    connection = await asyncpg.connect(admin_url)
    try:
        tables = ("tenant", "tenant_user", "operator", "api_key", "session", "role", "identity_issuer")
        found = {table: await connection.fetchval(f"select count(*) from {table}") for table in tables}
    finally:
        await connection.close()

    assert found == dict.fromkeys(tables, 0)


def test_thousands_of_leaked_passwords_are_known_and_long_ones_are_taken():
    assert len([password for password in _leaked() if len(password) >= 8]) > 3000
    for length in (64, 256):
        require_strong((hashlib.sha512(b"one").hexdigest() * 2)[:length])


async def test_signing_in_needs_somebody_to_act(site: Site):
    await settled(site)

    for path in ("/sign-in", "/", "/account", "/live"):
        answer: httpx2.Response = await site.stranger.get(path, headers={"accept": "text/html"})
        assert "set-cookie" not in answer.headers, path
