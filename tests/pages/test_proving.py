"""Acts that give power to somebody ask for the password again when it was shown too long ago."""

import re

import pytest
from test_signing_in import PASSWORD, settled, signing_in
from visitors import ORIGIN, Site

from bursar.kernel import ids

pytestmark = pytest.mark.anyio

ELEVEN_MINUTES = "update session set created_at = created_at - interval '11 minutes', proven_at = null"
SIX_MINUTES = "update session set created_at = now() - interval '6 minutes', proven_at = null"
LATER = "update session set proven_at = proven_at - interval '11 minutes'"
GIVEN = "select count(*) from tenant_user where 'admin' = any(roles)"
KEYS = "select count(*) from api_key where name = 'new'"


async def aged(site: Site, statement: str) -> None:
    async with site.lived.stage.db.tenant(site.lived.stage.tenant_id) as tx:
        await tx.execute(statement)


async def sent(site: Site, path: str, fields: dict[str, str], **more: str):
    page = await site.stranger.get("/account")
    token = re.search(r'name="form_token" value="([^"]+)"', page.text)[1]
    data = {"form_token": token, **fields, **more}
    return await site.stranger.post(path, data=data, headers={"origin": ORIGIN})


async def user_page(site: Site) -> str:
    user_id = await site.lived.stage.value("select id from tenant_user where email_key = 'bob@example.com'")
    return f"/people/{ids.show(ids.USER, user_id)}"


async def test_roles_change_with_a_password_shown_lately_and_ask_for_it_again_later(site: Site):
    await settled(site)
    await settled(site, email="bob@example.com", roles=("staff",))
    await signing_in(site.stranger)
    page = await user_page(site)
    admin = {"role admin": "on"}

    assert 'name="present"' not in (await site.stranger.get(page)).text
    await aged(site, SIX_MINUTES)
    assert 'name="present"' in (await site.stranger.get(page)).text
    await aged(site, ELEVEN_MINUTES)
    without = await sent(site, f"{page}/roles", admin)
    wrong = await sent(site, f"{page}/roles", admin, present="not this one")
    unchanged = await site.lived.stage.value(GIVEN)
    right = await sent(site, f"{page}/roles", admin, present=PASSWORD)

    assert (without.status_code, wrong.status_code, unchanged) == (403, 403, 0)
    assert "needs your password once more" in without.text
    assert right.status_code == 303
    assert await site.lived.stage.value(GIVEN) == 1


@pytest.mark.parametrize("act", ["make", "rotate", "invite"])
async def test_keys_and_invitations_ask_for_it_too_and_once_is_enough_for_a_while(site: Site, act: str):
    await settled(site)
    await signing_in(site.stranger)
    fields = {"name": "new", "scope:payments:read": "on", "days": "30", "overlap_s": "0"}
    fields |= {"email": "eve@example.com", "role staff": "on"}
    key = ids.show(ids.API_KEY, await site.lived.stage.value("select id from api_key"))
    path = {"make": "/api-keys", "rotate": f"/api-keys/{key}/rotate", "invite": "/people"}[act]
    done = {200, 303}

    await aged(site, ELEVEN_MINUTES)
    refused = await sent(site, path, fields)
    admitted = await sent(site, path, fields, present=PASSWORD)
    again = await sent(site, "/api-keys", fields)
    await aged(site, LATER)
    later = await sent(site, "/api-keys", fields)

    assert (refused.status_code, later.status_code) == (403, 403)
    assert admitted.status_code in done, admitted.text
    assert again.status_code == 200
    assert await site.lived.stage.value(KEYS) == (2 if act == "make" else 1)


async def test_whoever_came_with_a_key_has_no_password_to_show(site: Site):
    await aged(site, ELEVEN_MINUTES)

    made = await site.lived.post("/api-keys", {"name": "new", "scope:payments:read": "on", "days": "30"})

    assert made.status_code == 200
    assert 'name="present"' not in await site.lived.page("/api-keys")
