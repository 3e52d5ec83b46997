"""The audit trail is sealed behind the writers' backs, and whoever changes what is sealed is found, a superuser too."""

import asyncio
import hashlib
import json
from datetime import UTC, datetime
from itertools import pairwise

import asyncpg
import pytest

from bursar.kernel import audit, ids
from bursar.money.trail import check_chain, continue_numbering, export_lines, seal_all, seal_tenant, sealing
from commanding import command, installation
from stage import set_stage

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


@pytest.fixture
async def stage(db, database_url):
    made = await set_stage(db, database_url, name="Mine")
    await made.seal(NOON)
    return made


async def write(stage, action="thing.done", count=1):
    async with stage.db.tenant(stage.tenant_id) as tx:
        for number in range(count):
            await audit.record(
                tx, tenant_id=stage.tenant_id, actor="operator", action=action, subject=None, changes={"n": number}
            )


async def checked(stage, expected=None):
    async with stage.db.tenant(stage.tenant_id) as tx:
        return await check_chain(tx, tenant_id=stage.tenant_id, expected=expected)


async def seals(stage):
    return await stage.rows("select * from audit_seal order by sequence")


async def faults(stage, expected=None):
    found = await checked(stage, expected)
    assert found.ok == (not found.faults)
    return [(f.kind, f.subject) for f in found.faults]


async def as_superuser(admin_url, *statements):
    connection = await asyncpg.connect(admin_url)
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


async def sealed_three(stage):
    """Three seals of two records each; the ids of the middle one's."""
    for action in ("first", "second", "third"):
        await write(stage, action, 2)
        assert await stage.seal(NOON) == 2
    rows = await stage.rows("select id from audit_record where action = 'second' order by id")
    return [row["id"] for row in rows]


async def test_every_committed_record_is_sealed_once_in_a_chain(stage):
    await sealed_three(stage)

    kept = await seals(stage)

    assert [s["sequence"] for s in kept] == list(range(1, len(kept) + 1))
    assert all(later["previous"] == earlier["hash"] for earlier, later in pairwise(kept))
    covered = [record for s in kept for record in s["records"]]
    assert sorted(covered) == [r["id"] for r in await stage.rows("select id from audit_record order by id")]
    found = await checked(stage)
    assert (found.ok, found.unsealed, found.records) == (True, 0, len(covered))
    assert await stage.seal(NOON) == 0


async def test_a_record_that_is_committed_late_is_sealed_late_and_nobody_waited(stage):
    late = ids.new()
    async with stage.db.tenant(stage.tenant_id) as tx:
        await tx.execute(
            "insert into audit_record (tenant_id, id, actor, action, changes) values ($1, $2, 'x', 'late', '{}')",
            stage.tenant_id,
            late,
        )
        await write(stage, "meanwhile")
        # What was written after the open transaction began may not be final before it is: it waits, the writers do not.
        assert await seal_tenant(stage.db, tenant_id=stage.tenant_id, now=NOON) == 0
        assert (await checked(stage)).unsealed == 1

    assert await stage.seal(NOON) == 2
    assert late in (await seals(stage))[-1]["records"]
    assert await faults(stage) == []


async def test_writers_and_sealers_at_once_leave_no_record_out(stage):
    async def writing():
        for _ in range(20):
            await write(stage, count=3)

    async def seal_often():
        for _ in range(15):
            await seal_all(stage.db, now=NOON)

    await asyncio.gather(*(writing() for _ in range(4)), *(seal_often() for _ in range(3)))
    await stage.seal(NOON)

    found = await checked(stage)
    written = await stage.rows("select count(*) as n from audit_record")
    assert (found.faults, found.unsealed, found.records) == ([], 0, written[0]["n"])


async def test_many_records_are_sealed_in_parts_that_split_no_transaction(stage, monkeypatch):
    monkeypatch.setattr(sealing, "RECORDS_MAX", 5)
    before = len(await seals(stage))
    for count in (3, 3, 12, 1):
        await write(stage, count=count)

    assert await stage.seal(NOON) == 19
    assert [len(s["records"]) for s in (await seals(stage))[before:]] == [3, 3, 12, 1]
    assert await faults(stage) == []


async def test_a_changed_record_is_named(stage, admin_url):
    one, two = await sealed_three(stage)
    for change in ("actor = 'somebody else'", "changes = '{\"n\": 9}'", "at = at - interval '1 microsecond'"):
        await as_superuser(admin_url, f"update audit_record set {change} where id = '{two}'")

        assert await faults(stage) == [("record_changed", ids.show(ids.AUDIT, two))]

    assert one != two


async def test_a_deleted_record_is_named(stage, admin_url):
    one, _ = await sealed_three(stage)
    await as_superuser(admin_url, f"delete from audit_record where id = '{one}'")

    assert await faults(stage) == [("record_missing", ids.show(ids.AUDIT, one))]


async def test_a_record_added_to_what_is_sealed_is_named(stage, admin_url):
    one, _ = await sealed_three(stage)
    added = ids.new()
    await as_superuser(
        admin_url,
        f"""insert into audit_record (tenant_id, id, actor, action, changes, written_in)
        select tenant_id, '{added}', actor, action, changes, written_in from audit_record where id = '{one}'""",
    )

    assert await faults(stage) == [("record_inserted", ids.show(ids.AUDIT, added))]


