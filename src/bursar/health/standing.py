"""One look at how the installation stands: few bounded questions, each with the time it took."""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, Protocol

from bursar import backups
from bursar.kernel import ids, migrations
from bursar.kernel.db import Database, Transaction
from bursar.kernel.jobs import Kinds
from bursar.kernel.settings import Settings
from bursar.money.reconciliation.queries import overdue_accounts
from bursar.money.trail import OLDEST_UNSEALED
from bursar.operations import retention_runs

COUNTED_MAX: Final = 100_000
"""Rows counted at most, so that the question stays cheap when the answer is bad."""
_CIRCUITS_MAX: Final = 1_000

_WATCHED = "select extract(epoch from clock_timestamp() - looked_at)::float8 from alert_watch"

_ALERTS = f"""
select severity, count(*) as alerts from (select severity from alert where state <> 'resolved' limit {COUNTED_MAX}) as a group by severity
"""

# As the login itself, which an administrator may let see the standbys; the two roles inherit nothing.
_SERVER = """
select extract(epoch from clock_timestamp())::float8 as clock, pg_is_in_recovery() as is_standby,
  (select count(*) from pg_stat_activity where backend_type = 'client backend') as connections,
  current_setting('max_connections')::int as connections_max,
  (select age(datfrozenxid) from pg_database where datname = current_database()) as transactions_unfrozen,
  current_setting('archive_mode') <> 'off' as is_archiving,
  (select coalesce(last_failed_time > coalesce(last_archived_time, '-infinity'), false) from pg_stat_archiver) as is_archive_failing,
  (select extract(epoch from clock_timestamp() - last_archived_time)::float8 from pg_stat_archiver) as archived_ago_s,
  (select count(*) from pg_replication_slots where not active) as slots_idle,
  (select coalesce(max(pg_wal_lsn_diff(pg_current_wal_lsn(), restart_lsn)), 0)::float8 from pg_replication_slots
    where not active and not pg_is_in_recovery()) as slots_held_bytes,
  (select count(*) from pg_stat_replication where replay_lsn is not null) as standbys,
  (select count(*) from pg_stat_replication where state is null) as standbys_unseen,
  (select coalesce(max(extract(epoch from replay_lag)), 0)::float8 from pg_stat_replication) as standby_lag_s
"""

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

_MAIL = f"""
select count(*) as waiting, count(*) filter (where attempts >= 2) as refused,
  coalesce(extract(epoch from clock_timestamp() - min(due_at) filter (where due_at <= clock_timestamp())), 0)::float8 as oldest_s
from (select due_at, attempts from mail_queue order by due_at limit {COUNTED_MAX}) as m
"""

_STORED = """
select relname, n_live_tup from pg_stat_user_tables where schemaname = 'public' and relname = any($1::text[])
"""

_UNSEALED = f"""
select coalesce(extract(epoch from clock_timestamp() - o.at), 0)::float8 from ({OLDEST_UNSEALED}) as o
"""

_ACCOUNTS = "select gateway, count(*) as accounts from gateway_account where is_active group by gateway"
_NOT_CLOSED = f"""
select tenant_id, subject, operation, state, extract(epoch from clock_timestamp() - since)::float8 as for_s
from circuit where state <> 'closed' limit {_CIRCUITS_MAX}
"""
_TROUBLED = """
select tenant_id, subject, operation, state, since from circuit where state <> 'closed' order by since limit 50
"""
_GATEWAYS_OF = "select id, gateway from gateway_account where id = any($1::uuid[])"
_ISSUERS = "select count(distinct issuer) from identity_issuer where removed_at is null"
_FIGURES = """
select name, label, other_label, value::float8 as value,
  extract(epoch from clock_timestamp() - taken_at)::float8 as age_s from installation_figure limit 5000
"""

_TABLES: Final = [
    "gateway_event", "gateway_event_outcome", "purchase", "payment", "refund", "dispute", "fulfilment_grant",
]  # fmt: skip


class Holding(Protocol):
    """What a look needs: the resources of an API process and those of a job both have it."""

    @property
    def db(self) -> Database: ...
    @property
    def settings(self) -> Settings: ...
    @property
    def now(self) -> Callable[[], datetime]: ...


