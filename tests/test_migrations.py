"""The schema's history: applied once, in order, refused when it does not fit."""

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import pytest

from bursar.kernel import migrations
from bursar.kernel.migrations import MigrationBusy, MigrationChanged, MigrationFailed, SchemaNewer, SchemaOlder


@pytest.fixture
def history(tmp_path: Path) -> Path:
    write(tmp_path, "202601010000_first", "create table first (n int);", "drop table first;")
    write(tmp_path, "202601020000_second", "create table second (n int);", "drop table second;")
    return tmp_path


def write(directory: Path, name: str, up: str, down: str | None = None) -> None:
    (directory / f"{name}.up.sql").write_text(up)
    if down is not None:
        (directory / f"{name}.down.sql").write_text(down)


async def ask(url: str, question: str):
    connection = await asyncpg.connect(url)
    try:
        return await connection.fetchval(question)
    finally:
        await connection.close()


async def tables(url: str) -> list[str]:
    return await ask(
        url, "select array_agg(tablename::text order by tablename) from pg_tables where schemaname='public'"
    )


async def test_migrations_are_applied_in_order_and_once(empty_url, history):
    first = await migrations.migrate(empty_url, directory=history)
    second = await migrations.migrate(empty_url, directory=history)

    assert first.changed == ("202601010000_first", "202601020000_second")
    assert first.version == "202601020000"
    assert second.changed == ()
    assert await tables(empty_url) == ["bursar_migration", "first", "second"]


async def test_undo_takes_back_what_is_newer_than_the_named_version(empty_url, history):
    await migrations.migrate(empty_url, directory=history)

    undone = await migrations.undo(empty_url, to="202601010000", directory=history)

    assert undone.changed == ("202601020000_second",)
    assert await tables(empty_url) == ["bursar_migration", "first"]
    assert (await migrations.migrate(empty_url, directory=history)).changed == ("202601020000_second",)


async def test_undo_without_a_way_back_is_refused(empty_url, history):
    write(history, "202601030000_third", "create table third (n int);")
    await migrations.migrate(empty_url, directory=history)

    with pytest.raises(MigrationFailed, match="no way back"):
        await migrations.undo(empty_url, to="", directory=history)

    assert "third" in await tables(empty_url)


async def test_database_of_a_newer_version_is_refused(empty_url, history):
    await migrations.migrate(empty_url, directory=history)
    (history / "202601020000_second.up.sql").unlink()

    with pytest.raises(SchemaNewer, match="newer Bursar") as refusal:
        await migrations.migrate(empty_url, directory=history)

    assert refusal.value.code == "schema_newer"


async def test_migration_edited_after_it_was_applied_is_refused(empty_url, history):
    await migrations.migrate(empty_url, directory=history)
    write(history, "202601010000_first", "create table first (n bigint);")

    with pytest.raises(MigrationChanged, match="202601010000_first"):
        await migrations.migrate(empty_url, directory=history)


async def test_failing_migration_leaves_nothing_of_itself(empty_url, history):
    write(history, "202601030000_third", "create table third (n int); select 1/0;")

    with pytest.raises(MigrationFailed, match="202601030000_third was refused: division by zero"):
        await migrations.migrate(empty_url, directory=history)

    assert await tables(empty_url) == ["bursar_migration", "first", "second"]


async def test_migration_without_transaction_may_build_an_index_concurrently(empty_url, history):
    write(history, "202601030000_third", "-- no-transaction\ncreate index concurrently third on first (n);")

    await migrations.migrate(empty_url, directory=history)

    assert await ask(empty_url, "select indisvalid from pg_index where indexrelid = 'third'::regclass") is True


async def test_simultaneous_runs_apply_each_migration_once(empty_url, history):
    runs = await asyncio.gather(*(migrations.migrate(empty_url, directory=history) for _ in range(6)))

    changed = [name for run in runs for name in run.changed]
    assert sorted(changed) == ["202601010000_first", "202601020000_second"]


async def test_run_beside_a_running_one_says_so(empty_url, history):
    holder = await asyncpg.connect(empty_url)
    await holder.execute("select pg_advisory_lock($1)", migrations._LOCK)

    with pytest.raises(MigrationBusy):
        await migrations.migrate(empty_url, directory=history, wait_s=0.1)

    await holder.close()


async def test_schema_that_lacks_migrations_is_not_current(empty_url, history):
    connection = await asyncpg.connect(empty_url)

    with pytest.raises(SchemaOlder, match="lacks 2 migrations, first 202601010000_first"):
        await migrations.require_current(connection, directory=history)

    await migrations.migrate(empty_url, directory=history)
    await migrations.require_current(connection, directory=history)
    await connection.close()


async def test_health_does_not_read_the_files_at_each_look(admin_url, monkeypatch):
    connection = await asyncpg.connect(admin_url)
    await migrations.require_current(connection)

    monkeypatch.setattr(migrations, "migrations_in", None)
    await migrations.require_current(connection)

    await connection.close()


async def test_a_login_role_of_an_external_database_may_act_as_both_roles(empty_url, history):
    login = await asyncpg.connect(empty_url)
    await login.execute("drop role if exists alice; create role alice login")

    await migrations.migrate(empty_url, login="alice", directory=history)
    await login.execute("set session authorization alice; set role bursar_app; reset role; set role bursar_engine")

    assert await login.fetchval("select current_user") == "bursar_engine"
    await login.execute("reset session authorization; drop role alice")
    await login.close()


async def test_an_administrator_who_is_no_superuser_may_act_as_the_engine(empty_url, history):
    """Since PostgreSQL 16 whoever makes a role may grant it, which is not yet to act as it."""
    admin = await asyncpg.connect(empty_url)
    if admin.get_server_version().major < 16:
        await admin.close()
        pytest.skip("before PostgreSQL 16 membership was one thing")
    database = await admin.fetchval("select current_database()")
    await admin.execute(
        f"""create role bob login createrole password 'x'; alter database "{database}" owner to bob;
        grant bursar_app, bursar_engine to bob with admin true, inherit false, set false;"""
    )
    parts = urlsplit(empty_url)
    bobs = parts._replace(netloc=f"bob:x@{parts.netloc.rpartition('@')[2]}").geturl()
    try:
        await migrations.migrate(bobs, directory=history)
        role = await ask(bobs, "select set_config('role', 'bursar_engine', false)")
    finally:
        await admin.execute(f'alter database "{database}" owner to current_user')
        await admin.execute("drop owned by bob cascade; drop role bob")
        await admin.close()

    assert role == "bursar_engine"


async def test_the_way_back_of_the_schema_removes_everything(empty_url):
    await migrations.migrate(empty_url)

    await migrations.undo(empty_url, to="")

    assert await tables(empty_url) == ["bursar_migration"]
    assert (await migrations.migrate(empty_url)).version == migrations.migrations_in()[-1].version


async def test_work_is_done_as_roles_that_see_only_one_tenant(db):
    async with db.engine() as engine:
        assert await engine.fetchval("select current_user") == "bursar_engine"
