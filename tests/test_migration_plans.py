"""What a migration would do is said before it is done; every migration is linted, and goes up and down over data."""

import json

import asyncpg
import pytest

from bursar.kernel import migration_plans, migrations
from bursar.kernel.migration_plans import dangers, plan, touched
from bursar.kernel.migrations import Migration, MigrationChanged
from commanding import command, installation
from test_tenancy import fill, set_stage

pytestmark = pytest.mark.anyio

RELEASED_AFTER = "202611230000"
"""Migrations before are of the first release: they run on databases without rows, where a lock is short."""
HARMLESS_WITHOUT_ROWS = {
    "adding-field-with-default",
    "adding-foreign-key-constraint",
    "ban-drop-constraint",
    "ban-drop-not-null",
    "constraint-missing-not-valid",
    "require-concurrent-index-creation",
    "require-concurrent-index-deletion",
}
MEANT = {"202611210321_services": {"prefer-timestamp-tz"}}
"""Hours of work and time off are times of the wall: which instants they are, the zone says when they are read."""
SQUAWK = migration_plans.linter()
needs_squawk = pytest.mark.skipif(SQUAWK is None, reason="squawk is not installed")


def of(text: str, undo: str | None = None) -> Migration:
    return Migration("202701010000", "tried", text, undo)


@needs_squawk
def test_no_migration_is_dangerous():
    found = {str(one): {danger.rule for danger in dangers(one, SQUAWK)} for one in migrations.migrations_in()}
    first = {name: rules for name, rules in found.items() if name < RELEASED_AFTER}
    later = {name: rules for name, rules in found.items() if name >= RELEASED_AFTER}

    left = {name: rules - HARMLESS_WITHOUT_ROWS - MEANT.get(name, set()) for name, rules in first.items()}
    assert {name: rules for name, rules in left.items() if rules} == {}
    assert {name: rules for name, rules in later.items() if rules} == {}
    assert len(found) > 30


@needs_squawk
@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("alter table payment drop column failure;", "ban-drop-column"),
        ("alter table payment rename column failure to why;", "renaming-column"),
        ("alter table payment alter column currency type varchar(3);", "changing-column-type"),
        ("alter table payment add column shade text not null;", "adding-required-field"),
        ("drop table payment;", "ban-drop-table"),
        ("create index late on payment (created_at);", "require-concurrent-index-creation"),
        ("alter table payment add constraint odd check (amount_minor > 0);", "constraint-missing-not-valid"),
        ("select from from;", "syntax-error"),
    ],
)
def test_what_is_dangerous_is_found(text, rule):
    assert rule in {danger.rule for danger in dangers(of(f"-- first\n{text}"), SQUAWK)}


@needs_squawk
def test_an_index_built_beside_the_work_is_not_dangerous():
    beside = "-- no-transaction\ncreate index concurrently if not exists late on payment (created_at);"

    assert dangers(of(beside), SQUAWK) == ()


def test_what_a_migration_touches_is_read_from_its_text():
    text = """
    -- alter table customer
    create table fresh (id int references tenant);
    alter table only payment add column x int;
    create unique index concurrently if not exists late on refund (id); drop index payment_customer;
    update dispute set x = 1;
    """

    assert touched(text) == {"tenant", "payment", "refund", "payment_customer", "dispute"}


async def test_a_plan_says_what_would_be_done_and_changes_nothing(empty_url, tmp_path):
    def write(name: str, up: str, down: str | None = None) -> None:
        (tmp_path / f"{name}.up.sql").write_text(up)
        if down:
            (tmp_path / f"{name}.down.sql").write_text(down)

    write("202701010000_first", "create table first (n int primary key);", "drop table first;")
    before = await plan(empty_url, directory=tmp_path)
    await migrations.migrate(empty_url, directory=tmp_path)
    connection = await asyncpg.connect(empty_url)
    await connection.execute("insert into first select generate_series(1, 5000); analyze first")
    write("202701020000_second", "alter table first drop column n;")
    write("202701030000_third", "-- no-transaction\ncreate index concurrently third on first (n);", "drop index third;")

    after = await plan(empty_url, directory=tmp_path)
    again = await plan(empty_url, directory=tmp_path)

    assert [step.name for step in before.steps] == ["202701010000_first"]
    second, third = after.steps
    assert (second.name, second.is_reversible, second.is_one_transaction) == ("202701020000_second", False, True)
    assert [(one.name, one.rows) for one in second.touches] == [("first", 5000)]
    assert (third.is_reversible, third.is_one_transaction) == (True, False)
    assert after.is_linted is (SQUAWK is not None)
    assert after == again
    assert await connection.fetchval("select count(*) from bursar_migration") == 1
    write("202701010000_first", "create table first (n bigint);")
    with pytest.raises(MigrationChanged):
        await plan(empty_url, directory=tmp_path)
    await connection.close()


async def test_the_command_says_it_and_that_there_is_nothing_to_do(database_url, admin_url):
    current = command("migrate", "--plan", **installation(database_url, admin_url))
    last = migrations.migrations_in()[-1]
    await migrations.undo(admin_url, to=migrations.migrations_in()[-2].version)

    told = command("migrate", "--plan", **installation(database_url, admin_url))
    data = json.loads(command("migrate", "--plan", "--json", **installation(database_url, admin_url)).out)

    assert (current.code, current.out.strip()) == (0, "nothing to do")
    assert (told.code, told.out.splitlines()[0]) == (0, str(last))
    assert [step["name"] for step in data["steps"]] == [str(last)]
    connection = await asyncpg.connect(admin_url)
    assert await connection.fetchval("select count(*) from bursar_migration where version = $1", last.version) == 0
    await connection.close()


async def test_every_migration_goes_down_and_up_over_data(db, database_url, admin_url):
    """Each is taken back, applied again and taken back, newest first, while the tables below it hold rows."""
    await fill(await set_stage(db, database_url), database_url)
    known = migrations.migrations_in()

    failed = {}
    for migration, before in zip(reversed(known), [*(m.version for m in reversed(known[:-1])), ""], strict=True):
        try:
            await migrations.undo(admin_url, to=before)
            await again(admin_url, migration)
            await migrations.undo(admin_url, to=before)
        except migrations.MigrationFailed as failure:
            failed[str(migration)] = failure.message
            break

    assert failed == {}
    assert len(known) > 30


async def again(admin_url: str, migration: Migration) -> None:
    """Apply one migration as `migrate` would, without those after it."""
    recorded = (migrations._RECORD, migration.version, migration.name, migration.sha256)
    async with migrations._session(admin_url, wait_s=5) as connection:
        await migrations._run(connection, migration, migration.text, recorded)
