"""One business in a file and out of it: all of it and nobody else's, whole or refused, once and never half."""

import asyncio
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import zstandard

from api.conftest import lived
from bursar import backups
from bursar.backups.keys import add_key
from bursar.cli.archives import PURPOSE
from bursar.kernel import ids
from bursar.kernel.errors import DomainError
from bursar.kernel.identity import second_factor
from bursar.kernel.seal import Seal
from bursar.money.calls.links import open_link, seal_link
from bursar.money.intake import accounts
from bursar.operations import archives
from bursar.operations.snapshots import reading
from commanding import command, installation
from databases import fresh_database, opened, url_of
from serving import KEY
from stage import Stage, set_stage
from test_tenancy import fill

pytestmark = pytest.mark.anyio

OTHER_KEY = "B" * 43

_AHEAD = """create or replace function audit_position(transaction xid8) returns bigint language sql immutable parallel safe
  as 'select $1::text::bigint + 1000000'"""

# What a copy and a new place have otherwise; everything else is compared value for value.
_OTHER = {"gateway_account", "gateway_event_queue", "mail_queue", "job"} | {table for table, _ in archives.SEALED}

_NOT_SEALED = {
    ("api_key", "secret_sha256"),
    ("audit_note", "salt"),
    ("audit_seal", "digests"),
    ("audit_seal", "hash"),
    ("audit_seal", "previous"),
    ("booking_link", "secret_sha256"),
    ("checkout", "link_sha256"),
    ("dispute_answer_file", "sha256"),
    ("erased_mark", "mark"),
    ("erasure_key", "key"),
    ("gateway_call", "request"),
    ("gateway_event", "body_sha256"),
    ("gateway_event_body", "body"),
    ("gateway_event_differing", "body"),
    ("idempotency_answer", "request_sha256"),
    ("job", "request"),
    ("recovery_code", "code_sha256"),
}
"""Bytes that no key of the installation is needed for: they mean the same elsewhere."""


@dataclass
class World:
    """Two businesses interleaved in one database, and an archive of the first. said: by its export, to who watched."""

    mine: Stage
    theirs: Stage
    admin_url: str
    environment: dict[str, str]
    directory: Path
    said: str = ""

    @property
    def tenant(self) -> str:
        return ids.show(ids.TENANT, self.mine.tenant_id)

    @property
    def file(self) -> Path:
        return self.directory / "mine.archive"


@dataclass
class Place:
    """A database without either business, of an installation with another key."""

    admin_url: str
    environment: dict[str, str]


def run(environment: dict[str, str], *arguments: str) -> tuple[int, dict[str, Any]]:
    done = command(*arguments, "--json", **environment)
    assert done.out, done.err
    return done.code, json.loads(done.out.splitlines()[-1])


@pytest.fixture(scope="module")
async def world(cluster, shared_database_url, tmp_path_factory) -> AsyncIterator[World]:
    directory = tmp_path_factory.mktemp("archives")
    add_key(directory / "keys", rotate=False)
    admin_url = url_of(cluster["admin"], shared_database_url.rpartition("/")[2])
    environment = installation(shared_database_url, admin_url) | {
        "BURSAR_SECRET_KEY": KEY,
        "BURSAR_BACKUP_KEY_FILE": str(directory / "keys"),
    }
    async with asking(admin_url) as admin:
        # This server has counted a million transactions more than the other one.
        await admin.execute(_AHEAD)
    async with opened(shared_database_url) as db:
        mine = await set_stage(db, shared_database_url, name="Mine")
        theirs = await set_stage(db, shared_database_url, name="Theirs")
        await lived(theirs)
        await fill(mine, shared_database_url)
        async with db.tenant(mine.tenant_id) as tx:
            user = await tx.fetchval("select id from tenant_user limit 1")
            call = await tx.fetchval("select id from gateway_call limit 1")
            link = seal_link(Seal(KEY), "https://pay.example.com/x", call_id=call)
            await tx.execute("update gateway_call set url = $1 where id = $2", link, call)
            sealed = [Seal(KEY).seal("whsec_" + "c" * 32, purpose=accounts.signing_purpose(mine.account_id))]
            key = Seal(KEY).seal("sk_test_mine", purpose=accounts.api_key_purpose(mine.account_id))
            await tx.execute(
                "update tenant_user set totp_secret = $1, totp_on_at = now() where id = $2",
                Seal(KEY).seal("JBSWY3DP", purpose=second_factor._purpose(user)),
                user,
            )
            await tx.execute(
                "update gateway_account set signing_secrets = $2, api_key = $3 where id = $1",
                mine.account_id,
                sealed,
                key,
            )
        made = World(mine, theirs, admin_url, environment, directory)
        done = command("tenant", "export", "--tenant", made.tenant, "--out", str(made.file), **environment)
        assert done.code == 0, done.err
        made.said = done.err
        yield made


