"""The database itself refuses a crossing, whatever the code does: every table, every verb, every way to forget the tenant.

Generated from the catalogue: a new table is tested the day it is made, and fails here until `world` gives it rows.
"""

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import asyncpg
import pytest

from api.conftest import caller_of, lived, running
from api.operations import furnished
from bursar.kernel import ids, jobs
from bursar.kernel.access import OPERATOR
from bursar.kernel.db import Database, become_engine, become_tenant
from bursar.kernel.identity import links, sessions, throttle, users
from bursar.kernel.identity.people import Device
from bursar.money.intake.filing import Filing, file_deliveries
from databases import fresh_database, opened
from draining import drain
from leaks import APP, ENGINE, NOT_TENANTS, leaks
from stage import Stage, event, set_stage

pytestmark = pytest.mark.anyio

REFUSED = (asyncpg.InsufficientPrivilegeError,)

_TABLES = """
select c.relname as name from pg_class c
where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and c.relname <> all($1)
order by c.relname
"""

_COLUMNS = """
select attname from pg_attribute
where attrelid = $1::text::regclass and attnum > 0 and not attisdropped and attgenerated = '' order by attnum
"""

# What each role may do, table by table: the contract of the migration, said a second time.
_MAY_ENGINE = {
    "alert": {"select", "insert", "update", "delete"},
    "alert_history": {"select", "insert", "delete"},
    "alert_notice": {"select", "insert", "update", "delete"},
    "alert_route": {"select"},
    "alert_rule": {"select"},
    "alert_watch": {"select", "update"},
    "backup_damage": {"select"},
    "backup_drill": {"select"},
    "retention_run": {"select"},
    "backup_listed": {"select"},
    "backup_standing": {"select"},
    "bursar_migration": {"select"},
    "gateway_account": {"select"},
    "gateway_event": {"select", "insert"},
    "gateway_event_body": {"select", "insert"},
    "gateway_event_dead": {"select", "insert"},
    "gateway_event_differing": {"select", "insert", "update"},
    "gateway_event_queue": {"select", "insert", "update", "delete"},
    "identity_issuer": {"select"},
    "installation_figure": {"select", "insert", "update", "delete"},
    "invariant_sweep": {"select"},
    "job": {"select", "insert", "update", "delete"},
    "job_tally": {"select", "insert", "update", "delete"},
    "job_tick": {"select", "insert", "update"},
    "mail_queue": {"select"},
    "operator": {"select", "insert", "update"},
    "operator_link": {"select", "insert", "update"},
    "operator_session": {"select", "insert", "update"},
    "operator_throttle": {"select", "insert", "update"},
    "reconciliation_run": {"select"},
    "request_tally": {"select", "insert", "update", "delete"},
    "security_event": {"select", "insert", "update", "delete"},
    "slow_statement": {"select", "insert", "update", "delete"},
    "tenant": {"select"},
    "worker_bucket": {"select", "update"},
}
_ENGINE_FINDS = {
    "alert_channel",
    "audit_record",
    "audit_seal",
    "circuit",
    "dispute",
    "gateway_call",
    "outbox",
    "payment_tally",
    "purchase",
    "saga",
}
"""Of these the engine reads the columns by which it finds work and counts what is wrong, and no others."""
_NEVER_CHANGED = {
    "alert_history",
    "alert_route",
    "audit_note",
    "audit_record",
    "audit_seal",
    "booking_fee_order",
    "booking_link",
    "checkout",
    "credit_movement",
    "credit_pool_venue",
    "credit_rollover",
    "credit_transfer",
    "customer_order",
    "dispute_reminder",
    "erased_mark",
    "erasure",
    "gateway_event",
    "gateway_event_outcome",
    "job_tally",
    "job_tick",
    "ledger_entry",
    "ledger_transaction",
    "outbox",
    "payment_method_warning",
    "reconciliation_page",
    "security_event",
}
_ONLY_ERASED = {
    "gateway_event_attempt": {"error"},
    "gateway_event_body": {"body", "erased_at"},
    "gateway_event_differing": {"body"},
    "gateway_event_replay": {"reason"},
    "licence_activation": {"fingerprint", "name"},
}
"""What is never changed but for what tells of an erased person."""
_COME_AND_GO = {
    "credit_pool_venue",
    "alert_channel",
    "alert_route",
    "alert_rule",
    "audit_note",
    "gateway_event_dead",
    "gateway_event_queue",
    "idempotency_answer",
    "idempotency_retention",
    "job",
    "licence_activation",
    "mail_queue",
    "rate_limit",
    "reconciliation_page",
    "session",
    "sign_in_throttle",
    "venue_closed_day",
    "venue_hours",
    "visitor_session",
    "visitor_sign_in",
}