async def test_a_seal_written_anew_does_not_fit_its_neighbours(stage, admin_url):
    one, _ = await sealed_three(stage)
    middle = next(s for s in await seals(stage) if one in s["records"])
    digest = hashlib.sha256(b"forged").hexdigest()
    await as_superuser(
        admin_url,
        f"update audit_seal set digests = digests || '' , hash = '\\x{digest}' where sequence = {middle['sequence']}",
    )

    assert await faults(stage) == [
        ("seal_wrong", str(middle["sequence"])),
        ("seal_wrong", str(middle["sequence"] + 1)),
    ]


async def test_a_seal_that_is_gone_is_missed(stage, admin_url):
    one, _ = await sealed_three(stage)
    middle = next(s for s in await seals(stage) if one in s["records"])["sequence"]
    await as_superuser(admin_url, f"delete from audit_seal where sequence = {middle}")

    assert ("seal_missing", str(middle)) in await faults(stage)


async def test_an_end_that_was_cut_off_is_found_by_who_noted_the_head(stage, admin_url):
    await sealed_three(stage)
    head = (await checked(stage)).head
    last = (await seals(stage))[-1]
    await as_superuser(
        admin_url,
        f"delete from audit_record where written_in >= {last['begins']} and written_in < {last['ends']}",
        f"delete from audit_seal where sequence = {last['sequence']}",
    )

    assert await faults(stage) == []
    assert await faults(stage, expected=head) == [("head_unknown", head)]
    await write(stage)
    await stage.seal(NOON)
    assert await faults(stage, expected=head) == [("head_unknown", head)]


async def test_an_older_head_stays_good_while_the_chain_grows(stage):
    await sealed_three(stage)
    head = (await checked(stage)).head
    await write(stage)
    await stage.seal(NOON)

    assert await faults(stage, expected=head) == []


async def test_sealing_all_reaches_every_tenant(stage, db, database_url):
    other = await set_stage(db, database_url, name="Theirs")
    await write(stage)

    for _ in range(100):
        await seal_all(db, now=NOON)
        unsealed = (await checked(stage)).unsealed + (await checked(other)).unsealed
        if not unsealed:
            break
        await asyncio.sleep(0.05)

    assert unsealed == 0
    assert (await checked(stage)).head != (await checked(other)).head


async def test_the_chain_goes_on_where_another_server_numbers_transactions_from_the_beginning(stage, admin_url):
    await sealed_three(stage)
    # As after a restore from a dump: what is sealed lies far ahead of this server's numbers.
    await as_superuser(
        admin_url,
        """create or replace function audit_position(transaction xid8) returns bigint language sql immutable parallel safe
        as 'select $1::text::bigint - 1000000'""",
    )
    connection = await asyncpg.connect(admin_url)
    await connection.execute(
        "alter table audit_record alter written_in set default audit_position(pg_current_xact_id())"
    )

    added = await continue_numbering(connection)
    again = await continue_numbering(connection)
    await connection.close()
    await write(stage, "restored", 2)

    assert added > -1_000_000
    assert again == 0
    assert await stage.seal(NOON) == 2
    assert await faults(stage) == []


def check_export(lines: list[str]) -> int:
    """The documented algorithm, with nothing of ours."""
    previous, digests, count = None, b"", 0
    for line in lines:
        told = json.loads(line)
        if "seal" not in told:
            digests, count = digests + hashlib.sha256(line.encode()).digest(), count + 1
            continue
        assert previous in (None, told["previous"])
        head = [told["previous"], told["seal"], told["begins"], told["ends"], len(digests) // 32, told["sealed_at"]]
        text = "".join(f"{part}\n" for part in head)
        assert hashlib.sha256(text.encode() + digests).hexdigest() == told["sha256"]
        previous, digests = told["sha256"], b""
    assert digests == b""
    return count


async def test_an_export_can_be_checked_without_us(stage):
    await sealed_three(stage)
    async with stage.db.tenant(stage.tenant_id) as tx:
        lines = [line async for line in export_lines(tx, tenant_id=stage.tenant_id)]
        nothing = [line async for line in export_lines(tx, tenant_id=stage.tenant_id, until=NOON)]

    assert check_export(lines) == (await checked(stage)).records
    assert nothing == []
    forged = [line.replace('"operator"', '"nobody"', 1) for line in lines]
    with pytest.raises(AssertionError):
        check_export(forged)


def bursar(database_url: str, admin_url: str, *arguments: str) -> tuple[int, str]:
    done = command(*arguments, **installation(database_url, admin_url))
    return done.code, done.out


async def test_the_commands_say_so_and_exit_with_one(stage, database_url, admin_url):
    _, two = await sealed_three(stage)
    tenant = ids.show(ids.TENANT, stage.tenant_id)

    good, said = bursar(database_url, admin_url, "audit", "verify", "--all", "--json")
    head = json.loads(said)["tenants"][0]["head"]
    expected, _ = bursar(database_url, admin_url, "audit", "verify", "--tenant", tenant, "--expect", head)
    exported, lines = bursar(database_url, admin_url, "audit", "export", "--tenant", tenant)
    await as_superuser(admin_url, f"update audit_record set actor = 'x' where id = '{two}'")
    bad, text = bursar(database_url, admin_url, "audit", "verify", "--tenant", tenant)

    assert (good, expected, exported, bad) == (0, 0, 0, 1)
    assert check_export(lines.splitlines()) == json.loads(said)["tenants"][0]["records"]
    assert f"record_changed {ids.show(ids.AUDIT, two)}" in text
