"""Operators of the installation: apart from businesses' users, and acting for one seen, limited and written down."""

import json
import re
from datetime import UTC, datetime
from types import SimpleNamespace

import asyncpg
import httpx2
import pytest
from test_people import send
from visitors import ORIGIN, Markup, Site, Visitor, live

from bursar.bootstrap import SCHEDULES
from bursar.kernel import ids
from bursar.kernel.circuits import Admission, Circuits
from bursar.kernel.clock import utc_now
from bursar.kernel.db import Database
from bursar.kernel.identity import operators
from bursar.kernel.jobs import Timetable
from bursar.kernel.logs import configure_logs
from bursar.kernel.slow import SlowStatements
from bursar.operations.retention_runs import apply
from bursar.web.pages.reads.installation import installation
from draining import drain
from reports.till import start

PASSWORD = "seven brass bells in a tower"
EMAIL = "Olga@Example.com"


@pytest.fixture
async def olga(site: Site, db: Database) -> httpx2.AsyncClient:
    """A browser in which an operator is signed in."""
    _, token = await operators.add(db, email=EMAIL, now=datetime.now(UTC))
    origin = {"origin": ORIGIN}
    fields = {"token": token, "password": PASSWORD, "again": PASSWORD}
    assert (await site.stranger.post("/operator/accept", data=fields, headers=origin)).status_code == 303
    assert (await site.stranger.post("/operator/accept", data=fields, headers=origin)).status_code == 400
    signed = await signing_in(site.stranger)
    assert (signed.status_code, signed.headers["location"]) == (303, "/operator")
    return site.stranger


async def signing_in(http: httpx2.AsyncClient, **fields: str) -> httpx2.Response:
    data = {"email": EMAIL.lower(), "password": PASSWORD, **fields}
    return await http.post("/operator/sign-in", data=data, headers={"origin": ORIGIN})


async def acting(http: httpx2.AsyncClient, visitor: Visitor, reason: str = "asked by Ann") -> httpx2.Response:
    business = ids.show(ids.TENANT, visitor.stage.tenant_id)
    return await send(http, "/operator/act", "/operator", business=business, reason=reason)


async def test_an_operator_sees_businesses_and_nothing_of_them(site: Site, olga: httpx2.AsyncClient):
    text = Markup((await olga.get("/operator")).text).text

    assert "Harbour Yoga" in text
    assert "Nothing yet" in text
    assert (await olga.get("/payments")).headers["location"].startswith("/sign-in")


async def test_an_operator_sees_backups_and_what_drills_found(site: Site, olga: httpx2.AsyncClient, admin_url: str):
    empty = Markup((await olga.get("/operator/backups")).text).text
    connection = await asyncpg.connect(admin_url)
    await connection.execute("""
      update backup_standing set is_wanted = true, wanted_at = now(), log_kept_at = now(), log_proven_at = now(), backed_up_at = now();
      insert into backup_listed (name, kind, ended_at, plain_bytes, stored_bytes, failure) values
        ('20261121T1-full', 'full', now(), 54500000, 4100000, null), ('20261120T1-full', null, null, null, null, 'its head cannot be read');
      insert into backup_drill (id, ended_at, state, backup, rto_s, rto_target_s, rpo_s, rpo_target_s, checks, failure) values
        (gen_random_uuid(), now(), 'failed', '20261121T1-full', 3.2, 10.5, 1.25, 10,
          '[{"name": "counts", "ok": false, "found": "EUR: <b>7</b> before"}]', 'counts: EUR: <b>7</b> before')""")
    await connection.close()

    page = (await olga.get("/operator/backups")).text

    text = Markup(page).text
    assert "No drill yet" in empty and "No backups are made" in empty
    assert "the last drill failed (counts: EUR: <b>7</b> before)" in text
    assert "backups are not well: what is in the store is not whole (its head cannot be read)" in text
    assert "<b>7</b>" not in page
    for told in (
        "1.2 s of 10.0 s",
        "3.2 s of 10.5 s",
        "54.5 MB",
        "4.1 MB",
        "its head cannot be read",
        "NOT OK: counts",
    ):
        assert told in text, told
    assert (await site.lived.get("/operator/backups")).headers["location"] == "/operator/sign-in"


async def test_an_operator_sees_what_is_kept_and_what_would_go(site: Site, olga: httpx2.AsyncClient, admin_url: str):
    before = Markup((await olga.get("/operator/retention")).text).text
    await apply(admin_url, kept_months=0, now=datetime.now(UTC))

    after = Markup((await olga.get("/operator/retention")).text).text

    assert "Not yet" in before
    assert "BURSAR_BODY_MONTHS" in after and "the audit trail" in after
    assert "none was missing" in after
    assert (await site.lived.get("/operator/retention")).headers["location"] == "/operator/sign-in"


async def test_acting_for_a_business_takes_a_reason_is_banded_and_in_its_trail(site: Site, olga: httpx2.AsyncClient):
    for reason in ("", "   ", "x" * 501):
        assert (await acting(olga, site.lived, reason)).status_code == 422
    assert await site.lived.stage.value("select count(*) from session where kind = 'operator'") == 0

    assert (await acting(olga, site.lived)).headers["location"] == "/"

    page = (await olga.get("/payments")).text
    assert "Operator acting for Harbour Yoga : asked by Ann , ends in 59 min" in Markup(page).text
    session = await site.lived.stage.row(
        "select reason, expires_at - created_at = interval '1 hour' as is_short from session where kind = 'operator'"
    )
    assert session == {"reason": "asked by Ann", "is_short": True}
    record = await site.lived.stage.row(
        """select r.actor, n.told::text as told from audit_record r
        join audit_note n on n.tenant_id = r.tenant_id and n.record_id = r.id where r.action like 'operator.%'"""
    )
    assert record["actor"].startswith("operator:opr_")
    assert "asked by Ann" in record["told"]
    assert await site.empty.stage.value("select count(*) from audit_record where action like 'operator.%'") == 0

    stopped = await send(olga, "/acting/stop", "/payments")
    assert stopped.headers["location"] == "/operator"
    assert (await olga.get("/payments")).status_code == 303
    assert (await olga.get("/operator")).status_code == 200


