"""What was tried that should not have been is counted, by whom and from where; counting it never stands in the way."""

from datetime import UTC, datetime, timedelta

import pytest

from bursar.kernel import ids, security
from bursar.kernel.db import DatabaseUnavailable
from bursar.kernel.security import Observations
from stage import set_stage

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 3, 1, 12, 10, tzinfo=UTC)


class Clock:
    def __init__(self) -> None:
        self.at = NOON

    def __call__(self) -> datetime:
        return self.at


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def seen(clock):
    return Observations(clock)


async def noted(stage):
    return await stage.rows("select * from security_event order by kind, actor, address, hour")


def note(seen, tenant_id, **given):
    told = {"kind": "key_refused", "actor": "", "address": "192.0.2.1", "detail": "no such key"} | given
    seen.note(tenant_id=tenant_id, **told)


async def test_what_is_alike_within_an_hour_is_one_row(db, database_url, seen, clock):
    stage = await set_stage(db, database_url)
    for _ in range(3):
        note(seen, stage.tenant_id)
    await seen.flush(db)
    note(seen, stage.tenant_id, detail="revoked")
    await seen.flush(db)
    note(seen, stage.tenant_id, address="192.0.2.2")
    clock.at += timedelta(hours=1)
    note(seen, stage.tenant_id)
    await seen.flush(db)

    rows = await noted(stage)

    assert [(r["address"], r["hour"].hour, r["count"], r["detail"]) for r in rows] == [
        ("192.0.2.1", 12, 4, "revoked"),
        ("192.0.2.1", 13, 1, "no such key"),
        ("192.0.2.2", 12, 1, "no such key"),
    ]
    assert seen.totals == {"key_refused": 6}


async def test_what_concerns_no_tenant_or_one_that_is_not_there_has_no_row_but_is_counted(db, database_url, seen):
    stage = await set_stage(db, database_url)
    note(seen, None)
    note(seen, ids.new())
    await seen.flush(db)

    assert await noted(stage) == []
    assert seen.totals == {"key_refused": 2}


async def test_a_flood_fills_neither_memory_nor_table(db, database_url, seen):
    stage = await set_stage(db, database_url)
    for number in range(5_000):
        note(seen, stage.tenant_id, address=f"2001:db8::{number:x}")
    await seen.flush(db)

    rows = await noted(stage)

    assert len(rows) == security.APART_MAX + 1
    assert {r["address"]: r["count"] for r in rows}[security.MANY] == 5_000 - security.APART_MAX


async def test_tenants_that_are_made_up_cannot_fill_the_memory_either(seen):
    for _ in range(security.APART_IN_ALL_MAX + 5_000):
        note(seen, ids.new())

    assert len(seen._waiting) == security.APART_IN_ALL_MAX
    assert seen.totals["key_refused"] == security.APART_IN_ALL_MAX + 5_000


async def test_nothing_that_may_be_a_secret_and_nothing_unprintable_is_kept(db, database_url, seen):
    stage = await set_stage(db, database_url)
    key = "bsk_" + "a" * 52 + "_" + "B" * 43
    note(seen, stage.tenant_id, detail=f"tried {key}, whsec_short, {'x' * 40} \x00\ud800\u202e" + "y " * 300)
    await seen.flush(db)

    detail = (await noted(stage))[0]["detail"]

    assert detail.startswith("tried … … … ???y y")
    assert len(detail) <= 200


async def test_an_unknown_id_leaves_one_audit_record_for_an_actor_and_an_hour(db, database_url, seen, clock):
    stage = await set_stage(db, database_url)
    asked = {"kind": "unknown_id", "actor": "key:key_1", "detail": "GET /v1/payments/{payment}"}
    for _ in range(3):
        note(seen, stage.tenant_id, subject="pay_1", **asked)
        await seen.flush(db)
    second_process = Observations(clock)
    note(second_process, stage.tenant_id, subject="pay_1", **asked)
    note(second_process, stage.tenant_id, subject="pay_2", **asked)
    await second_process.flush(db)
    clock.at += timedelta(hours=1)
    note(seen, stage.tenant_id, subject="pay_1", **asked)
    await seen.flush(db)

    records = await stage.rows("select actor, subject from audit_record where action = 'id.not_found' order by id")

    assert sorted((r["actor"], r["subject"]) for r in records) == [
        ("key:key_1", "pay_1"),
        ("key:key_1", "pay_1"),
        ("key:key_1", "pay_2"),
    ]
    assert [r["count"] for r in await noted(stage)] == [5, 1]


async def test_whoever_tries_every_id_does_not_fill_the_audit_trail(db, database_url, seen):
    stage = await set_stage(db, database_url)
    for number in range(1_000):
        note(seen, stage.tenant_id, kind="unknown_id", actor="key:key_1", subject=f"pay_{number}")
    await seen.flush(db)

    records = await stage.rows("select count(*) as n from audit_record where action = 'id.not_found'")

    assert records[0]["n"] == security.SUBJECTS_OF_ACTOR_MAX
    assert [r["count"] for r in await noted(stage)] == [1_000]


async def test_what_could_not_be_written_is_written_later(db, database_url, seen, monkeypatch):
    stage = await set_stage(db, database_url)
    note(seen, stage.tenant_id)
    with monkeypatch.context() as broken:
        broken.setattr(db, "engine", _unavailable)
        with pytest.raises(DatabaseUnavailable):
            await seen.flush(db)
    note(seen, stage.tenant_id)
    await seen.flush(db)

    assert [r["count"] for r in await noted(stage)] == [2]


def _unavailable():
    raise DatabaseUnavailable("not now")
