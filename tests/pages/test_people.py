"""People and accounts: pages that invite, give roles and end sessions, and everybody's own account."""

import re
import time

import httpx2
import pyotp
import pytest
from test_signing_in import PASSWORD, settled, signing_in
from visitors import ORIGIN, Markup, Site, client_of

from bursar.kernel import ids

NEW = "twelve silver spoons in a drawer"


async def page_of(http: httpx2.AsyncClient, path: str) -> str:
    answer = await http.get(path, headers={"accept": "text/html"})
    assert answer.status_code == 200, (path, answer.status_code, answer.text[-1500:])
    return answer.text


async def send(http: httpx2.AsyncClient, path: str, at: str = "/account", **fields: str) -> httpx2.Response:
    token = re.search(r'name="form_token" value="([^"]+)"', await page_of(http, at))
    assert token
    return await http.post(path, data={"form_token": token[1], **fields}, headers={"origin": ORIGIN})


@pytest.fixture
async def ann(site: Site):
    """A browser in which the owner of the business is signed in."""
    await settled(site)
    assert (await signing_in(site.stranger)).status_code == 303
    return site.stranger


async def test_an_owner_invites_gives_roles_and_deactivates(site: Site, ann: httpx2.AsyncClient):
    fields = {"name": "Bob Bell", "email": "bob@example.com", "role staff": "on"}
    assert (await send(ann, "/people", "/people", **fields)).headers["location"] == "/people?done=invited"

    listed = Markup(await page_of(ann, "/people"))
    assert "Bob Bell bob@example.com staff invited off" in listed.text
    bob = ids.show(ids.USER, await site.lived.stage.value("select id from tenant_user where name = 'Bob Bell'"))
    at = f"/people/{bob}"
    changed = await send(ann, f"{at}/roles", at, **{"role support": "on", "role finance": "on"})
    assert changed.headers["location"] == f"{at}?done=changed"
    assert await site.lived.stage.value("select roles from tenant_user where name = 'Bob Bell'") == [
        "support",
        "finance",
    ]
    await send(ann, f"{at}/letter", at)
    assert await site.lived.stage.value("select count(*) from mail_message where email = 'bob@example.com'") == 2
    await send(ann, f"{at}/deactivate", at)
    assert "deactivated" in Markup(await page_of(ann, at)).text
    record = await site.lived.stage.rows(
        "select actor from audit_record where action in ('user.changed', 'user.deactivated')"
    )
    own = ids.show(
        ids.USER, await site.lived.stage.value("select id from tenant_user where email_key = 'ann@example.com'")
    )
    assert [row["actor"] for row in record] == [f"user:{own}"] * 2


async def test_the_last_owner_is_told_so_on_a_page(site: Site, ann: httpx2.AsyncClient):
    own = ids.show(ids.USER, await site.lived.stage.value("select id from tenant_user"))

    answer = await send(ann, f"/people/{own}/deactivate", f"/people/{own}")

    assert answer.status_code == 409
    assert "this is the only owner" in answer.text
    assert (await ann.get("/account")).status_code == 200


async def test_whoever_may_only_read_people_is_offered_no_forms_and_refused_the_acts(site: Site):
    await settled(site, roles=("read-only",))
    await signing_in(site.stranger)
    own = ids.show(ids.USER, await site.lived.stage.value("select id from tenant_user"))

    listed, shown = await page_of(site.stranger, "/people"), await page_of(site.stranger, f"/people/{own}")
    acts = [
        await send(site.stranger, path) for path in ("/people", f"/people/{own}/roles", f"/people/{own}/deactivate")
    ]

    assert "Invite somebody" not in listed
    assert "/deactivate" not in shown
    assert [answer.status_code for answer in acts] == [403, 403, 403]
    assert "users:write" in acts[0].text


async def test_people_of_another_business_are_not_found(site: Site, ann: httpx2.AsyncClient):
    own = ids.show(ids.USER, await site.lived.stage.value("select id from tenant_user"))

    assert (await site.empty.get(f"/people/{own}")).status_code == 404
    assert (await site.empty.post(f"/people/{own}/deactivate")).status_code == 404
    assert "Nothing yet" in await site.empty.page("/people")
    assert await site.lived.stage.value("select deactivated_at is null from tenant_user") is True