@dataclass
class Two:
    """Two tenants with rows in every table, the superuser's connection, and the application's."""

    admin: Any
    app: Any
    mine: UUID
    theirs: UUID
    tables: list[str]

    async def count(self, table: str, tenant_id: UUID) -> int:
        return await self.admin.fetchval(f"select count(*) from {table} where tenant_id = $1", tenant_id)

    async def rows(self, table: str, tenant_id: UUID) -> list[str]:
        """Every row of a tenant as text: equal before and after when nothing was changed."""
        found = await self.admin.fetch(f"select t::text as told from {table} t where tenant_id = $1", tenant_id)
        return sorted(row["told"] for row in found)


async def peopled(stage: Stage) -> None:
    """Give a tenant a user who signed in, with a link and codes."""
    now, device = datetime.now(UTC), Device.of("Browser", "192.0.2.1")
    async with stage.db.tenant(stage.tenant_id) as tx:
        user = await users.invite(
            tx, tenant_id=stage.tenant_id, email="ann@example.com", name="Ann", roles=["owner"], by=OPERATOR, now=now
        )
        await links.make(tx, tenant_id=stage.tenant_id, user_id=user.id, purpose="invitation", now=now)
        await sessions.open_session(tx, tenant_id=stage.tenant_id, kind="user", who_id=user.id, device=device, now=now)
        await throttle.count(tx, tenant_id=stage.tenant_id, what="anybody", limit=throttle.PAIR, now=now)
        await tx.execute(
            "insert into recovery_code (tenant_id, id, user_id, code_sha256) values ($1, $2, $3, sha256('x'))",
            stage.tenant_id,
            ids.new(),
            user.id,
        )


async def fill(stage: Stage, url: str) -> None:
    """Give a tenant rows in every table."""
    async with running(url) as (_, http):
        caller = await caller_of(stage, http)
        await lived(stage)
        await furnished(caller)
        await caller.post("/v1/gateway-events/evt_nothing/replays")
        await caller.post("/v1/gateway-event-replays", {"filter": {"type": "nothing"}})
        await caller.get(f"/v1/payments/{ids.show(ids.PAYMENT, ids.new())}")
        await caller.post("/v1/products", {"name": "Once"}, once="fill")
        own = {"limits": [{"class": "general", "holder": "user", "per_minute": 99}]}
        await http.put("/v1/rate-limits", json=own, headers=caller.headers)
        kept = {"retentions": [{"class": "general", "seconds": 3600}]}
        await http.put("/v1/idempotency-retentions", json=kept, headers=caller.headers)
    await peopled(stage)
    method = {
        "id": "pm_1",
        "object": "payment_method",
        "type": "card",
        "customer": "cus_ann",
        "card": {"brand": "visa"},
    }
    await stage.tell(event("payment_method.attached", method))
    await stage.deliver(event("charge.succeeded", {"id": "ch_failing"}))
    once = event("product.created", {"id": "prod_1", "object": "product"})
    for said in (once, once | {"livemode": True}):
        filing = Filing(
            ids.new(),
            stage.tenant_id,
            stage.account_id,
            once["id"],
            once["type"],
            "gateway",
            datetime.now(UTC),
            {},
            json.dumps(said).encode(),
            None,
        )
        await file_deliveries(stage.db, [filing])
    await stage.apply()
    async with stage.db.tenant(stage.tenant_id) as tx:
        await tx.execute(
            """insert into invariant_sweep (tenant_id, checked_at, checked_through, checked_rows) values ($1, now(), now(), 0)
            on conflict do nothing""",
            stage.tenant_id,
        )
    await busied(stage)
    await stage.seal()


