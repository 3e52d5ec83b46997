"""Routes for those who run Bursar: alive, ready, healthy, figures, and the API's own description."""

import asyncio
import re
import time

import asyncpg
import pytest

from api.conftest import running
from bursar.bootstrap import kinds
from bursar.health import Watch
from bursar.kernel import ids
from bursar.kernel.circuits import Admission, Circuits
from bursar.kernel.clock import utc_now
from stage import event, intent

pytestmark = pytest.mark.anyio


async def test_a_healthy_installation(world):
    live = await world.http.get("/health/live")
    ready = await world.http.get("/health/ready")
    health = await world.http.get("/health")

    assert (live.status_code, live.json()["status"]) == (200, "alive")
    assert (ready.status_code, ready.json()) == (200, {"status": "ready"})
    assert (health.status_code, health.json()["status"]) == (200, "healthy")
    parts = health.json()["parts"]
    assert parts.keys() == {
        "alerts", "archive", "audit", "backups", "clock", "database", "dead_letters", "disk", "figures", "gateway:stripe", "jobs",
        "mail", "memory", "queue", "reconciliation", "replication", "retention", "sign_in",
    }  # fmt: skip
    assert {name for name, part in parts.items() if part["latency_s"] is None} == {
        "archive", "clock", "disk", "figures", "memory",
    }, "what is read without a question of its own"  # fmt: skip
    assert parts["gateway:stripe"]["figures"] == {"accounts": 2, "circuits_open": 0, "circuits_half_open": 0}
    assert abs(parts["clock"]["figures"]["skew_s"]) < 1
    assert not any(part["advice"] for part in parts.values())


async def test_a_thousand_probes_cost_one_look(world, monkeypatch):
    monkeypatch.setattr("bursar.health.watch.KEPT_S", 60.0)
    await world.http.get("/health")  # the look, while nobody else keeps this loop busy
    answers = await asyncio.gather(
        *(world.http.get(path) for _ in range(250) for path in ("/health", "/health/ready", "/metrics", "/health/live"))
    )

    assert {answer.status_code for answer in answers} == {200}
    assert world.app.api.state.watch.looks == 1


async def test_an_open_circuit_and_letters_that_are_refused_degrade_and_say_what_to_do(world):
    stage = world.mine.stage
    circuits, now = Circuits(stage.db, utc_now), utc_now()
    place = {
        "tenant_id": stage.tenant_id,
        "subject": ids.show(ids.GATEWAY_ACCOUNT, stage.account_id),
        "operation": "refund",
    }
    for _ in range(5):
        await circuits.failed(Admission(now), **place, why="a secret of theirs")
    async with stage.db.tenant(stage.tenant_id) as tx:
        letter = ids.new()
        await tx.execute(
            "insert into mail_message (tenant_id, id, kind, email, created_at) values ($1, $2, 'invitation', 'a@b.c', now())",
            stage.tenant_id,
            letter,
        )
        await tx.execute(
            "insert into mail_queue values ($1, $2, now() + interval '1 hour', 3)", stage.tenant_id, letter
        )

    answer = await world.http.get("/health")
    figures = (await world.http.get("/metrics")).text

    parts = answer.json()["parts"]
    assert (answer.status_code, answer.json()["status"]) == (200, "degraded"), (
        "what waits outside is no reason to restart us"
    )
    assert {name for name, part in parts.items() if part["status"] != "healthy"} == {"gateway:stripe", "mail"}
    assert parts["gateway:stripe"]["figures"]["circuits_open"] == 1
    assert parts["gateway:stripe"]["advice"]
    assert parts["mail"]["advice"]
    assert "secret" not in answer.text
    assert place["subject"] not in answer.text
    assert 'bursar_circuits{gateway="stripe",state="open"} 1.0' in figures


async def test_dead_letters_and_a_waiting_queue_degrade(world):
    stage = world.mine.stage
    await stage.deliver(event("charge.succeeded", {"id": "ch_1"}))
    await stage.apply(retries_max=1)
    await stage.deliver(event("payment_intent.succeeded", intent()))
    await stage.rows("update gateway_event_queue set run_at = now() - interval '2 minutes' returning 1")

    health = await world.http.get("/health")

    parts = health.json()["parts"]
    assert (health.status_code, health.json()["status"]) == (200, "degraded")
    assert (parts["queue"]["status"], parts["queue"]["figures"]["received"]) == ("degraded", 1)
    assert (parts["dead_letters"]["status"], parts["dead_letters"]["figures"]["dead"]) == ("degraded", 1)


async def test_without_a_database_it_lives_and_says_that_it_is_not_ready():
    async with running("postgresql://bursar_app:x@127.0.0.1:1/nothing") as (_, http):
        live = await http.get("/health/live")
        ready = await http.get("/health/ready")
        health = await http.get("/health")
        listed = await http.get("/v1/payments", headers={"authorization": f"Bearer bsk_{'0' * 52}_{'A' * 43}"})
        delivered = await http.post("/v1/webhooks/gwa_01kapj5m6rfq1v5wx6h0b1a2c3", content=b"{}")
        metrics = await http.get("/metrics")

    assert live.status_code == 200
    assert (ready.status_code, ready.json()["code"]) == (503, "database_unavailable")
    assert (health.status_code, health.json()["status"]) == (503, "unhealthy")
    assert health.json()["parts"]["database"]["advice"]
    assert (listed.status_code, listed.headers["retry-after"]) == (503, "2")
    assert (delivered.status_code, delivered.headers["retry-after"]) == (503, "5")
    assert "bursar_database_up 0.0" in metrics.text