async def test_a_new_password_ends_other_sessions_and_gives_this_one_a_new_token(site: Site, ann: httpx2.AsyncClient):
    elsewhere = client_of(site.app)
    await signing_in(elsewhere)
    before = dict(ann.cookies)["bursar_session"]

    answer = await send(ann, "/account/password", present=PASSWORD, password=NEW, again=NEW)

    assert answer.headers["location"] == "/account?done=password"
    assert dict(ann.cookies)["bursar_session"] != before
    assert (await ann.get("/account")).status_code == 200
    assert (await elsewhere.get("/account")).status_code == 303
    stolen = await elsewhere.get("/account", headers={"cookie": f"bursar_session={before}"})
    assert stolen.status_code == 303
    assert (await signing_in(elsewhere)).status_code == 401
    assert (await signing_in(elsewhere, password=NEW)).status_code == 303
    await elsewhere.aclose()


@pytest.mark.parametrize(
    ("fields", "status", "said"),
    [
        ({"present": "wrong", "password": NEW, "again": NEW}, 403, "present password is not right"),
        ({"present": PASSWORD, "password": NEW, "again": "other"}, 422, "differ"),
        ({"present": PASSWORD, "password": "password1", "again": "password1"}, 422, "leaked"),
        ({"present": PASSWORD, "password": "harbouryoga", "again": "harbouryoga"}, 422, "guess"),
        ({}, 403, "present password is not right"),
    ],
)
async def test_a_password_is_not_changed_by_whoever_only_has_the_session(
    site: Site, ann: httpx2.AsyncClient, fields: dict[str, str], status: int, said: str
):
    before = await site.lived.stage.value("select password_hash from tenant_user")

    answer = await send(ann, "/account/password", **fields)

    assert answer.status_code == status
    assert said in answer.text or (said == "guess" and "password" in answer.text)
    assert await site.lived.stage.value("select password_hash from tenant_user") == before


async def test_one_sees_and_ends_one_s_own_sessions_and_nobody_else_s(site: Site, ann: httpx2.AsyncClient):
    bob = client_of(site.app)
    await settled(site, email="bob@example.com", http=bob)
    await signing_in(bob, email="bob@example.com")
    elsewhere = client_of(site.app)
    await signing_in(elsewhere)
    shown = re.findall(r'action="/account/sessions/(ses_\w+)/end"', await page_of(ann, "/account"))
    assert len(shown) == 2
    [bobs] = re.findall(r'action="/account/sessions/(ses_\w+)/end"', await page_of(bob, "/account"))

    assert (await send(ann, f"/account/sessions/{bobs}/end", present=PASSWORD)).status_code == 404
    assert (await bob.get("/account")).status_code == 200
    for wrong in ({}, {"present": "wrong"}):
        assert (await send(ann, f"/account/sessions/{shown[0]}/end", **wrong)).status_code == 403
        assert (await send(ann, "/account/sessions/end", **wrong)).status_code == 403
    assert (await elsewhere.get("/account")).status_code == 200
    ended = await send(ann, f"/account/sessions/{shown[0]}/end", present=PASSWORD)
    assert ended.headers["location"] == "/account?done=ended"
    assert (await elsewhere.get("/account")).status_code == 303
    assert (await ann.get("/account")).status_code == 200
    await signing_in(elsewhere)
    assert (await send(ann, "/account/sessions/end", present=PASSWORD)).headers["location"] == "/account?done=ended"
    assert [(await http.get("/account")).status_code for http in (elsewhere, ann, bob)] == [303, 200, 200]
    for http in (bob, elsewhere):
        await http.aclose()


async def test_whoever_came_with_a_key_has_no_account(site: Site):
    answer = await site.lived.get("/account")

    assert answer.status_code == 403
    assert "not as a person" in answer.text


async def set_up(http: httpx2.AsyncClient) -> tuple[str, list[str]]:
    """Switch the second factor on; return its secret and the recovery codes."""
    assert (await send(http, "/account/second-factor", present=PASSWORD)).headers[
        "location"
    ] == "/account/second-factor"
    shown = await page_of(http, "/account/second-factor")
    secret = re.search(r'class="secret">([A-Z2-7]{32})<', shown)
    assert secret
    assert "<svg" in shown
    # The step before this one: the present one's code is then still good at the door.
    code = pyotp.TOTP(secret[1]).at(int(time.time()) - 30)
    answer = await send(http, "/account/second-factor/on", code=code)
    assert answer.status_code == 200, answer.text
    return secret[1], re.findall(r"<li>([a-z2-9-]{31})</li>", answer.text)