async def busied(stage: Stage) -> None:
    """Give a tenant a job that waits, and one that was done."""

    async def nothing(_: jobs.Work) -> None:
        return

    async with stage.db.tenant(stage.tenant_id) as tx:
        await jobs.enqueue(tx, tenant_id=stage.tenant_id, kind="tests.do_nothing", key="done")
        await jobs.enqueue(tx, tenant_id=stage.tenant_id, kind="tests.wait", key="waits")
    async with stage.db.engine() as tx:
        await tx.execute(
            "insert into job_tick (tenant_id, name, tick) values ($1, 'tests.daily', now())", stage.tenant_id
        )
    await drain(stage, [jobs.Kind("tests.do_nothing", nothing)])


@dataclass
class Filled:
    """A database in which two tenants have rows in every table. Whatever the tests do to it they take back."""

    admin_url: str
    app_url: str
    db: Database
    mine: UUID
    theirs: UUID


@pytest.fixture(scope="module")
def shared_urls(cluster: dict[str, str]) -> Iterator[dict[str, str]]:
    with fresh_database(cluster) as urls:
        yield urls


@pytest.fixture(scope="module")
async def filled(shared_urls: dict[str, str]) -> AsyncIterator[Filled]:
    url = shared_urls["app"]
    async with opened(url) as db:
        mine = await set_stage(db, url, name="Mine")
        theirs = await set_stage(db, url, name="Theirs")
        await fill(mine, url)
        await fill(theirs, url)
        yield Filled(shared_urls["admin"], url, db, mine.tenant_id, theirs.tenant_id)


@pytest.fixture(scope="module")
def unfilled(cluster: dict[str, str]) -> Iterator[str]:
    """The superuser's address of a database without rows, which refuse no index."""
    with fresh_database(cluster) as urls:
        yield urls["admin"]


@pytest.fixture
async def two(filled: Filled) -> AsyncIterator[Two]:
    admin, app = await asyncpg.connect(filled.admin_url), await asyncpg.connect(filled.app_url)
    tables = [row["name"] for row in await admin.fetch(_TABLES, list(NOT_TENANTS))]
    yield Two(admin, app, filled.mine, filled.theirs, tables)
    await admin.close()
    await app.close()


async def outcome(connection: Any, tenant: UUID | None, statement: str, *values: Any) -> list[Any] | None:
    """Run a statement as a tenant (or as nobody) and take it back; None when it was refused."""
    transaction = connection.transaction()
    await transaction.start()
    try:
        if tenant is None:
            await connection.execute("set local role bursar_app")
        else:
            await become_tenant(connection, tenant)
        return await connection.fetch(statement, *values)
    except REFUSED:
        return None
    finally:
        await transaction.rollback()


async def test_both_tenants_have_rows_in_every_table(two):
    """The control: nothing below passes because there was nothing to see."""
    empty = [t for t in two.tables if not t.startswith("gateway_event_body_") and not await two.count(t, two.theirs)]

    assert empty == []
    assert len(two.tables) > 35


async def test_nothing_of_another_tenant_is_seen_or_changed_with_any_verb(two):
    for table in two.tables:
        before = await two.rows(table, two.theirs)
        columns = ", ".join(row["attname"] for row in await two.admin.fetch(_COLUMNS, table))
        theirs = f"where tenant_id = '{two.theirs}'"

        seen = await outcome(two.app, two.mine, f"select tenant_id from {table}")
        counted = await outcome(two.app, two.mine, f"select count(*) as n from {table} {theirs}")
        updated = await outcome(
            two.app, two.mine, f"update {table} set tenant_id = tenant_id {theirs} returning tenant_id"
        )
        deleted = await outcome(two.app, two.mine, f"delete from {table} {theirs} returning tenant_id")
        truncated = await outcome(two.app, two.mine, f"truncate {table} cascade")

        assert seen is None or {row["tenant_id"] for row in seen} <= {two.mine}, table
        assert counted is None or counted[0]["n"] == 0, table
        assert not updated, table
        assert not deleted, table
        assert truncated is None, table
        assert await two.rows(table, two.theirs) == before, table
        assert columns, table