async def test_acting_ends_by_itself_after_an_hour_and_at_once_when_the_operator_is_deactivated(
    site: Site, olga: httpx2.AsyncClient, db: Database
):
    await acting(olga, site.lived)
    await site.lived.stage.rows("update session set expires_at = now() where kind = 'operator' returning id")
    assert (await olga.get("/payments")).status_code == 303

    await acting(olga, site.lived)
    assert (await olga.get("/payments")).status_code == 200
    await operators.deactivate(db, email=EMAIL, now=datetime.now(UTC))

    assert (await olga.get("/payments")).status_code == 303
    assert (await olga.get("/operator")).headers["location"] == "/operator/sign-in"
    assert (await signing_in(olga)).status_code == 401


async def test_nobody_else_gets_to_the_operators_pages(site: Site, olga: httpx2.AsyncClient):
    for path in ("/operator", "/operator/health", "/operator/figures", "/operator/slow-queries"):
        assert (await site.lived.get(path)).headers["location"] == "/operator/sign-in"
    token = re.search(r'name="form_token" value="([^"]+)"', await site.lived.page("/"))
    assert token
    data = {"form_token": token[1], "business": "x", "reason": "y"}
    assert (await site.lived.http.post("/operator/act", data=data, headers={"origin": ORIGIN})).status_code == 303
    crossed = dict(site.lived.http.cookies)["bursar_session"]
    answer = await site.empty.get("/operator", cookie=f"bursar_operator={crossed}")
    assert answer.headers["location"] == "/operator/sign-in"


async def test_an_operator_s_sign_in_is_in_the_log(olga: httpx2.AsyncClient, capfd: pytest.CaptureFixture[str]):
    configure_logs()

    await signing_in(olga)

    lines = [json.loads(line) for line in capfd.readouterr().err.splitlines() if "operator_signed_in" in line]
    assert [(line["address"], line["actor"][:13]) for line in lines] == [("127.0.0.1", "operator:opr_")]


async def test_wrong_operators_get_one_answer_and_a_limit(site: Site, olga: httpx2.AsyncClient):
    answers = [await signing_in(olga, **wrong) for wrong in ({"password": "x"}, {"email": "nobody@example.com"})]
    assert [answer.status_code for answer in answers] == [401, 401]
    assert answers[0].text.count("That is not right") == answers[1].text.count("That is not right") == 1

    for _ in range(8):
        await signing_in(olga, password="x")
    assert (await signing_in(olga)).status_code == 429


async def test_operators_see_every_part_the_worst_first_with_what_to_do(site: Site, olga: httpx2.AsyncClient):
    stage = site.lived.stage
    circuits, now = Circuits(stage.db, utc_now), utc_now()
    subject = ids.show(ids.GATEWAY_ACCOUNT, stage.account_id)
    for _ in range(5):
        await circuits.failed(
            Admission(now), tenant_id=stage.tenant_id, subject=subject, operation="refund", why="<b>theirs</b>"
        )

    page = Markup((await olga.get("/operator/health")).text).text
    data = (await site.stranger.get("/health")).json()["parts"]

    assert "unhealthy" not in page
    assert (
        page.index("gateway:stripe")
        < page.index("Nothing is lost. See the gateway's status page")
        < page.index("backups")
    )
    assert all(name.replace("_", " ") in page for name in data)
    assert ids.show(ids.TENANT, stage.tenant_id) in page
    assert subject in page
    assert "theirs" not in page


async def test_operators_see_what_takes_long_and_that_nothing_does(site: Site, olga: httpx2.AsyncClient, db: Database):
    nothing = Markup((await olga.get("/operator/slow-queries")).text).text
    noted = SlowStatements(process="worker", over_ms=1, plan_over_ms=1)
    noted.note(SimpleNamespace(query="select id from payment where tenant_id = $1 -- <script>", elapsed=1.5))
    await noted.flush(db)

    answer = (await olga.get("/operator/slow-queries")).text

    page = Markup(answer).text
    assert "No statement took long" in nothing
    assert "<script>alert" not in answer
    assert "&lt;script&gt;" in answer
    assert "select id from payment where tenant_id = $1" in page
    assert "1,500 ms" in page
    assert "Scan" in page


async def test_operators_see_the_figures_of_all_businesses_together_and_no_business_s_name(
    site: Site, olga: httpx2.AsyncClient, db: Database
):
    await live(site.lived.stage)
    nothing = installation({})
    await start(site.lived.stage, utc_now())
    await Timetable([one for one in SCHEDULES if one.name == "health.figures"]).tend(db)
    await drain(site.lived.stage)

    page = Markup((await olga.get("/operator/figures")).text).text

    assert (nothing.churn, nothing.currencies, nothing.gateways) == ("–", (), ())
    assert "2 businesses together, 1 subscription. Churn" in page
    assert "EUR 20.00 EUR 240.00 EUR" in page
    assert "EUR, by the month 1 20.00 EUR 100.00 %" in page
    assert "stripe 0 0 1 0 0 – 0 0 0 –" in page
    assert "Harbour Yoga" not in page


async def test_figures_that_were_never_taken_say_what_to_do(olga: httpx2.AsyncClient):
    page = Markup((await olga.get("/operator/figures")).text).text

    assert "Not taken yet" in page
    assert "no worker does jobs" in page