@pytest.fixture
def place(cluster, world) -> Iterator[Place]:
    with fresh_database(cluster) as other:
        environment = world.environment | installation(other["app"], other["admin"]) | {"BURSAR_SECRET_KEY": OTHER_KEY}
        yield Place(other["admin"], environment)


@asynccontextmanager
async def asking(url: str) -> AsyncIterator[Any]:
    connection = await asyncpg.connect(url, server_settings={"timezone": "UTC"})
    yield connection
    await connection.close()


async def lines(connection: Any, tenant_id: Any) -> dict[str, list[str]]:
    tables = await archives.tenant_tables(connection)
    return {
        table.name: [
            row["line"]
            for row in await connection.fetch(table.lines(f"where t.tenant_id = $1 {table.ordered}"), tenant_id)
        ]
        for table in tables
    }


async def tenants_of(url: str) -> int:
    async with asking(url) as connection:
        return await connection.fetchval("select count(*) from tenant")


async def test_a_business_goes_to_another_installation_whole_and_nobody_else_with_it(world, place):
    done = command("tenant", "import", str(world.file), "--take-over", "--json", **place.environment)
    again, refused = run(place.environment, "tenant", "import", str(world.file), "--take-over")
    verified = [run(on, "verify", "--tenant", world.tenant)[1] for on in (world.environment, place.environment)]
    _, trail = run(place.environment, "audit", "verify", "--tenant", world.tenant)

    assert done.code == 0, done.err
    rows = json.loads(done.out)["tables"]
    assert world.said.splitlines() == [f"bursar: {rows[name]} rows of {name} read" for name in rows]
    assert done.err.splitlines() == [
        f"bursar: reading {world.file} to its end",
        *(f"bursar: {rows[name]} rows of {name} written" for name in rows),
        "bursar: comparing it with the archive",
    ]
    assert (again, refused["error"]["code"]) == (1, "tenant_there")
    async with asking(world.admin_url) as here, asking(place.admin_url) as there:
        before, after = await lines(here, world.mine.tenant_id), await lines(there, world.mine.tenant_id)
        others = {name: len(rows) for name, rows in (await lines(there, world.theirs.tenant_id)).items() if rows}
        acts = "select array_agg(action) from audit_record where action like 'tenant.%ported'"
        assert await here.fetchval(acts) == ["tenant.exported"]
        assert await there.fetchval(acts) == ["tenant.exported", "tenant.imported"]
        assert await there.fetchval("select count(*) from job where state = 'running'") == 0
    assert others == {}
    assert [name for name, rows in before.items() if not rows] == []
    assert {name: len(rows) for name, rows in before.items() if name != "audit_record"} == {
        name: len(rows) for name, rows in after.items() if name != "audit_record"
    }
    assert [n for n in before if n not in _OTHER and not set(before[n]) <= set(after[n])] == []
    assert set(map(no_number, before["job"])) == set(map(no_number, after["job"]))
    # Some of the rows that fill every table hold nothing together; what does not hold there does not hold here, and nothing else.
    assert broken(verified[0]) == broken(verified[1])
    assert trail["ok"]
    async with opened(place.environment["BURSAR_DATABASE_URL"]) as db, db.tenant(world.mine.tenant_id) as tx:
        _, opening = await accounts.credentials(
            tx,
            tenant_id=world.mine.tenant_id,
            account_id=world.mine.account_id,
            seal=Seal(OTHER_KEY),
            is_production=False,
        )
        secrets = await tx.fetchval("select signing_secrets from gateway_account where id = $1", world.mine.account_id)
        user, totp = await tx.fetchrow("select id, totp_secret from tenant_user where totp_secret is not null")
        call, link = await tx.fetchrow("select id, url from gateway_call where url is not null")
        sealed_there = {
            name for name in archives.SEALED if await tx.fetchval("select count({1}) from {0}".format(*name))
        }
    # New records come after those that came with it, and are sealed in the same chain.
    async with opened(place.environment["BURSAR_DATABASE_URL"]) as db:
        await Stage(db, place.admin_url, world.mine.tenant_id, world.mine.account_id).seal()
    _, sealed = run(place.environment, "audit", "verify", "--tenant", world.tenant)
    assert sealed["ok"] and sealed["tenants"][0]["unsealed"] == 0
    assert opening.api_key == "sk_test_mine"
    assert sealed_there == archives.SEALED.keys()
    assert open_link(Seal(OTHER_KEY), link, call_id=call) == "https://pay.example.com/x"
    assert Seal(OTHER_KEY).open(totp, purpose=second_factor._purpose(user)) == "JBSWY3DP"
    purpose = accounts.signing_purpose(world.mine.account_id)
    assert [Seal(OTHER_KEY).open(each, purpose=purpose) for each in secrets] == ["whsec_" + "c" * 32]


