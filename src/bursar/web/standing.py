"""How the installation stands: asked of the database at most once a second, whoever asks and how often."""

import asyncio
import shutil
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import asyncpg

from bursar import backups
from bursar.bootstrap import kinds
from bursar.kernel import migrations
from bursar.kernel.errors import DomainError, Unavailable
from bursar.kernel.resources import Resources
from bursar.money.reconciliation.queries import overdue_accounts

KEPT_S: Final = 1.0
SELDOM_KEPT_S: Final = 10.0
"""It is asked of every tenant, so not as often."""
ANSWER_MAX_S: Final = 3.0
COUNTED_MAX: Final = 100_000
"""Rows counted at most, so that the question stays cheap when the answer is bad."""

_QUEUE = f"""
select count(*) filter (where tries = 0) as waiting, count(*) filter (where tries > 0) as retrying,
  coalesce(extract(epoch from clock_timestamp() - min(run_at) filter (where run_at <= clock_timestamp())), 0)::float8
    as oldest_s
from (select tries, run_at from gateway_event_queue limit {COUNTED_MAX}) as q
"""

_DEAD = f"""
select count(*) as dead, count(*) filter (where at > clock_timestamp() - interval '1 hour') as dead_lately
from (select at from gateway_event_dead limit {COUNTED_MAX}) as d
"""

# Each part on the index of its states, so that a million resting jobs cost nothing but their count's bound.
_JOBS = f"""
select kind, state, count(*) as jobs, coalesce(extract(epoch from clock_timestamp() - min(run_at)), 0)::float8 as oldest_s
from (
  (select kind, state, run_at from job where state = 'ready' limit {COUNTED_MAX})
  union all (select kind, state, null from job where state in ('scheduled', 'running') limit {COUNTED_MAX})
  union all (select kind, state, null from job where state = 'held' limit {COUNTED_MAX})
  union all (select kind, state, null from job where state in ('unknown', 'dead') limit {COUNTED_MAX})
) as j group by kind, state
"""

_STORED = """
select relname, n_live_tup from pg_stat_user_tables where schemaname = 'public' and relname = any($1::text[])
"""

_UNSEALED = """
select coalesce(extract(epoch from clock_timestamp() - min(first.at)), 0)::float8
from tenant t
cross join lateral (
  select a.at from audit_record a where a.tenant_id = t.tenant_id and a.written_in >= coalesce(
    (select s.ends from audit_seal s where s.tenant_id = t.tenant_id order by s.sequence desc limit 1), 0)
  order by a.written_in limit 1
) as first
"""

_TABLES = ["gateway_event", "gateway_event_outcome", "purchase", "payment", "refund", "dispute", "fulfilment_grant"]


class DatabaseSlow(Unavailable):
    """The database did not answer a small question in time."""

    code = "database_slow"


@dataclass(frozen=True, slots=True)
class Standing:
    """waiting, retrying, dead: events, counted up to 100,000. oldest_s: how long the oldest due event has waited.

    dead_lately: within the last hour. stored: PostgreSQL's estimates. latency_s: of this question.
    jobs: by kind and state, counted likewise. jobs_oldest_s: how long the one that is due longest has waited.
    unsealed_s: how long the oldest audit record of any tenant has waited for its seal, as of some seconds ago.
    not_reconciled: gateway accounts that were not compared with their gateways for 26 hours, as of then too.
    backups: how old what a disaster would fall back on is.
    """

    waiting: int
    retrying: int
    dead: int
    dead_lately: int
    oldest_s: float
    stored: Mapping[str, int]
    latency_s: float
    unsealed_s: float
    jobs: Mapping[tuple[str, str], int]
    jobs_oldest_s: float
    not_reconciled: int
    backups: backups.Ages


class Watch:
    """Asks how things stand, and shares the answer among everybody who asks within a second."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._lock = asyncio.Lock()
        self._until = 0.0
        self._answer: Standing | DomainError | None = None
        self._seldom = (0.0, 0.0, 0)

    async def standing(self) -> Standing:
        """Return how things stand.

        Raises DatabaseUnavailable, DatabaseSlow, SchemaNewer, SchemaOlder, MigrationChanged.
        """
        async with self._lock:
            if self._answer is None or time.monotonic() >= self._until:
                self._answer = await self._ask()
                self._until = time.monotonic() + KEPT_S
            answer = self._answer
        if isinstance(answer, DomainError):
            raise answer.with_traceback(None)
        return answer

    async def _ask(self) -> Standing | DomainError:
        try:
            async with asyncio.timeout(ANSWER_MAX_S):
                return await self._look()
        except DomainError as refusal:
            return refusal
        except TimeoutError:
            return DatabaseSlow(f"the database did not answer within {ANSWER_MAX_S:g} s", retry_after_s=2)
        except (asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            return DatabaseSlow(f"the database refused: {type(error).__name__}", retry_after_s=2)

    async def _look(self) -> Standing:
        began = time.perf_counter()
        async with self._resources.db.engine() as tx:
            await migrations.require_current(tx)
            queue = await tx.fetchrow(_QUEUE)
            dead = await tx.fetchrow(_DEAD)
            stored = await tx.fetch(_STORED, _TABLES)
            jobs = await tx.fetch(_JOBS)
            backup_ages = await backups.ages(tx)
            if time.monotonic() >= self._seldom[0]:
                unsealed_s = await tx.fetchval(_UNSEALED)
                not_reconciled = await overdue_accounts(tx, now=self._resources.now())
                self._seldom = (time.monotonic() + SELDOM_KEPT_S, unsealed_s, not_reconciled)
        return Standing(
            **dict(queue),
            **dict(dead),
            stored={row["relname"]: row["n_live_tup"] for row in stored},
            latency_s=time.perf_counter() - began,
            jobs=_by_known_kind(jobs),
            jobs_oldest_s=max((row["oldest_s"] for row in jobs), default=0.0),
            unsealed_s=self._seldom[1],
            not_reconciled=self._seldom[2],
            backups=backup_ages,
        )


def _by_known_kind(rows: Sequence[Any]) -> dict[tuple[str, str], int]:
    """Return counts by kind and state. Kinds of other releases are one, so that labels are as many as we have kinds."""
    known, counted = kinds(), dict[tuple[str, str], int]()
    for row in rows:
        kind = known.named(row["kind"])
        who = (kind.name if kind else "other", row["state"])
        counted[who] = counted.get(who, 0) + row["jobs"]
    return counted


def free_bytes(data: Path) -> int:
    """Return the free space of the disk that holds the data directory, or what will hold it."""
    place = next(path for path in (data.absolute(), *data.absolute().parents) if path.exists())
    return shutil.disk_usage(place).free
