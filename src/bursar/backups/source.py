"""The database that is backed up: what must be known of it, and the marks written into it. Its superuser's connection."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import asyncpg

from bursar.backups.wal import Mark, lsn_of, point_name
from bursar.kernel.errors import Conflict

SLOT: Final = "bursar_backups"
APPLICATION: Final = "bursar_backups"
INCREMENTAL_SINCE: Final = 170_000
_LOCK: Final = 0x4255_5253_4142_4B  # one base backup at a time
_CONNECT_S: Final = 10
_STATEMENT_S: Final = 30
_FAILURE_MAX: Final = 500
SESSION: Final = {
    "application_name": "bursar-backups",
    "statement_timeout": f"{_STATEMENT_S}s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "1min",
    # Where commits wait for the log to be received, those of who receives it do not.
    "synchronous_commit": "local",
}

_SOURCE = """
select
  (select system_identifier::text from pg_control_system()) as system,
  (select setting::bigint from pg_settings where name = 'wal_segment_size') as segment_bytes,
  current_setting('server_version_num')::int as number,
  current_setting('server_version') as version,
  (select timeline_id from pg_control_checkpoint()) as timeline,
  clock_timestamp() as now,
  (select number from backup_canary) as mark
"""

_WRITE_MARK = "update backup_canary set number = number + 1, at = clock_timestamp() returning number, at"
_NAME_POINT = "select pg_create_restore_point($1)::text"
_MARK = "select number, at from backup_canary"
_IS_SUPERUSER = "select rolsuper from pg_roles where rolname = current_user"
_BE_LOGICAL = "update backup_standing set is_logical = $1 where is_logical <> $1"

_RECEIVED = """
select write_lsn::text from pg_stat_replication where application_name = $1 order by write_lsn desc nulls last limit 1
"""

_ADD_SLOT = """
select pg_create_physical_replication_slot($1, true) where not exists (
  select from pg_replication_slots where slot_name = $1)
"""

_KEEP_LOG = "select pg_create_physical_replication_slot('bursar_base_' || pg_backend_pid(), true, true)"
_LET_LOG_GO = "select pg_drop_replication_slot('bursar_base_' || pg_backend_pid())"

_DROP_SLOT = """
select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1 and not active
"""

_BEHIND = """
select coalesce(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn), 0)::bigint from pg_replication_slots
where slot_name = $1
"""

_WANT = """
update backup_standing set is_wanted = $1, wanted_at = case when $1 then clock_timestamp() end where is_wanted <> $1
"""
_LOG_KEPT = "update backup_standing set log_kept_at = $1"
_LOG_PROVEN = "update backup_standing set log_proven_at = clock_timestamp()"
_BACKED_UP = "update backup_standing set backed_up_at = $1"
_FAILED = "update backup_standing set failure = $1, failed_at = clock_timestamp()"
_WELL = "update backup_standing set failure = null, failed_at = null where failure is not null"
_STANDING = """
select is_wanted, log_kept_at, log_proven_at, backed_up_at, failure, failed_at, is_logical from backup_standing
"""

_LIST = """
with given as (
  select * from unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::bigint[], $7::bigint[], $8::text[])
    as g (name, kind, parent, began_at, ended_at, plain_bytes, stored_bytes, failure)
), gone as (
  delete from backup_listed b where not exists (select from given g where g.name = b.name)
), gone_with_damage as (
  delete from backup_damage d where d.what <> 'log' and not exists (select from given g where g.name = d.what)
)
insert into backup_listed (name, kind, parent, began_at, ended_at, plain_bytes, stored_bytes, failure)
select name, kind, parent, began_at, ended_at, plain_bytes, stored_bytes, failure from given
on conflict (name) do update set kind = excluded.kind, failure = excluded.failure
where backup_listed.failure is distinct from excluded.failure
"""

# Whole is what was looked at as closely as when it was found damaged; what is no longer in the store is not damaged any more.
_VERIFIED = """
with looked as (
  select * from unnest($1::text[], $2::text[], $3::boolean[]) as l (what, failure, is_read)
), whole as (
  delete from backup_damage d where not exists (select from looked l where l.what = d.what)
    or exists (select from looked l where l.what = d.what and l.failure is null and l.is_read >= d.is_read)
)
insert into backup_damage (what, failure, is_read) select what, failure, is_read from looked where failure is not null
on conflict (what) do update set failure = excluded.failure, is_read = backup_damage.is_read or excluded.is_read,
  found_at = clock_timestamp()
