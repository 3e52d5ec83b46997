"""Ask for a reconciliation, see how far it is and what it found: over HTTP, on the page, and by the command's exit code."""

import csv
from datetime import UTC, datetime, timedelta
from io import StringIO

import asyncpg
import pytest
from planting import Planted

from api.conftest import caller_of, running
from bursar.bootstrap import SCHEDULES
from bursar.kernel import ids
from bursar.kernel.clock import utc_now
from bursar.kernel.jobs import Timetable
from bursar.money.reconciliation import jobs as reconciliation_jobs
from draining import drain
from serving import KEY

pytestmark = pytest.mark.anyio


@pytest.fixture
def asked(scene, monkeypatch):
    monkeypatch.setattr(reconciliation_jobs, "listed_by", lambda _: scene.listing.lists)
    return scene


async def work(scene):
    """Do the jobs, apply what they file, and do what waited for that."""
    await drain(scene.stage, reconciliation_jobs.kinds(scene.way_out()), secret_key=KEY)
    await scene.stage.apply()
    await scene.stage.rows("update job set state = 'ready', run_at = now() where state = 'scheduled'")
    await drain(scene.stage, reconciliation_jobs.kinds(scene.way_out()), secret_key=KEY)


async def test_a_run_is_asked_for_followed_and_read_over_http(asked, database_url):
    asked.outside.fill(10)
    planted = Planted(asked.outside)
    await planted.plant(asked.stage)
    account = ids.show(ids.GATEWAY_ACCOUNT, asked.stage.account_id)
    async with running(database_url) as (_, http):
        caller = await caller_of(asked.stage, http)
        begun = await caller.post("/v1/reconciliations", {"gateway_account": account})
        again = await caller.post("/v1/reconciliations", {"gateway_account": account})
        await work(asked)
        path = f"/v1/reconciliations/{begun.json()['id']}"
        run = (await caller.get(path)).json()
        listed = (await caller.get("/v1/reconciliations", gateway_account=account)).json()
        fees = await caller.data(f"{path}/differences", **{"class": "fee", "limit": 1})
        unrepaired = await caller.data(f"{path}/differences", state="open", limit=200)
        sheet = await caller.get(f"{path}/differences.csv")

    assert (begun.status_code, begun.json()["state"]) == (202, "listing")
    assert (again.status_code, again.json()["code"]) == (409, "reconciliation_running")
    assert run["state"] == "done"
    assert run["counts"]["missing_here"] == 4
    assert run["unrepaired"] == sum(state == "open" for *_, state in planted.differences)
    assert listed["data"] == [run]
    assert [(each["is_overdue"], each["last_good_at"]) for each in listed["accounts"]] == [(False, run["finished_at"])]
    assert [each["class"] for each in fees] == ["fee"]
    assert {each["why"] for each in unrepaired} == {
        "not_listed",
        "kept_final",
        "booked_otherwise",
        "sums_not",
        "payout_late",
    }
    assert all(each["explanation"] for each in unrepaired)
    rows = list(csv.DictReader(StringIO(sheet.text)))
    assert sheet.headers["content-type"].startswith("text/csv")
    assert sorted((r["kind"], r["gateway_ref"], r["class"], r["state"]) for r in rows) == sorted(planted.differences)


async def test_every_account_is_compared_once_a_day(asked, admin_url):
    timetable = Timetable(s for s in SCHEDULES if s.name == "reconciliation.daily")
    admin = await asyncpg.connect(admin_url)
    await admin.execute("update tenant set created_at = created_at - interval '3 days'")
    await admin.close()

    await timetable.tend(asked.stage.db)
    await asked.stage.rows("update job set state = 'ready', run_at = now() where state = 'scheduled'")
    await work(asked)

    assert (
        await asked.stage.value("select count(*) from reconciliation_run where state = 'done' and actor = 'schedule'")
        == 1
    )


async def test_an_account_that_was_not_compared_for_26_hours_is_overdue_everywhere(asked, database_url):
    await asked.reconcile()
    late = utc_now() + timedelta(hours=27)
    async with running(database_url, clock=lambda: late) as (_, http):
        caller = await caller_of(asked.stage, http)
        listed = (await caller.get("/v1/reconciliations")).json()
        health = (await http.get("/health")).json()
        metrics = (await http.get("/metrics")).text

    assert [each["is_overdue"] for each in listed["accounts"]] == [True]
    assert health["parts"]["reconciliation"]["status"] == "degraded"
    assert health["parts"]["reconciliation"]["figures"] == {"overdue_accounts": 1}
    assert "bursar_reconciliation_overdue_accounts 1.0" in metrics


async def test_a_window_that_is_empty_and_an_account_without_a_key_are_refused(asked, database_url):
    account = ids.show(ids.GATEWAY_ACCOUNT, asked.stage.account_id)
    async with running(database_url) as (_, http):
        caller = await caller_of(asked.stage, http)
        empty = await caller.post(
            "/v1/reconciliations", {"gateway_account": account, "since": (datetime.now(UTC) + timedelta(1)).isoformat()}
        )
        await asked.stage.rows("update gateway_account set api_key = null where id = $1", asked.stage.account_id)
        keyless = await caller.post("/v1/reconciliations", {"gateway_account": account})

    assert (empty.status_code, empty.json()["code"]) == (422, "reconciliation_window_invalid")
    assert (keyless.status_code, keyless.json()["code"]) == (409, "gateway_key_missing")
    assert await asked.stage.value("select count(*) from reconciliation_run") == 0
