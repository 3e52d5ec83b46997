"""What people wrote stands beside the sealed record: shown with it, found when changed, and no fault when forgotten."""

import asyncpg
import pytest

from bursar.kernel.audit import record
from bursar.money.trail import audit_record, check_chain, export_lines
from stage import set_stage

pytestmark = pytest.mark.anyio


async def noted(stage):
    """Write a sealed record with a reason; return its id."""
    async with stage.db.tenant(stage.tenant_id) as tx:
        await record(
            tx,
            tenant_id=stage.tenant_id,
            actor="operator",
            action="credits.adjusted",
            subject=None,
            changes={"amount": 5, "reason": "Ada was unhappy"},
        )
    await stage.seal()
    return await stage.value("select id from audit_record")


async def faults(stage):
    async with stage.db.tenant(stage.tenant_id) as tx:
        return [fault.kind for fault in (await check_chain(tx, tenant_id=stage.tenant_id)).faults]


async def test_a_reason_is_shown_with_its_record_and_is_in_no_sealed_line(db, database_url):
    stage = await set_stage(db, database_url)
    record_id = await noted(stage)

    async with db.tenant(stage.tenant_id) as tx:
        shown = await audit_record(tx, tenant_id=stage.tenant_id, record_id=record_id)
        lines = [line async for line in export_lines(tx, tenant_id=stage.tenant_id)]

    assert shown.changes == {"amount": 5, "reason": "Ada was unhappy"}
    assert not [line for line in lines if "Ada" in line]
    assert await faults(stage) == []


async def test_a_changed_reason_is_found(db, database_url, admin_url):
    stage = await set_stage(db, database_url)
    await noted(stage)
    admin = await asyncpg.connect(admin_url)

    await admin.execute("""update audit_note set told = '{"reason": "Ada was happy"}'""")
    await admin.close()

    assert await faults(stage) == ["note_changed"]


async def test_a_forgotten_reason_leaves_the_chain_whole(db, database_url):
    stage = await set_stage(db, database_url)
    record_id = await noted(stage)

    async with db.tenant(stage.tenant_id) as tx:
        await tx.execute("delete from audit_note")
        shown = await audit_record(tx, tenant_id=stage.tenant_id, record_id=record_id)

    assert await faults(stage) == []
    assert set(shown.changes) == {"amount", "note"}


async def test_equal_reasons_of_two_records_look_different(db, database_url):
    stage = await set_stage(db, database_url)
    await noted(stage)
    await noted_again(stage)

    assert await stage.value("select count(distinct changes ->> 'note') from audit_record") == 2


async def noted_again(stage):
    async with stage.db.tenant(stage.tenant_id) as tx:
        changes = {"amount": 5, "reason": "Ada was unhappy"}
        await record(tx, tenant_id=stage.tenant_id, actor="operator", action="x", subject=None, changes=changes)