"""

_DRILLED = """
select state, extract(epoch from clock_timestamp() - began_at)::float8 as ago_s from backup_drill order by began_at desc limit 1
"""


class BackupUnderWay(Conflict):
    """A base backup is being taken already."""

    code = "backup_under_way"


class NoSlotFree(Conflict):
    """The server has no replication slot free to keep its log for a base backup."""

    code = "backup_no_slot_free"


@dataclass(frozen=True, slots=True)
class Source:
    """number: the server's version as a number. mark: the newest mark in it. now: its clock."""

    system: str
    segment_bytes: int
    number: int
    version: str
    timeline: int
    now: datetime
    mark: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How backups stand, as they last wrote it down."""

    is_wanted: bool
    log_kept_at: datetime | None
    log_proven_at: datetime | None
    backed_up_at: datetime | None
    failure: str | None
    failed_at: datetime | None
    is_logical: bool


@dataclass(frozen=True, slots=True)
class Verified:
    """What was looked at: a backup by its name, or the log. failure: what is not whole.

    is_read: whether every byte of it was read; None: nothing can be said of it, since the store did not answer.
    """

    what: str
    failure: str | None
    is_read: bool | None


class Connection:
    """A connection to the database that is backed up, quick to give up."""

    def __init__(self, raw: Any) -> None:
        self._raw = raw

    async def source(self) -> Source:
        return Source(**dict(await self._raw.fetchrow(_SOURCE)))

    async def write_mark(self, timeline: int) -> Mark:
        """Write a row, commit it, and name the point after it."""
        row = await self._raw.fetchrow(_WRITE_MARK)
        at = await self._raw.fetchval(_NAME_POINT, point_name(row["number"]))
        return Mark(row["number"], row["at"], timeline, lsn_of(at))

    async def touch_mark(self) -> None:
        """Write a row, to be found again with its time in what is dumped after it."""
        await self._raw.fetchrow(_WRITE_MARK)

    async def is_superuser(self) -> bool:
        return bool(await self._raw.fetchval(_IS_SUPERUSER))

    async def be_logical(self, *, is_logical: bool) -> None:
        """Write down whether what is kept are logical backups, which have no log beside them."""
        await self._raw.execute(_BE_LOGICAL, is_logical)

    async def mark(self) -> tuple[int, datetime]:
        """Return number and time of the newest mark that the database has."""
        row = await self._raw.fetchrow(_MARK)
        return row["number"], row["at"]

    async def received(self) -> int:
        """Return how far the receiver of the log says it has written; 0 when it is not connected."""
        said = await self._raw.fetchval(_RECEIVED, APPLICATION)
        return lsn_of(said) if said else 0

    async def behind(self) -> int:
        """Return the bytes of log that the server keeps for us."""
        return await self._raw.fetchval(_BEHIND, SLOT) or 0

    async def add_slot(self) -> bool:
        """Let the server keep its log until we have it. Return whether it did not before."""
        return bool(await self._raw.fetch(_ADD_SLOT, SLOT))

    async def quiet(self) -> None:
        """Let the names of marks, one every few seconds, not fill the server's log."""
        await self._raw.execute("set log_min_messages = fatal")

    async def drop_slot(self) -> None:
        """Let the server forget its log again: nobody reads it any more, and it would fill the disk."""
        await self._raw.fetch(_DROP_SLOT, SLOT)

    async def summarise(self, number: int) -> None:
        """Let a server that can do so note which blocks change, which is what incremental backups are made of."""
        if number >= INCREMENTAL_SINCE and await self._raw.fetchval("select current_setting('summarize_wal')") == "off":
            await self._raw.execute("alter system set summarize_wal = on")
            await self._raw.fetchval("select pg_reload_conf()")

    @asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """Let no other base backup be taken meanwhile. Raises: BackupUnderWay."""
        if not await self._raw.fetchval("select pg_try_advisory_lock($1)", _LOCK):
            raise BackupUnderWay("a base backup is being taken already", hint="Wait until it has finished.")
        try:
            yield
        finally:
            await self._raw.execute("select pg_advisory_unlock_all()")

    @asynccontextmanager
    async def keeping_log(self) -> AsyncIterator[None]:
        """Let the server keep all log from now on: a base backup asks for it at its end, when it may be recycled already.

        The slot is of this connection: it ends with it, however it ends. Raises: NoSlotFree.
        """
        try:
            await self._raw.fetch(_KEEP_LOG)
        except asyncpg.ConfigurationLimitExceededError as refusal:
            raise NoSlotFree(
                f"PostgreSQL refuses: {refusal}", hint="Raise max_replication_slots, restart it."
            ) from refusal
        try:
            yield
        finally:
            await self._raw.fetch(_LET_LOG_GO)

    async def want(self, *, is_wanted: bool) -> None:
        await self._raw.execute(_WANT, is_wanted)

    async def log_kept(self, at: datetime) -> None:
        await self._raw.execute(_LOG_KEPT, at)

    async def log_proven(self) -> None:
        await self._raw.execute(_LOG_PROVEN)

    async def backed_up(self, at: datetime) -> None:
        await self._raw.execute(_BACKED_UP, at)

    async def failed(self, why: str) -> None:
        await self._raw.execute(_FAILED, why[:_FAILURE_MAX])

    async def well(self) -> None:
        await self._raw.execute(_WELL)

    async def write_listed(self, columns: Sequence[Sequence[Any]]) -> None:
        """Write down what the store lists, for those who cannot ask it."""
        await self._raw.execute(_LIST, *columns)

    async def write_verified(self, looked: Sequence[Verified]) -> None:
        """Write down what was found damaged, and forget what was found whole. looked: all that the store has, and the log."""
        await self._raw.execute(
            _VERIFIED,
            [one.what for one in looked],
            [one.failure[:_FAILURE_MAX] if one.failure else None for one in looked],
            [one.is_read for one in looked],
        )

    async def newest_drill(self) -> tuple[str, float] | None:
        """Return the state of the newest drill, and how many seconds ago it began."""
        row = await self._raw.fetchrow(_DRILLED)
        return (row["state"], row["ago_s"]) if row else None

    async def standing(self) -> Standing:
        return Standing(**dict(await self._raw.fetchrow(_STANDING)))


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Connection]:
    """Connect as the superuser."""
    raw = await asyncpg.connect(url, timeout=_CONNECT_S, command_timeout=_STATEMENT_S, server_settings=SESSION)
    try:
        yield Connection(raw)
    finally:
        await asyncio.shield(raw.close(timeout=5))
