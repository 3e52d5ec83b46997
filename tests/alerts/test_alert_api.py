"""The routes and commands of alerts: bad input is refused, addresses are never given back, and operators act from the shell."""

import asyncio
from datetime import UTC, datetime, timedelta

import asyncpg
import pytest

from api.conftest import caller_of, running
from bursar.alerts import look
from bursar.kernel.jobs import INSTALLATION
from bursar.kernel.settings import Settings
from serving import KEY
from stage import set_stage

pytestmark = pytest.mark.anyio

_DIE = """
insert into job (tenant_id, id, kind, key, idempotency_key, request, state, run_at, error, rested_at)
values ($1, gen_random_uuid(), 'tests.fail', 'k', gen_random_uuid(), '', 'dead', now(), 'no', now())
"""
CHANNELS = "/v1/alert-channels"


async def test_channels_and_routes_are_kept_within_bounds_and_never_tell_their_addresses(db, database_url):
    stage = await set_stage(db, database_url)
    async with running(database_url) as (_, http):
        caller = await caller_of(stage, http)

        added = await caller.post(CHANNELS, {"name": "On call", "url": "https://hooks.example.org/s3cret"})
        twice = await caller.post(CHANNELS, {"name": "On call", "url": "mailto:a@example.org"})
        private = await caller.post(CHANNELS, {"name": "In", "url": "https://169.254.169.254/latest/meta-data"})
        channel = added.json()["id"]
        route = {"severity": "high", "channel": channel}
        same = await caller.post("/v1/alert-routes", route | {"second_channel": channel})
        ours = await caller.post("/v1/alert-routes", route | {"rule": "backup_failed"})
        listed = await caller.get(CHANNELS)

        assert (added.status_code, added.json()["shown"]) == (201, "https://hooks.example.org/…")
        assert (twice.status_code, twice.json()["code"]) == (409, "alert_channel_name_taken")
        assert (private.status_code, private.json()["code"]) == (422, "alert_channel_address_invalid")
        assert "BURSAR_ALERT_NETWORKS" in private.text
        assert (same.status_code, same.json()["code"]) == (422, "alert_route_invalid")
        assert (ours.status_code, ours.json()["code"]) == (404, "alert_rule_unknown")
        assert "s3cret" not in added.text + listed.text
        sealed = bytes(await stage.value("select url from alert_channel"))
        assert b"s3cret" not in sealed
        assert "s3cret" not in str(await stage.rows("select changes from audit_record"))
        for number in range(19):
            more = await caller.post(CHANNELS, {"name": f"n{number}", "url": "mailto:a@example.org"})
            assert more.status_code == 201
        assert (await caller.post(CHANNELS, {"name": "n20", "url": "mailto:a@example.org"})).status_code == 429
        assert len(await caller.data(CHANNELS)) == 20


async def test_an_alert_is_listed_acknowledged_and_silenced(db, database_url):
    stage = await set_stage(db, database_url)
    async with db.tenant(stage.tenant_id) as tx:
        await tx.execute(_DIE, stage.tenant_id)
    await look(db, Settings(database_url=database_url, secret_key=KEY), now=datetime.now(UTC))
    until = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    async with running(database_url) as (_, http):
        caller = await caller_of(stage, http)
        alert = await caller.one("/v1/alerts", state="open", rule="dead_jobs")
        path = f"/v1/alerts/{alert['id']}"

        assert (alert["occurrences"], alert["severity"], alert["unit"]) == (1, "high", "jobs")
        assert alert["runbook"] == "docs/how-to/runbooks.md#dead-jobs"
        assert (await caller.post(f"{path}/acknowledgements")).json()["state"] == "acknowledged"
        assert (await caller.post(f"{path}/silences", {"until": until})).json()["silenced_until"]
        assert (await caller.post(f"{path}/silences", {"until": "2020-01-01T00:00:00Z"})).status_code == 422
        assert (await caller.send("DELETE", f"{path}/silences")).json()["silenced_until"] is None
        story = (await caller.get(path)).json()
        assert [entry["what"] for entry in story["history"]] == ["unsilenced", "silenced", "acknowledged", "opened"]
        metrics = await http.get("/metrics")
        assert 'bursar_alerts_open{severity="high"}' in metrics.text


def test_operators_act_from_the_shell(bursar, admin_url, monkeypatch):
    asyncio.run(_wrong(admin_url))

    _, listed = bursar("alerts", "list", "--state", "open")
    (alert,) = listed["data"]
    assert alert["title"] == "Jobs were given up"
    assert bursar("alerts", "ack", alert["id"])[1]["state"] == "acknowledged"
    assert bursar("alerts", "silence", alert["id"], "--hours", "1")[1]["silenced_until"]
    refused = {
        "alert_state_unknown": ("list", "--state", "odd"),
        "alert_not_found": ("ack", "alr_01kapj5m6rfq1v5wx6h0b1a2c3"),
        "alert_urls_missing": ("watch",),
    }
    for code, arguments in refused.items():
        left, said = bursar("alerts", *arguments)
        assert (left, said["error"]["code"]) == (1, code)
    monkeypatch.setenv("BURSAR_ALERT_URLS", "http://127.0.0.1:1/x http://127.0.0.1:1/y")
    assert bursar("alerts", "test")[1]["error"]["code"] == "notice_not_sent"


async def _wrong(admin_url: str) -> None:
    connection = await asyncpg.connect(admin_url)
    await connection.execute(
        """insert into alert (tenant_id, id, rule, subject, severity, value, occurrences, detail, first_seen_at, last_seen_at,
          first_look, seen_look, seen_s, told_look, told_s, told_value)
        values ($1, gen_random_uuid(), 'dead_jobs', 'tests.fail', 'high', 1, 1, 'one', now(), now(), 1, 1, 0, 1, 0, 1)""",
        INSTALLATION,
    )
    await connection.close()