async def test_no_row_can_be_written_for_another_tenant(two):
    for table in two.tables:
        columns = ", ".join(row["attname"] for row in await two.admin.fetch(_COLUMNS, table))
        row = await two.admin.fetchval(
            f"select to_jsonb(t)::text from {table} t where tenant_id = $1 limit 1", two.theirs
        )
        if row is None:
            continue
        copied = f"insert into {table} ({columns}) select {columns} from jsonb_populate_record(null::{table}, $1::text::jsonb)"

        # Refused for whose it is, before any unique key could tell that it is there.
        assert await outcome(two.app, two.mine, copied, row) is None, table
        assert await outcome(two.app, two.mine, f"{copied} on conflict do nothing returning tenant_id", row) in (
            None,
            [],
        ), table


async def test_no_row_can_be_given_away(two):
    for table in two.tables:
        given = await outcome(two.app, two.mine, f"update {table} set tenant_id = '{two.theirs}' returning tenant_id")

        assert not given, table


async def test_without_a_tenant_nothing_is_seen_and_nothing_written(two):
    for tenant_setting in (None, ""):
        for table in two.tables:
            if tenant_setting is not None:
                await two.app.execute("select set_config('bursar.tenant', '', false)")
            seen = await outcome(two.app, None, f"select tenant_id from {table}")
            updated = await outcome(two.app, None, f"update {table} set tenant_id = tenant_id returning tenant_id")
            deleted = await outcome(two.app, None, f"delete from {table} returning tenant_id")

            assert seen in (None, []), table
            assert updated in (None, []), table
            assert deleted in (None, []), table


async def test_a_connection_that_served_a_tenant_forgets_it(two):
    async with two.app.transaction():
        await become_tenant(two.app, two.mine)
        assert await two.app.fetchval("select count(*) from customer") > 0

    assert await two.app.fetchval("select current_setting('bursar.tenant', true)") in (None, "")
    for table in two.tables:
        assert await outcome(two.app, None, f"select 1 from {table}") in (None, []), table


async def test_a_pooled_connection_forgets_it_too(two, filled):
    db = filled.db
    for tenant_id in (two.mine, two.theirs, two.mine):
        async with db.tenant(tenant_id) as tx:
            assert {r["tenant_id"] for r in await tx.fetch("select tenant_id from payment")} == {tenant_id}
    async with db.engine() as tx:
        assert await tx.fetchval("select current_setting('bursar.tenant', true)") == ""


async def test_a_tenant_that_does_not_exist_sees_nothing_and_can_open_nothing_but_itself(two):
    stranger = ids.new()

    for table in two.tables:
        assert await outcome(two.app, stranger, f"select 1 from {table}") in (None, []), table


async def test_what_each_role_may_do(two):
    privileges = await two.admin.fetch(
        """select c.relname as name, r.role, v.verb from pg_class c, unnest($1::text[]) as r (role),
          unnest(array['select', 'insert', 'update', 'delete', 'truncate']) as v (verb)
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
          and (has_table_privilege(r.role, c.oid, v.verb)
               or (v.verb = 'update' and has_any_column_privilege(r.role, c.oid, 'update')))""",
        [APP, ENGINE],
    )
    may: dict[str, dict[str, set[str]]] = {APP: {}, ENGINE: {}}
    for row in privileges:
        may[row["role"]].setdefault(row["name"], set()).add(row["verb"])

    assert may[ENGINE] == _MAY_ENGINE
    for table in two.tables:
        if table not in may[APP]:
            continue
        assert ("update" in may[APP][table]) == (table not in _NEVER_CHANGED), table
        assert ("delete" in may[APP][table]) == (table in _COME_AND_GO), table
    assert all("truncate" not in verbs for verbs in may[APP].values())


async def test_what_is_never_changed_loses_only_what_tells_of_an_erased_person(two):
    for table, columns in _ONLY_ERASED.items():
        changeable = await two.admin.fetch(
            """select attname from pg_attribute where attrelid = $1::text::regclass and attnum > 0 and not attisdropped
              and has_column_privilege($2, attrelid, attnum, 'update')""",
            table,
            APP,
        )

        assert {row["attname"] for row in changeable} == columns, table


