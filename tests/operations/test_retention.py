"""What the preview says would go is what the clean-up removes, and looking removes nothing."""

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import pytest

from bursar.kernel import jobs, slow
from bursar.kernel.security import Observations
from bursar.kernel.settings import Settings
from bursar.operations.retention import preview
from bursar.worker.chores import Chores
from commanding import command, installation
from draining import drain
from stage import set_stage

pytestmark = pytest.mark.anyio

LATER = datetime.now(UTC) + timedelta(days=200)


async def give_up(_: jobs.Work) -> None:
    raise jobs.GivenUp("no")


async def test_the_clean_up_removes_what_the_preview_said(db, database_url, admin_url):
    stages = [await set_stage(db, database_url, name=name) for name in ("Mine", "Theirs")]
    seen, noted = (
        Observations(lambda: datetime.now(UTC)),
        slow.SlowStatements(process="api", over_ms=1, plan_over_ms=9**9),
    )
    for stage in stages:
        async with db.tenant(stage.tenant_id) as tx:
            await jobs.enqueue(tx, tenant_id=stage.tenant_id, kind="tests.refuse", key="one")
            await tx.execute(
                """insert into idempotency_answer
                  (tenant_id, holder, route, key, request_sha256, status, headers, answered_at, expires_at)
                values ($1, 'key:x', 'POST /v1/products', 'k', sha256('x'), 201, '{}', now() - interval '2 hours', now() - interval '1 hour')""",
                stage.tenant_id,
            )
        await drain(stage, [jobs.Kind("tests.refuse", give_up)])
        seen.note(tenant_id=stage.tenant_id, kind="key_refused", actor="", address="192.0.2.1", detail="x")
    await seen.flush(db)
    noted.note(SimpleNamespace(query="select 1", elapsed=1.0))
    await noted.flush(db)
    settings = Settings()

    def rows(found):
        return {one.name: one.rows for one in found if one.kept}

    now = rows(await preview(db, settings, at=datetime.now(UTC)))
    said = rows(await preview(db, settings, at=LATER))
    told = command("retention", "--json", "--in-days", "200", **installation(database_url, admin_url))
    await Chores(
        db,
        security_kept=timedelta(days=settings.security_event_days),
        jobs_kept=timedelta(days=settings.job_days),
    ).run(now=LATER)
    await slow.forget(db, before=LATER - timedelta(days=settings.slow_statement_days))
    after = rows(await preview(db, settings, at=LATER))

    assert now == dict.fromkeys(said, 0) | {"answers to Idempotency-Keys": 2}
    assert said == {
        "answers to Idempotency-Keys": 2,
        "sessions that ended": 0,
        "security events": 2,
        "jobs that were given up": 2,
        "counts of how jobs ended": 2,
        "slow statements": 1,
        "resolved alerts, with their history": 0,
    }
    assert {one["name"]: one["rows"] for one in json.loads(told.out)["data"] if one["kept"]} == said
    assert after == dict.fromkeys(said, 0)
    [bodies, *_] = [one for one in await preview(db, settings, at=LATER) if one.kept is None]
    assert bodies.name.startswith("raw bodies")
    assert bodies.bytes is not None


async def test_the_command_says_it_in_words(database_url, admin_url):
    said = command("retention", **installation(database_url, admin_url)).out

    assert "slow statements: kept for 14 days (BURSAR_SLOW_STATEMENT_DAYS); 0 go" in said
    assert "the audit trail: kept for ever" in said