async def test_a_schema_of_another_version_is_not_ready(world, admin_url):
    connection = await asyncpg.connect(admin_url)
    await connection.execute(
        "insert into bursar_migration (version, name, sha256) values ('999912310000', 'future', 'x')"
    )
    newer = await world.http.get("/health/ready")
    await connection.execute("delete from bursar_migration")
    world.app.api.state.watch = Watch(world.app.resources, kinds())
    older = await world.http.get("/health/ready")
    await connection.close()

    assert (newer.status_code, newer.json()["code"]) == (503, "schema_newer")
    assert (older.status_code, older.json()["code"]) == (503, "schema_older")


async def test_figures_have_few_labels_whatever_is_asked(world):
    for n in range(30):
        await world.http.get(f"/v1/nothing/{n}")
        await world.http.request(f"METHOD{n}", "/health/live")
        await world.mine.get(f"/v1/customers/cus_01kapj5m6rfq1v5wx6h0b1a2{n % 10}3")

    text = (await world.http.get("/metrics")).text

    lines = [line for line in text.splitlines() if line.startswith("bursar_http_requests_total")]
    assert len(lines) == 3
    assert 'bursar_http_requests_total{method="GET",route="/v1/customers/{customer}",status="404"} 30.0' in lines
    assert 'bursar_http_requests_total{method="GET",route="unmatched",status="404"} 30.0' in lines


async def test_figures_count_events_by_state(world):
    await world.mine.stage.deliver(event("payment_intent.succeeded", intent()))

    text = (await world.http.get("/metrics")).text

    assert 'bursar_gateway_events{status="received"} 1.0' in text
    assert 'bursar_gateway_events{status="dead"} 0.0' in text
    assert "bursar_database_up 1.0" in text


async def test_others_are_served_while_the_description_is_written(world):
    gaps = [0.0]

    async def tick() -> None:
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            gaps.append(time.perf_counter() - began)

    ticking = asyncio.create_task(tick())
    began = time.perf_counter()
    first, second = await asyncio.gather(*(world.http.get("/openapi.json") for _ in range(2)))
    took = time.perf_counter() - began
    ticking.cancel()

    assert first.content == second.content
    assert (await world.http.get("/docs")).status_code == 200
    assert max(gaps) < took / 3, "the loop stood still"


async def test_the_description_names_every_route_and_its_refusals(world):
    document = (await world.http.get("/openapi.json")).json()

    operations = {(m, p): o for p, ops in document["paths"].items() for m, o in ops.items()}
    assert len(operations) > 45
    for (_, path), operation in operations.items():
        assert operation["description"], path
        if path.startswith("/v1/"):
            assert operation["security"] == [{"API key": []}]
            assert operation["responses"]["4XX"]["content"]["application/problem+json"]
            assert "422" not in operation["responses"]
    assert document["components"]["schemas"]["Problem"]["properties"]["code"]["examples"]


async def test_the_reference_page_asks_no_other_host(world):
    page = await world.http.get("/docs")
    style = await world.http.get("/docs/reference.css")

    assert (page.status_code, style.status_code) == (200, 200)
    asked = re.findall(r"(?:src|href|action|data)\s*=\s*[\"']?([^\s\"'>]+)|url\(([^)]*)\)", page.text + style.text)
    assert asked, "its own style sheet at least"
    assert not [one for one in asked if "//" in "".join(one)], (
        "addresses are examples, and nothing is fetched from them"
    )
    assert "/v1/credit-spends" in page.text


@pytest.mark.parametrize(
    ("ages_s", "failure", "complaint"),
    [
        ((2, 60, 3600), None, ""),
        ((60, 60, 3600), None, "backups are late: the log in the store"),
        ((2, 700, 3600), None, "backups are late: the last proof that the log has no gap"),
        ((2, 60, 200_000), None, "backups are late: the newest backup"),
        ((2, 60, 3600), "/mnt/x is full", "backups are not well: the last attempt failed (/mnt/x is full)"),
    ],
)
async def test_backups_older_than_they_should_be_degrade(world, admin_url, ages_s, failure, complaint):
    connection = await asyncpg.connect(admin_url)
    ago = [f"clock_timestamp() - interval '{seconds} seconds'" for seconds in ages_s]
    await connection.execute(
        f"""update backup_standing set is_wanted = true, log_kept_at = {ago[0]}, log_proven_at = {ago[1]},
          backed_up_at = {ago[2]}, failure = $1::text, failed_at = case when $1::text is null then null else now() end""",
        failure,
    )
    await connection.close()

    health = await world.http.get("/health")
    metrics = await world.http.get("/metrics")

    part = health.json()["parts"]["backups"]
    assert (part["status"], part["detail"]) == ("degraded" if complaint else "healthy", complaint)
    assert part["figures"]["backup_age_s"] == pytest.approx(ages_s[2], abs=30)
    assert 'bursar_backup_age_seconds{what="log"}' in metrics.text