def broken(verified: dict[str, Any]) -> list[str]:
    return [finding["name"] for finding in verified["tenants"][0]["invariants"] if not finding["ok"]]


def no_number(line: str) -> str:
    return json.dumps({name: value for name, value in json.loads(line).items() if name != "number"})


async def test_a_copy_acts_on_nobody(world, place):
    code, told = run(place.environment, "tenant", "import", str(world.file), "--tenant", world.tenant)

    assert code == 0, told
    async with asking(place.admin_url) as there:
        assert await there.fetchval("select count(*) from gateway_account where is_active") == 0
        assert await there.fetchval("select count(*) from alert_channel where is_on") == 0
        open_jobs = "select count(*) from job where state not in ('dead', 'unknown')"
        assert await there.fetchval(f"{open_jobs} and (state <> 'scheduled' or run_at < '9999-01-01')") == 0
        waiting = await there.fetchval(
            f"select ({open_jobs}) + (select count(*) from mail_queue) + (select count(*) from gateway_event_queue)"
        )
    assert told["waiting"] == waiting > 0


async def test_into_an_address_it_comes_there_with_that_places_key_and_the_own_database_is_left_alone(world, place):
    keyless = {name: value for name, value in world.environment.items() if name != "BURSAR_SECRET_KEY"}
    elsewhere = keyless | {"BURSAR_SECRET_KEY": OTHER_KEY}
    into = ("tenant", "import", str(world.file), "--into", place.admin_url)
    nowhere = ("tenant", "import", str(world.file), "--into", url_of(place.admin_url, "not_there"))
    async with asking(world.admin_url) as here:
        before = await lines(here, world.mine.tenant_id)

    refused = [run(keyless, *into), run(elsewhere, *nowhere), run(elsewhere, *into, "--tenant", "ten_" + "0" * 26)]
    nothing_yet = await tenants_of(place.admin_url)
    code, told = run(elsewhere, *into)
    again, twice = run(elsewhere, *into)

    assert [(code, why["error"]["code"]) for code, why in refused] == [
        (1, "secret_key_missing"),
        (1, "database_unavailable"),
        (1, "archive_of_another_tenant"),
    ]
    assert (nothing_yet, code, told["into"]) == (0, 0, place.admin_url), told
    assert (again, twice["error"]["code"]) == (1, "tenant_there")
    named = [
        run(on, "fingerprint", "--tenant", world.tenant)[1]["fingerprint"] for on in (elsewhere, place.environment)
    ]
    assert named[0] == named[1] == told["fingerprint"]
    async with asking(world.admin_url) as here, asking(place.admin_url) as there:
        assert await lines(here, world.mine.tenant_id) == before
        account = await there.fetchrow("select is_active, api_key from gateway_account where api_key is not null")
    assert account["is_active"] is False
    purpose = accounts.api_key_purpose(world.mine.account_id)
    assert Seal(OTHER_KEY).open(account["api_key"], purpose=purpose) == "sk_test_mine"