@dataclass(frozen=True, slots=True)
class Server:
    """The database server. skew_s: how far its clock is before ours. standbys_unseen: whose lag we may not see."""

    skew_s: float
    is_standby: bool
    connections: int
    connections_max: int
    transactions_unfrozen: int
    is_archiving: bool
    is_archive_failing: bool
    archived_ago_s: float | None
    slots_idle: int
    slots_held_bytes: float
    standbys: int
    standbys_unseen: int
    standby_lag_s: float


@dataclass(frozen=True, slots=True)
class Outside:
    """A gateway as calls find it. accounts: of all tenants. states: how many circuits are in which state but closed."""

    accounts: int
    states: Mapping[str, int]
    longest_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Mail:
    """Letters that wait, those that were refused twice or more, and how long the oldest that is due has waited."""

    waiting: int
    refused: int
    oldest_s: float


@dataclass(frozen=True, slots=True)
class Issuers:
    """Identity providers: how many this process has asked, and how many of those did not answer the last time."""

    asked: int = 0
    silent: int = 0


@dataclass(frozen=True, slots=True)
class Seldom:
    """What is asked of every tenant, and so not every second.

    unsealed_s: how long the oldest audit record of any tenant has waited for its seal. issuers: how many are configured.
    not_reconciled: gateway accounts that were not compared with their gateways for 26 hours.
    figures: what the job took, by name and labels. figures_age_s: of the newest, None before the first time.
    watched_s: since the rules of alerts were looked at, None before the first time. alerts: not resolved ones, by severity.
    retention: what is wrong with the clean-up that only the tables' owner can do.
    """

    unsealed_s: float
    not_reconciled: int
    gateways: Mapping[str, Outside]
    issuers: int
    figures: Mapping[tuple[str, str, str], float]
    figures_age_s: float | None
    watched_s: float | None = None
    alerts: Mapping[str, int] = field(default_factory=dict)
    retention: str = ""


@dataclass(frozen=True, slots=True)
class Standing:
    """waiting, retrying, dead: events, counted up to 100,000. oldest_s: how long the oldest due event has waited.

    dead_lately: within the last hour. stored: PostgreSQL's estimates. latency_s: of the whole look.
    jobs: by kind and state, counted likewise. jobs_oldest_s: how long the one that is due longest has waited.
    backups: how old what a disaster would fall back on is. took: seconds of each question, by the part it is for.
    """

    waiting: int
    retrying: int
    dead: int
    dead_lately: int
    oldest_s: float
    stored: Mapping[str, int]
    latency_s: float
    jobs: Mapping[tuple[str, str], int]
    jobs_oldest_s: float
    mail: Mail
    server: Server
    backups: backups.Ages
    seldom: Seldom
    took: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Troubled:
    """A circuit that is not closed. tenant: its public id."""

    tenant: str
    subject: str
    operation: str
    state: str
    since: datetime


async def circuits_not_closed(db: Database) -> list[Troubled]:
    """Return some of the circuits that are not closed, the longest first."""
    async with db.engine() as tx:
        rows = await tx.fetch(_TROUBLED)
    return [
        Troubled(ids.show(ids.TENANT, row["tenant_id"]), row["subject"], row["operation"], row["state"], row["since"])
        for row in rows
    ]