async def test_the_engine_sees_no_money(two):
    for table in two.tables:
        transaction = two.app.transaction()
        await transaction.start()
        await become_engine(two.app)
        try:
            await two.app.fetch(f"select 1 from {table}")
            is_seen = True
        except REFUSED:
            is_seen = False
        finally:
            await transaction.rollback()
        assert is_seen == (table in _MAY_ENGINE or table in _ENGINE_FINDS), table


async def test_the_engine_finds_unsealed_records_and_reads_none(two):
    for columns in ("actor", "changes", "subject", "address"):
        transaction = two.app.transaction()
        await transaction.start()
        await become_engine(two.app)
        with pytest.raises(REFUSED):
            await two.app.fetch(f"select {columns} from audit_record")
        await transaction.rollback()


async def test_the_engine_sees_that_something_was_told_and_not_what(two):
    for columns in ("topic", "subject", "payload"):
        transaction = two.app.transaction()
        await transaction.start()
        await become_engine(two.app)
        with pytest.raises(REFUSED):
            await two.app.fetch(f"select {columns} from outbox")
        await transaction.rollback()


async def test_a_row_cannot_refer_to_another_tenants_row(two):
    foreign = await two.admin.fetchval("select id from payment where tenant_id = $1 limit 1", two.theirs)

    async with two.app.transaction():
        await become_tenant(two.app, two.mine)
        with pytest.raises(asyncpg.ForeignKeyViolationError):
            await two.app.execute(
                """insert into refund (tenant_id, id, gateway_account_id, gateway_ref, purchase_id, payment_id, status, amount_minor, currency, created_at)
                select tenant_id, $2, gateway_account_id, 're_x', purchase_id, $3, 'succeeded', 1, 'EUR', now() from payment where tenant_id = $1 limit 1""",
                two.mine,
                ids.new(),
                foreign,
            )


async def test_the_schema_has_no_known_way_around_its_policies(two):
    assert await leaks(two.admin) == {}


@pytest.mark.parametrize(
    ("ddl", "question"),
    [
        ("create view v as select * from payment", "a view, which reads as its owner"),
        ("create materialized view m as select * from payment", "a materialized view, which keeps rows of all tenants"),
        (
            "create function f() returns bigint language sql security definer as 'select count(*) from payment'",
            "a function that runs as its owner",
        ),
        ("create table t (id int)", "a table without tenant_id"),
        ("create table t (tenant_id uuid)", "a table whose tenant may be null"),
        ("create table t (tenant_id uuid not null)", "a table or partition without row-level security"),
        (
            "create table gateway_event_body_x partition of gateway_event_body for values from ('1999-01-01') to ('1999-02-01')",
            "a table or partition without row-level security",
        ),
        ("alter table payment no force row level security", "a table or partition where it is not forced"),
        ("alter table payment disable row level security", "a table or partition without row-level security"),
        ("drop policy tenant_only on payment", "a tenant's policy that is not the one"),
        ("alter policy tenant_only on payment using (true)", "a tenant's policy that is not the one"),
        ("alter policy tenant_only on payment with check (true)", "a tenant's policy that is not the one"),
        ("create policy everybody on payment using (true)", "a policy for anybody but the two roles"),
        (
            "grant create on schema public to bursar_app; alter table payment owner to bursar_app",
            "a table that its users may own",
        ),
        ("alter role bursar_app bypassrls", "a role that bypasses policies"),
        ("grant create on schema public to bursar_app", "a schema in which they may create"),
        ("grant truncate on payment to bursar_app", "a table they may truncate, reference or put triggers on"),
        ("grant select on payment to public", "a table open to everybody"),
        ("create unique index u on payment (gateway_ref)", "a unique key that leaves the tenant out"),
        (
            "create unique index p on payment (id); alter table refund add constraint k foreign key (payment_id) references payment (id)",
            "a foreign key that leaves the tenant out",
        ),
        ("create rule r as on insert to payment do instead nothing", "a rule"),
    ],
)
async def test_each_way_around_them_would_be_found(unfilled, ddl, question):
    """The control of the check above, in a transaction that is taken back (roles belong to the whole server)."""
    connection = await asyncpg.connect(unfilled)
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute(ddl)
        assert question in await leaks(connection)
    finally:
        await transaction.rollback()
        await connection.close()