async def test_of_a_large_table_is_told_in_between(world, monkeypatch):
    monkeypatch.setattr("bursar.operations.archives.exporting.TOLD_ROWS", 2)
    said: list[str] = []

    async with reading(world.environment["BURSAR_DATABASE_URL"]) as connection:
        async for _ in archives.pieces(connection, world.mine.tenant_id, seal=None, tell=said.append):
            pass

    [events] = [int(line.split()[1]) for line in world.said.splitlines() if " gateway_event " in line]
    between = [f"{rows} rows of gateway_event read" for rows in (*range(2, events, 2), events)]
    assert len(between) > 1
    assert [line for line in said if " gateway_event " in line] == between


async def test_a_table_of_tenants_cannot_be_forgotten(world, place):
    async with asking(place.admin_url) as connection:
        await connection.execute("create table newest (tenant_id uuid not null, id uuid, primary key (tenant_id, id))")
        every = await archives.all_tables(connection)
        kept = {table.name for table in await archives.tenant_tables(connection)}
        held = await connection.fetch(
            """select c.relname, a.attname from pg_class c join pg_attribute a on a.attrelid = c.oid
            where c.relname = any($1) and a.atttypid::regtype::text like 'bytea%' and a.attnum > 0 and not a.attisdropped""",
            list(kept),
        )

    assert {name for name, table in every.items() if table.has_tenant} == kept | archives.LEFT_OUT.keys()
    assert kept.isdisjoint(archives.LEFT_OUT)
    assert "newest" in kept
    # A new column of bytes has to say whether the installation's key sealed it.
    assert {(row["relname"], row["attname"]) for row in held} == archives.SEALED.keys() | _NOT_SEALED


def test_the_plain_archive_is_read_without_us_and_has_no_secrets(world):
    out = world.directory / "plain.tar.zst"
    code, told = run(world.environment, "tenant", "export", "--tenant", world.tenant, "--out", str(out), "--plain")
    refused, why = run(world.environment, "tenant", "import", str(out))

    assert (code, told["is_sealed"]) == (0, False)
    assert (refused, why["error"]["code"]) == (1, "archive_without_secrets")
    with zstandard.open(out) as packed, tarfile.open(fileobj=packed, mode="r|") as archive:
        files = {member.name: archive.extractfile(member).read() for member in archive}
    account = json.loads(files["tables/gateway_account/000001.ndjson"].splitlines()[0])
    assert next(iter(files)) == "archive.json" and list(files)[-1] == "manifest.json"
    assert account["gateway"] == "stripe" and account["signing_secrets"] is None and account["api_key"] is None
    assert str(world.theirs.tenant_id).encode() not in b"".join(files.values())
    assert b"sk_test_mine" not in b"".join(files.values())


Files = list[tuple[str, bytes]]


def _changed(files: Files) -> Files:
    return [(n, c.replace(b'"5000"', b'"5001"') if n.startswith("tables/payment/") else c) for n, c in files]


def _of_another(files: Files) -> Files:
    return [(n, c.replace(b'"tenant_id" : "0', b'"tenant_id" : "1') if "product" in n else c) for n, c in files]


def _swapped(files: Files) -> Files:
    names = {"tables/payment/000001.ndjson": "tables/refund/000001.ndjson"}
    names |= {new: old for old, new in names.items()}
    return [(names.get(name, name), content) for name, content in files]


def _left_out(files: Files) -> Files:
    return [(name, content) for name, content in files if not name.startswith("tables/customer/")]