async def test_with_a_second_factor_a_password_alone_opens_nothing(site: Site, ann: httpx2.AsyncClient):
    secret, codes = await set_up(ann)
    assert len(set(codes)) == 10
    elsewhere = client_of(site.app)

    signed = await signing_in(elsewhere, next="/payments")

    assert signed.headers["location"] == "/sign-in/code?next=%2Fpayments"
    pending = dict(elsewhere.cookies)["bursar_session"]
    for path in ("/", "/payments", "/account", "/live"):
        assert (await elsewhere.get(path)).headers["location"].startswith("/sign-in?"), path
    origin = {"origin": ORIGIN}
    wrong = await elsewhere.post("/sign-in/code", data={"code": "000000"}, headers=origin)
    assert wrong.status_code == 403
    fields = {"code": pyotp.TOTP(secret).now(), "next": "/payments"}
    entered = await elsewhere.post("/sign-in/code", data=fields, headers=origin)
    assert (entered.status_code, entered.headers["location"]) == (303, "/payments")
    assert dict(elsewhere.cookies)["bursar_session"] != pending
    assert (await elsewhere.get("/payments")).status_code == 200
    # The same code is good once, and so is a recovery code.
    for proof, status in ((fields["code"], 403), (codes[0].upper(), 303), (codes[0], 403), (codes[1], 303)):
        await signing_in(elsewhere)
        again = await elsewhere.post("/sign-in/code", data={"code": proof}, headers=origin)
        assert again.status_code == status, proof
    assert "8 recovery codes are left" in Markup(await page_of(elsewhere, "/account")).text
    await elsewhere.aclose()


async def test_codes_are_limited_too(site: Site, ann: httpx2.AsyncClient):
    _, codes = await set_up(ann)
    elsewhere = client_of(site.app)
    await signing_in(elsewhere)

    statuses = [
        (await elsewhere.post("/sign-in/code", data={"code": "000000"}, headers={"origin": ORIGIN})).status_code
        for _ in range(11)
    ]
    late = await elsewhere.post("/sign-in/code", data={"code": codes[0]}, headers={"origin": ORIGIN})

    assert statuses == [403] * 10 + [429]
    assert late.status_code == 429
    await elsewhere.aclose()


async def test_the_second_factor_is_switched_and_renewed_only_with_the_password(site: Site, ann: httpx2.AsyncClient):
    _, codes = await set_up(ann)

    for act in ("off", "codes"):
        assert (await send(ann, f"/account/second-factor/{act}", present="wrong")).status_code == 403
    renewed = await send(ann, "/account/second-factor/codes", present=PASSWORD)
    assert not set(re.findall(r"<li>([a-z2-9-]{31})</li>", renewed.text)) & set(codes)
    elsewhere = client_of(site.app)
    await signing_in(elsewhere)
    old = await elsewhere.post("/sign-in/code", data={"code": codes[0]}, headers={"origin": ORIGIN})
    assert old.status_code == 403

    assert (await send(ann, "/account/second-factor/off", present=PASSWORD)).headers["location"] == "/account?done=off"
    assert (await signing_in(elsewhere)).headers["location"] == "/"
    actions = await site.lived.stage.rows(
        "select action from audit_record where action like 'user.second%' order by id"
    )
    assert [row["action"] for row in actions] == ["user.second_factor_on", "user.second_factor_off"]
    await elsewhere.aclose()


async def test_the_secret_of_a_second_factor_and_the_codes_are_not_in_the_database(site: Site, ann: httpx2.AsyncClient):
    secret, codes = await set_up(ann)

    for table in ("tenant_user", "recovery_code", "audit_record"):
        told = " ".join(row["told"] for row in await site.lived.stage.rows(f"select t::text as told from {table} t"))
        assert secret not in told
        assert secret.encode().hex() not in told
        assert codes[0] not in told
        assert codes[0].replace("-", "") not in told
