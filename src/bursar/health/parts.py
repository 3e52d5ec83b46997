"""What was seen, judged part by part. Pure: a look, this machine, the settings; nothing else."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final, Literal

from bursar import backups
from bursar.health.machine import Machine
from bursar.health.standing import Issuers, Outside, Seldom, Server, Standing
from bursar.kernel.errors import DomainError
from bursar.kernel.settings import Settings
from bursar.operations import retention_runs

Verdict = Literal["healthy", "degraded", "unhealthy"]

DATABASE_SLOW_S: Final = 0.5
CONNECTIONS_SHARE_MAX: Final = 0.9
UNFROZEN_MAX: Final = 1_500_000_000
"""Of the 2.1 thousand million after which PostgreSQL refuses to write."""
QUEUE_LATE_S: Final = 60.0
STOPPED_S: Final = 3600.0
"""Whoever waits so long waits for something that does not run."""
JOBS_LATE_S: Final = 300.0
MAIL_LATE_S: Final = 300.0
UNSEALED_LATE_S: Final = 300.0
FIGURES_LATE_S: Final = 1800.0
WATCH_LATE_S: Final = 300.0
DISK_LOW_BYTES: Final = 1_000_000_000
DISK_FULL_BYTES: Final = 100_000_000
MEMORY_LOW_SHARE: Final = 0.05
SKEW_LATE_S: Final = 2.0
STANDBY_LATE_S: Final = 60.0
SLOT_HOLDS_BYTES: Final = 10_000_000_000

_WORKERS = "See that bursar worker runs and what it logs; start more workers if it keeps up no longer."
_TIME_SERVICE = "Run a time service on both machines; signatures and sessions are refused by a wrong clock."
_MEMORY_WHAT = "Give the machine or container more memory, or run fewer workers and smaller pools on it."
_DATABASE_WHAT = "See whether PostgreSQL runs and takes connections (bursar doctor); nothing is lost meanwhile, gateways deliver again."


@dataclass(frozen=True, slots=True)
class Part:
    """One part of the installation. latency_s: of the question about it, None where none was asked.

    detail: what is not well, or what is worth knowing. advice: what to do; empty when healthy.
    """

    name: str
    status: Verdict
    latency_s: float | None = None
    detail: str = ""
    advice: str = ""
    figures: dict[str, float] = field(default_factory=dict)


def worst(parts: Iterable[Part]) -> Verdict:
    """Return the verdict on the whole: the worst of its parts decides."""
    verdicts = {part.status for part in parts}
    order: tuple[Verdict, ...] = ("unhealthy", "degraded", "healthy")
    return next((verdict for verdict in order if verdict in verdicts), "healthy")


def parts_of(seen: Standing | DomainError, here: Machine, issuers: Issuers, settings: Settings) -> tuple[Part, ...]:
    """Return every part. seen: the refusal where the database could not be looked at."""
    if isinstance(seen, DomainError):
        away = Part("database", "unhealthy", detail=seen.message, advice=seen.hint or _DATABASE_WHAT)
        return (away, _disk(here), _memory(here))
    return (
        _database(seen),
        _replication(seen.server, seen.took.get("database")),
        _archive(seen.server),
        _clock(seen.server, settings),
        _queue(seen),
        _dead_letters(seen),
        _jobs(seen),
        *_gateways(seen.seldom, seen.took.get("gateways")),
        _mail(seen, settings),
        _sign_in(seen.seldom, issuers, seen.took.get("sign_in")),
        _audit(seen),
        _reconciliation(seen),
        _backups(seen, settings),
        _retention(seen),
        _figures(seen.seldom),
        _alerts(seen),
        _disk(here),
        _memory(here),
    )


def _judged(
    name: str,
    *,
    unhealthy: str = "",
    degraded: str = "",
    advice: str = "",
    note: str = "",
    latency_s: float | None = None,
    figures: dict[str, float] | None = None,
) -> Part:
    """unhealthy, degraded: what is wrong; empty when it is not. note: told of a healthy part."""
    latency_s = None if latency_s is None else round(latency_s, 4)
    figures = {key: round(value, 3) for key, value in (figures or {}).items()}
    if unhealthy:
        return Part(name, "unhealthy", latency_s, unhealthy, advice, figures)
    if degraded:
        return Part(name, "degraded", latency_s, degraded, advice, figures)
    return Part(name, "healthy", latency_s, note, "", figures)


def _database(seen: Standing) -> Part:
    server = seen.server
    faults = {
        f"the look took {seen.latency_s:.1f} s": seen.latency_s > DATABASE_SLOW_S,
        f"{server.connections} of {server.connections_max} connections are taken": server.connections
        > CONNECTIONS_SHARE_MAX * server.connections_max,
        f"{server.transactions_unfrozen} transactions are not frozen": server.transactions_unfrozen > UNFROZEN_MAX,
    }
    return _judged(
        "database",
        unhealthy="this database is a standby: nothing can be written" if server.is_standby else "",
        degraded=_said(faults),
        advice="Point BURSAR_DATABASE_URL at the primary."
        if server.is_standby
        else "See the slow queries, fewer or smaller pools, and whether autovacuum keeps up (vacuum freeze).",
        latency_s=seen.took.get("database"),
        figures={
            "latency_s": seen.latency_s,
            "connections": server.connections,
            "connections_max": server.connections_max,
            "transactions_unfrozen": server.transactions_unfrozen,
        },
    )


def _replication(server: Server, latency_s: float | None) -> Part:
    faults = {
        f"a standby is {server.standby_lag_s:.0f} s behind": server.standby_lag_s > STANDBY_LATE_S,
        f"an idle replication slot holds {server.slots_held_bytes / 1e9:.0f} GB of log": server.slots_held_bytes
        > SLOT_HOLDS_BYTES,
    }
    unseen = f"{server.standbys_unseen} receivers whose lag this login may not see (grant pg_monitor to it)"
    return _judged(
        "replication",
        degraded=_said(faults),
        advice="Look at the standby's log; drop a slot that nobody will use again, or the disk fills.",
        note=unseen if server.standbys_unseen else "",
        latency_s=latency_s,
        figures={
            "standbys": server.standbys,
            "lag_s": server.standby_lag_s,
            "slots_idle": server.slots_idle,
            "slots_held_bytes": server.slots_held_bytes,
        },
    )


def _archive(server: Server) -> Part:
    figures = {} if server.archived_ago_s is None else {"archived_ago_s": server.archived_ago_s}
    return _judged(
        "archive",
        degraded="the last attempt to archive the log failed"
        if server.is_archiving and server.is_archive_failing
        else "",
        advice="See PostgreSQL's log for what archive_command said; until it works the log stays on the disk.",
        note="" if server.is_archiving else "the server archives nothing by itself",
        figures=figures if server.is_archiving else {},
    )


def _clock(server: Server, settings: Settings) -> Part:
    skew = abs(server.skew_s)
    said = f"the database's clock differs from ours by {server.skew_s:+.1f} s"
    return _judged(
        "clock",
        unhealthy=said if skew > settings.signature_tolerance_s else "",
        degraded=said if skew > SKEW_LATE_S else "",
        advice=_TIME_SERVICE,
        figures={"skew_s": server.skew_s},
    )


def _queue(seen: Standing) -> Part:
    said = f"the oldest event has waited {seen.oldest_s:.0f} s; is a worker running?"
    return _judged(
        "queue",
        unhealthy=said if seen.oldest_s > STOPPED_S else "",
        degraded=said if seen.oldest_s > QUEUE_LATE_S else "",
        advice=_WORKERS,
        latency_s=seen.took.get("queue"),
        figures={"received": seen.waiting, "failed": seen.retrying, "oldest_s": seen.oldest_s},
    )


def _dead_letters(seen: Standing) -> Part:
    return _judged(
        "dead_letters",
        degraded=f"{seen.dead_lately} events came to rest within the last hour" if seen.dead_lately else "",
        advice="Open the page Dead letters: each says why; correct the cause, then replay.",
        latency_s=seen.took.get("dead_letters"),
        figures={"dead": seen.dead, "last_hour": seen.dead_lately},
    )


def _jobs(seen: Standing) -> Part:
    def in_state(state: str) -> int:
        return sum(count for (_, at), count in seen.jobs.items() if at == state)

    said = f"the job that is due longest has waited {seen.jobs_oldest_s:.0f} s"
    resting = in_state("dead") + in_state("unknown")
    return _judged(
        "jobs",
        unhealthy=said if seen.jobs_oldest_s > STOPPED_S else "",
        degraded=said if seen.jobs_oldest_s > JOBS_LATE_S else "",
        advice=_WORKERS,
        note=f"{resting} rest and wait for a person (page Jobs)" if resting else "",
        latency_s=seen.took.get("jobs"),
        figures={
            "ready": in_state("ready"),
            "running": in_state("running"),
            "later": in_state("scheduled") + in_state("held"),
            "dead": in_state("dead"),
            "unknown": in_state("unknown"),
            "oldest_s": seen.jobs_oldest_s,
        },
    )


def _gateways(seldom: Seldom, latency_s: float | None) -> Iterator[Part]:
    """One part for each gateway that has an account, judged by what calls found: nobody is called for this."""
    for gateway, outside in sorted(seldom.gateways.items()):
        yield _gateway(gateway, outside, latency_s)


def _gateway(gateway: str, outside: Outside, latency_s: float | None) -> Part:
    troubled = sum(outside.states.values())
    return _judged(
        f"gateway:{gateway}",
        degraded=f"{troubled} circuits are not closed, the longest for {outside.longest_s:.0f} s: what is asked there waits"
        if troubled
        else "",
        advice="Nothing is lost. See the gateway's status page and the page Circuits; they close by themselves.",
        latency_s=latency_s,
        figures={
            "accounts": outside.accounts,
            "circuits_open": outside.states.get("open", 0),
            "circuits_half_open": outside.states.get("half_open", 0),
        },
    )


def _mail(seen: Standing, settings: Settings) -> Part:
    mail = seen.mail
    faults = {
        f"the oldest letter that is due has waited {mail.oldest_s:.0f} s": mail.oldest_s > MAIL_LATE_S,
        f"{mail.refused} letters were refused at least twice": mail.refused > 0,
    }
    return _judged(
        "mail",
        degraded=_said(faults),
        advice="See that a worker runs, and BURSAR_MAIL_URL: host, port, user and password; a worker logs what the server said.",
        note="" if settings.mail_url else "no mail server is set: letters become files",
        latency_s=seen.took.get("mail"),
        figures={"waiting": mail.waiting, "refused": mail.refused, "oldest_s": mail.oldest_s},
    )


def _sign_in(seldom: Seldom, issuers: Issuers, latency_s: float | None) -> Part:
    return _judged(
        "sign_in",
        degraded=f"{issuers.silent} identity providers did not answer when they were last asked for their keys"
        if issuers.silent
        else "",
        advice="See the identity provider's own status; bursar doctor asks each. Known keys count for a day.",
        latency_s=latency_s,
        figures={"issuers": seldom.issuers, "asked": issuers.asked, "silent": issuers.silent},
    )


def _audit(seen: Standing) -> Part:
    unsealed_s = seen.seldom.unsealed_s
    return _judged(
        "audit",
        degraded=f"an audit record has waited {unsealed_s:.0f} s for its seal" if unsealed_s > UNSEALED_LATE_S else "",
        advice=_WORKERS,
        latency_s=seen.took.get("audit"),
        figures={"unsealed_s": unsealed_s},
    )


def _reconciliation(seen: Standing) -> Part:
    overdue = seen.seldom.not_reconciled
    return _judged(
        "reconciliation",
        degraded=f"{overdue} gateway accounts were not compared with their gateways for 26 hours" if overdue else "",
        advice="See the page Reconciliation for why; bursar reconcile does it now.",
        latency_s=seen.took.get("reconciliation"),
        figures={"overdue_accounts": overdue},
    )


def _backups(seen: Standing, settings: Settings) -> Part:
    return _judged(
        "backups",
        degraded=backups.complaint(seen.backups, settings),
        advice=backups.advice(seen.backups),
        note=backups.caution(seen.backups, settings)
        or ("" if seen.backups.is_wanted else "no backups are made: set BURSAR_BACKUP_STORE"),
        latency_s=seen.took.get("backups"),
        figures=seen.backups.figures,
    )


def _retention(seen: Standing) -> Part:
    return _judged(
        "retention",
        degraded=seen.seldom.retention,
        advice=retention_runs.ADVICE,
        latency_s=seen.took.get("retention"),
    )


def _figures(seldom: Seldom) -> Part:
    age_s = seldom.figures_age_s
    late = age_s is not None and age_s > FIGURES_LATE_S
    return _judged(
        "figures",
        degraded=f"the figures of the business are {age_s:.0f} s old" if late else "",
        advice=_WORKERS,
        note="not taken yet" if age_s is None else "",
        figures={} if age_s is None else {"age_s": age_s},
    )


def _alerts(seen: Standing) -> Part:
    watched_s, alerts = seen.seldom.watched_s, seen.seldom.alerts
    late = watched_s is not None and watched_s > WATCH_LATE_S
    figures: dict[str, float] = {
        f"open_{severity}": alerts.get(severity, 0) for severity in ("critical", "high", "medium", "low")
    }
    return _judged(
        "alerts",
        degraded=f"the rules of alerts were not looked at for {watched_s:.0f} s: what is wrong is not told"
        if late
        else "",
        advice=_WORKERS,
        note="not looked at yet" if watched_s is None else "",
        latency_s=seen.took.get("alerts"),
        figures=figures if watched_s is None else figures | {"watched_s": watched_s},
    )


def _disk(here: Machine) -> Part:
    said = f"{here.disk_free / 1e9:.2f} GB are free where the data directory is"
    return _judged(
        "disk",
        unhealthy=said if here.disk_free < DISK_FULL_BYTES else "",
        degraded=said if here.disk_free < DISK_LOW_BYTES else "",
        advice="Make room or a larger disk, at once: PostgreSQL stops when its log finds no room.",
        figures={"free_bytes": here.disk_free, "total_bytes": here.disk_total},
    )


def _memory(here: Machine) -> Part:
    if here.memory_available is None or not here.memory_total:
        return _judged("memory", note="this system does not tell")
    low = here.memory_available < MEMORY_LOW_SHARE * here.memory_total
    return _judged(
        "memory",
        degraded=f"{here.memory_available / 1e6:.0f} MB are left of {here.memory_total / 1e6:.0f}" if low else "",
        advice=_MEMORY_WHAT,
        figures={
            "available_bytes": here.memory_available,
            "total_bytes": here.memory_total,
            "own_bytes": here.own_memory or 0,
        },
    )


def _said(faults: dict[str, bool]) -> str:
    return "; ".join(text for text, is_so in faults.items() if is_so)