def _newer(files: Files) -> Files:
    return [(n, c.replace(b'"version": 1', b'"version": 2') if n == "archive.json" else c) for n, c in files]


@pytest.mark.parametrize(
    ("harm", "code"),
    [
        (_changed, "archive_damaged"),
        (_of_another, "archive_damaged"),
        (_swapped, "archive_damaged"),
        (_left_out, "archive_damaged"),
        (lambda files: files[:-1], "archive_damaged"),
        (lambda files: [*files, files[-2]], "archive_damaged"),
        (lambda files: files[1:], "archive_damaged"),
        (lambda _: [], "archive_damaged"),
        (_newer, "archive_of_other_release"),
    ],
)
def test_what_is_inside_is_held_against_what_the_archive_says(world, harm: Callable[[Files], Files], code):
    keys = backups.read_keyring(world.directory / "keys")
    with backups.open_sealed(world.file, PURPOSE, keys) as packed, tarfile.open(fileobj=packed, mode="r|") as archive:
        files = [(member.name, archive.extractfile(member).read()) for member in archive]
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as archive:
        for name, content in harm(files):
            told = tarfile.TarInfo(name)
            told.size = len(content)
            archive.addfile(told, io.BytesIO(content))

    with pytest.raises(DomainError) as refused:
        archives.check(lambda: io.BytesIO(written.getvalue()))

    assert refused.value.code == code


async def test_a_file_that_is_not_whole_or_not_ours_is_refused_before_anything_is_written(world, place):
    whole = world.file.read_bytes()
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 1
    add_key(world.directory / "wrong", rotate=False)
    harmed = {"flipped": bytes(flipped), "cut": whole[:-1], "text": b"hello"}
    for name, content in harmed.items():
        (world.directory / name).write_bytes(content)

    said = {name: run(place.environment, "tenant", "import", str(world.directory / name)) for name in harmed}
    key = ("--key-file", str(world.directory / "wrong"))
    said["wrong key"] = run(place.environment, "tenant", "import", str(world.file), *key)
    theirs = ids.show(ids.TENANT, world.theirs.tenant_id)
    said["of another"] = run(place.environment, "tenant", "import", str(world.file), "--tenant", theirs)
    async with asking(place.admin_url) as connection:
        await connection.execute(
            "insert into bursar_migration (version, name, sha256) values ('999912310001', 'x', 'x')"
        )
    said["newer"] = run(place.environment, "tenant", "import", str(world.file))

    assert {name: (code, told["error"]["code"]) for name, (code, told) in said.items()} == {
        "flipped": (1, "backup_damaged"),
        "cut": (1, "backup_damaged"),
        "text": (1, "archive_damaged"),
        "wrong key": (1, "backup_key_unknown"),
        "of another": (1, "archive_of_another_tenant"),
        "newer": (1, "schema_newer"),
    }
    assert await tenants_of(place.admin_url) == 0


async def test_an_import_that_is_killed_leaves_nothing_and_can_be_done_again(world, place):
    async with asking(place.admin_url) as connection:
        async with connection.transaction():
            await connection.execute("lock table waitlist_entry in exclusive mode")
            arguments = [sys.executable, "-m", "bursar", "tenant", "import", str(world.file)]
            clean = {name: value for name, value in os.environ.items() if not name.startswith("BURSAR_")}
            killed = subprocess.Popen(arguments, env=clean | place.environment, stderr=subprocess.DEVNULL)
            while not await connection.fetchval("select count(*) from pg_locks where not granted"):
                assert killed.poll() is None
                await asyncio.sleep(0.05)
            assert await connection.fetchval("select count(*) from tenant") == 0
            killed.send_signal(signal.SIGKILL)
            killed.wait()
        while await connection.fetchval(
            "select count(*) from pg_stat_activity where application_name = 'bursar operations' and datname = current_database()"
        ):
            await asyncio.sleep(0.05)
        left = {name: len(rows) for name, rows in (await lines(connection, world.mine.tenant_id)).items() if rows}

    assert left == {}
    code, told = run(place.environment, "tenant", "import", str(world.file))
    assert code == 0, told
