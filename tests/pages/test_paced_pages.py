"""How often pages may be asked for, and what somebody who asks too often is told."""

import socket
from datetime import UTC, datetime

import httpx2
import pytest
from visitors import ORIGIN, client_of, key_of

from bursar.kernel.identity import operators
from bursar.kernel.rate_limits.memory import Memory
from bursar.kernel.settings import Settings
from bursar.web.app import create_app
from serving import KEY
from stage import Stage, set_stage

pytestmark = pytest.mark.anyio

HTML = {"accept": "text/html"}


async def signed_in(app, stage: Stage) -> httpx2.AsyncClient:
    http = client_of(app)
    answer = await http.post("/sign-in", data={"api_key": await key_of(stage)}, headers={"origin": ORIGIN})
    assert answer.status_code == 303
    return http


def application(database_url: str, **settings):
    """Return an application for which no minute ends, so that what is counted together does not hang on when it came."""
    app = create_app(Settings(database_url=database_url, secret_key=KEY, **settings))
    app.resources.limits._memory = Memory(lambda: 1_800_000_010.0)
    return app


async def test_a_session_that_asks_for_too_many_pages_waits_and_no_other_does(db, database_url):
    stage = await set_stage(db, database_url)
    app = application(database_url, rate_general=5)
    async with app._lifespan(app.api):
        busy, other = await signed_in(app, stage), await signed_in(app, stage)
        pages = [await busy.get("/payments", headers=HTML) for _ in range(6)]
        parts = [await busy.get("/payments", headers={"hx-request": "true"}) for _ in range(20)]
        file = await busy.get("/static/pages.css")
        elsewhere = await other.get("/payments", headers=HTML)
        await app.resources.security.flush(db)

    assert [page.status_code for page in pages] == [200] * 5 + [429]
    assert 1 <= int(pages[5].headers["retry-after"]) <= 60
    assert f"Wait {pages[5].headers['retry-after']} s, then try again." in pages[5].text
    assert pages[4].headers["ratelimit-policy"] == '"general";q=5;w=60'
    assert {part.status_code for part in parts} == {200}
    assert parts[0].headers["ratelimit-policy"] == '"page_part";q=100;w=60'
    assert (file.status_code, elsewhere.status_code) == (200, 200)
    assert await stage.value("select count from security_event where kind = 'rate_limited'") == 1


async def test_parts_of_pages_have_a_limit_too_and_a_form_is_no_part(db, database_url):
    stage = await set_stage(db, database_url)
    app = application(database_url, rate_general=2)
    async with app._lifespan(app.api):
        http = await signed_in(app, stage)
        parts = [await http.get("/payments", headers={"hx-request": "true"}) for _ in range(41)]
        forms = [await http.post("/sign-out", headers={"hx-request": "true", "origin": ORIGIN}) for _ in range(3)]

    assert [part.status_code for part in parts] == [200] * 40 + [429]
    assert [form.status_code for form in forms] == [422, 422, 429]


async def test_a_tenants_own_limit_counts_for_its_people_on_pages(db, database_url):
    stage = await set_stage(db, database_url)
    async with db.tenant(stage.tenant_id) as tx:
        await tx.execute("insert into rate_limit values ($1, 'general', 'user', 3)", stage.tenant_id)
    app = application(database_url)
    async with app._lifespan(app.api):
        http = await signed_in(app, stage)
        pages = [await http.get("/payments", headers=HTML) for _ in range(4)]

    assert [page.status_code for page in pages] == [200] * 3 + [429]


async def test_whoever_is_not_signed_in_is_counted_by_address(db, database_url):
    await set_stage(db, database_url)
    app = application(database_url, rate_general=4, trusted_proxies="127.0.0.0/8")
    async with app._lifespan(app.api):
        http = client_of(app)
        one, other = {**HTML, "x-forwarded-for": "192.0.2.1"}, {**HTML, "x-forwarded-for": "192.0.2.2"}
        paths = ("/sign-in", "/payments", "/operator", "/forgot", "/sign-in")
        statuses = [(await http.get(path, headers=one)).status_code for path in paths]
        elsewhere = await http.get("/sign-in", headers=other)

    assert statuses == [200, 303, 303, 200, 429]
    assert elsewhere.status_code == 200


async def test_operators_are_counted_by_their_session(db, database_url):
    now, device = datetime.now(UTC), {"origin": ORIGIN}
    app = application(database_url, rate_general=6)
    async with app._lifespan(app.api):
        _, token = await operators.add(db, email="olga@example.com", now=now)
        password, http = "seven brown foxes under a hill", client_of(app)
        chosen = {"token": token, "password": password, "again": password}
        assert (await http.post("/operator/accept", data=chosen, headers=device)).status_code == 303
        shown = {"email": "olga@example.com", "password": password}
        assert (await http.post("/operator/sign-in", data=shown, headers=device)).status_code == 303
        statuses = [(await http.get("/operator", headers=HTML)).status_code for _ in range(7)]

    assert statuses == [200] * 6 + [429]


@pytest.mark.parametrize("path", ["/sign-in", "/operator/sign-in"])
async def test_attempts_to_sign_in_from_one_address_are_limited_before_a_password_is_looked_at(db, database_url, path):
    await set_stage(db, database_url)
    app = application(database_url, rate_sign_in=2)
    async with app._lifespan(app.api):
        http = client_of(app)
        wrong = {"email": "ann@example.com", "password": "wrong", "business": "Harbour Yoga"}
        answers = [await http.post(path, data=wrong, headers={"origin": ORIGIN}) for _ in range(3)]

    assert [answer.status_code for answer in answers] == [401, 401, 429]
    assert int(answers[2].headers["retry-after"]) >= 1
    assert "then try again" in answers[2].text


@pytest.mark.parametrize("path", ["/sign-in", "/operator/sign-in"])
async def test_while_attempts_cannot_be_counted_nobody_signs_in(db, database_url, path):
    stage = await set_stage(db, database_url)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    app = application(database_url, rate_limit_url=f"redis://127.0.0.1:{port}")
    async with app._lifespan(app.api):
        http = client_of(app)
        page = await http.get(path, headers=HTML)
        refused = await http.post(path, data={"api_key": await key_of(stage)}, headers={"origin": ORIGIN})

    assert page.status_code == 200
    assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
    assert "attempts to sign in cannot be counted at the moment" in refused.text
    assert await stage.value("select count(*) from session") == 0
