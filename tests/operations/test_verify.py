"""Verify finds whatever breaks an invariant, names the row, and is quiet where nothing is broken."""

import asyncpg
import pytest
from breaks import BREAKS
from histories import CHECKOUT, HISTORIES
from scene import STANDING, broken, checked, connected, play_calmly

from bursar.kernel import ids
from bursar.operations.invariants import INVARIANTS
from bursar.operations.snapshots import TenantUnknown
from bursar.operations.tenancy import rows_have_tenants
from bursar.operations.verify import report, verify, verify_all

pytestmark = pytest.mark.anyio


async def do_wrong(admin_url: str, *statements: str) -> None:
    """Run statements that no code of ours could: past row-level security, foreign keys and triggers."""
    admin = await asyncpg.connect(admin_url)
    try:
        await admin.execute("set session_replication_role = replica")
        for statement in statements:
            await admin.execute(statement.replace("new_id()", f"'{ids.new()}'::uuid"))
    finally:
        await admin.close()


def test_every_invariant_has_a_way_to_break_it():
    assert sorted(BREAKS) == sorted(invariant.name for invariant in INVARIANTS)
    # Of all of them none is broken before: `test_every_history_leaves_nothing_broken`.
    assert all(case.history in HISTORIES for case in BREAKS.values())


@pytest.mark.parametrize("name", BREAKS)
async def test_a_broken_invariant_is_found_and_the_row_is_named(db, admin_url, database_url, name):
    case = BREAKS[name]
    own = [invariant for invariant in INVARIANTS if invariant.name == name]
    stage = await play_calmly(db, database_url, case.history)
    async with connected(database_url) as connection:
        before = broken(await checked(connection, stage, own))

        await do_wrong(admin_url, *case.statements)

        found = broken(await checked(connection, stage, own)).get(name)
    admin = await asyncpg.connect(admin_url)
    row = await admin.fetchval(case.named, *([stage.tenant_id] if "$1" in case.named else []))
    await admin.close()
    expected = ids.show(case.prefix, row) if case.prefix else row
    assert before == {}
    assert found, f"{name} saw nothing"
    assert any(expected in shown.values() for shown in found)


@pytest.mark.parametrize(
    "statement", ["delete from fulfilment_grant", "update purchase set is_paid = false, paid_minor = 0"]
)
async def test_grants_that_are_missing_and_grants_that_nobody_bought_are_found(db, admin_url, database_url, statement):
    stage = await play_calmly(db, database_url, CHECKOUT)

    await do_wrong(admin_url, statement)

    async with connected(database_url) as connection:
        found = broken(await checked(connection, stage))["paid_lines_have_exactly_their_grants"]
    assert [row["problem"] for row in found] in (["a grant is missing"], ["granted, but not bought"])


async def test_one_tenants_broken_row_is_no_other_tenants(db, admin_url, database_url):
    stage = await play_calmly(db, database_url, CHECKOUT)
    other = await play_calmly(db, database_url, CHECKOUT)

    await do_wrong(admin_url, f"update payment set status = 'failed' where tenant_id = '{stage.tenant_id}'")

    async with connected(database_url) as connection:
        assert "payments_are_booked" in broken(await checked(connection, stage))
        assert broken(await checked(connection, other)) == {}
        told = report(await verify_all(connection, standing_kinds=STANDING))
    assert [t["ok"] for t in told["tenants"]] == [False, True]
    assert told["ok"] is False


async def test_at_most_twenty_rows_are_shown(db, admin_url, database_url):
    stage = await play_calmly(db, database_url, CHECKOUT)
    await do_wrong(
        admin_url,
        """insert into gateway_event (tenant_id, id, gateway_account_id, gateway_event_id, type, occurred_at, body_sha256)
        select tenant_id, gen_random_uuid(), id, 'lost_' || n, 'x', now(), '' from gateway_account, generate_series(1, 30) as n""",
    )

    async with connected(database_url) as connection:
        found = broken(await checked(connection, stage))

    assert len(found["events_are_in_one_place"]) == 20


_OF_THE_INSTALLATION = (
    """insert into job_tally (tenant_id, kind, day, outcome, jobs, duration_ms, longest_ms, last_at)
      values ('00000000-0000-0000-0000-000000000000', 'health.count', '2026-11-21', 'done', 1, 1, 1, now())""",
    """insert into alert_rule (tenant_id, rule, is_on)
      values ('00000000-0000-0000-0000-000000000000', 'backup_failed', false)""",
)


async def test_a_row_without_its_tenant_is_found(db, admin_url, database_url):
    await play_calmly(db, database_url, CHECKOUT)
    stranger = ids.new()
    await do_wrong(admin_url, *_OF_THE_INSTALLATION)
    async with connected(admin_url) as admin:
        before = await rows_have_tenants(admin)
        await do_wrong(
            admin_url,
            f"insert into outbox (tenant_id, id, topic, subject, payload) values ('{stranger}', '{ids.new()}', 'x', 'x', '{{}}')",
            f"insert into gateway_event_body (tenant_id, event_id, received_at, headers, body) values ('{stranger}', '{ids.new()}', now(), '{{}}', '')",
        )
        found = await rows_have_tenants(admin)
    async with connected(database_url) as bound:
        found_by_engine = await rows_have_tenants(bound)

    shown = ids.show(ids.TENANT, stranger)
    assert before.ok
    assert [(row["table_name"], row["tenant_id"]) for row in found.offending] == [
        ("gateway_event_body", shown),
        ("outbox", shown),
    ]
    assert [row["table_name"] for row in found_by_engine.offending] == ["gateway_event_body"]


async def test_an_unknown_tenant_is_refused(database_url):
    async with connected(database_url) as connection:
        with pytest.raises(TenantUnknown):
            await verify(connection, ids.new(), standing_kinds=STANDING)


@pytest.mark.parametrize("invariant", INVARIANTS, ids=lambda invariant: invariant.name)
async def test_every_statement_is_valid_over_everything_and_over_what_changed(shared_database_url, invariant):
    async with connected(shared_database_url) as connection:
        await connection.prepare(invariant.statement(limit=1))
        if invariant.scope not in ("never", "whole"):
            await connection.prepare(invariant.statement(limit=1, scoped=True))


async def test_every_history_leaves_nothing_broken(db, database_url):
    async with connected(database_url) as connection:
        for history in HISTORIES:
            stage = await play_calmly(db, database_url, history)
            assert broken(await checked(connection, stage)) == {}, history.name