async def look(held: Holding, kinds: Kinds, *, seldom: Seldom | None) -> Standing:
    """Ask. seldom: what was found lately; None lets it be asked too. kinds: jobs of other kinds are counted as one.

    Raises DatabaseUnavailable, SchemaNewer, SchemaOlder, MigrationChanged, and what PostgreSQL raises.
    """
    took: dict[str, float] = {}
    began = time.perf_counter()
    async with held.db.statement() as connection:
        with _timed(took, "database"):
            server = _server(time.time(), await connection.fetchrow(_SERVER), time.time())
    async with held.db.engine() as tx:
        await migrations.require_current(tx)
        with _timed(took, "queue"):
            queue = await tx.fetchrow(_QUEUE)
        with _timed(took, "dead_letters"):
            dead = await tx.fetchrow(_DEAD)
        with _timed(took, "jobs"):
            jobs = await tx.fetch(_JOBS)
        with _timed(took, "mail"):
            mail = await tx.fetchrow(_MAIL)
        with _timed(took, "backups"):
            ages = await backups.ages(tx)
        stored = await tx.fetch(_STORED, _TABLES)
        seldom = seldom or await _seldom(tx, took, now=held.now())
    return Standing(
        **dict(queue),
        **dict(dead),
        stored={row["relname"]: row["n_live_tup"] for row in stored},
        latency_s=time.perf_counter() - began,
        jobs=_by_known_kind(jobs, kinds),
        jobs_oldest_s=max((row["oldest_s"] for row in jobs), default=0.0),
        mail=Mail(**dict(mail)),
        server=server,
        backups=ages,
        seldom=seldom,
        took=took,
    )


async def _seldom(tx: Transaction, took: dict[str, float], *, now: datetime) -> Seldom:
    with _timed(took, "audit"):
        unsealed_s = await tx.fetchval(_UNSEALED)
    with _timed(took, "reconciliation"):
        not_reconciled = await overdue_accounts(tx, now=now)
    with _timed(took, "gateways"):
        gateways = await _gateways(tx)
    with _timed(took, "sign_in"):
        issuers = await tx.fetchval(_ISSUERS)
    figures = await tx.fetch(_FIGURES)
    with _timed(took, "alerts"):
        watched_s = await tx.fetchval(_WATCHED)
        alerts = {row["severity"]: row["alerts"] for row in await tx.fetch(_ALERTS)}
    with _timed(took, "retention"):
        last = await retention_runs.last_run(tx)
    return Seldom(
        unsealed_s=unsealed_s,
        not_reconciled=not_reconciled,
        gateways=gateways,
        issuers=issuers,
        figures={(row["name"], row["label"], row["other_label"]): row["value"] for row in figures},
        figures_age_s=min((row["age_s"] for row in figures), default=None),
        watched_s=watched_s,
        alerts=alerts,
        retention=retention_runs.complaint(last, now=now),
    )


async def _gateways(tx: Transaction) -> dict[str, Outside]:
    accounts = {row["gateway"]: row["accounts"] for row in await tx.fetch(_ACCOUNTS)}
    troubled = [(row, ids.parsed_or_none(ids.GATEWAY_ACCOUNT, row["subject"])) for row in await tx.fetch(_NOT_CLOSED)]
    wanted = [account for _, account in troubled if account]
    rows = await tx.fetch(_GATEWAYS_OF, wanted) if wanted else []
    gateway_of = {row["id"]: row["gateway"] for row in rows}
    states: dict[str, dict[str, int]] = {gateway: {} for gateway in accounts}
    longest: dict[str, float] = {}
    for row, account in troubled:
        gateway = gateway_of.get(account, "other")
        counted = states.setdefault(gateway, {})
        counted[row["state"]] = counted.get(row["state"], 0) + 1
        longest[gateway] = max(longest.get(gateway, 0.0), row["for_s"])
    return {
        gateway: Outside(accounts.get(gateway, 0), counted, longest.get(gateway, 0.0))
        for gateway, counted in states.items()
    }


def _server(before: float, row: Any, after: float) -> Server:
    """before, after: our clock around the question."""
    said = dict(row)
    return Server(skew_s=said.pop("clock") - (before + after) / 2, **said)


@contextmanager
def _timed(took: dict[str, float], part: str) -> Iterator[None]:
    began = time.perf_counter()
    yield
    took[part] = time.perf_counter() - began


def _by_known_kind(rows: Sequence[Any], known: Kinds) -> dict[tuple[str, str], int]:
    """Return counts by kind and state. Kinds of other releases are one, so that labels are as many as we have kinds."""
    counted: dict[tuple[str, str], int] = {}
    for row in rows:
        kind = known.named(row["kind"])
        who = (kind.name if kind else "other", row["state"])
        counted[who] = counted.get(who, 0) + row["jobs"]
    return counted
