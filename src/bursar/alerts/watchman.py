"""Tell of a database that does not answer, and of a watch that has stopped: without the database, by the settings' addresses.

All times here are of a clock that only goes forward.
"""

import asyncio
import time
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import asyncpg
import structlog

from bursar.alerts.models import What
from bursar.alerts.rules import BY_NAME
from bursar.alerts.sending import Notice, NoticeNotSent, send_to_any
from bursar.kernel import ids
from bursar.kernel.db import become_engine
from bursar.kernel.pauses import pause
from bursar.kernel.settings import Settings

EVERY_S: Final = 5.0
ANSWER_S: Final = 3.0
DOWN_S: Final = 15.0
"""Shorter than that is a restart."""
UNWATCHED_S: Final = 600.0
_AGAIN_S: Final = 30.0
"""After a notice that nobody took."""

Trouble = Literal["database_down", "unwatched"]

_LOOKS: Final = "select looks from alert_watch"
_log = structlog.get_logger("bursar.alerts")


@dataclass(frozen=True, slots=True)
class Standing:
    """What the watchman knows. since_s: when the trouble, if any, began. told: of which trouble people know. looks: as last seen."""

    trouble: Trouble | None = None
    since_s: float = 0.0
    told: Trouble | None = None
    told_s: float = 0.0
    looks: int | None = None
    moved_s: float = 0.0


@dataclass(frozen=True, slots=True)
class ToTell:
    """A notice that is due."""

    what: What
    trouble: Trouble
    lasted_s: float


def seen(before: Standing, *, looks: int | None, now_s: float, cool_down_s: float) -> tuple[Standing, ToTell | None]:
    """Return what is known after a question, and what is to be told. looks: how often rules were looked at; None: no answer. Pure."""
    trouble: Trouble | None
    if looks is None:
        trouble, after = "database_down", before
    else:
        has_moved = looks != before.looks or before.trouble == "database_down"
        after = replace(before, looks=looks, moved_s=now_s if has_moved else before.moved_s)
        trouble = "unwatched" if now_s - after.moved_s >= UNWATCHED_S else None
    if trouble != before.trouble:
        after = replace(after, trouble=trouble, since_s=now_s if trouble != "unwatched" else after.moved_s)
    if before.told is not None and trouble != before.told:
        return after, ToTell("resolved", before.told, now_s - before.since_s)
    lasted_s = now_s - after.since_s
    if trouble is None or (trouble == "database_down" and lasted_s < DOWN_S):
        return after, None
    if after.told is None:
        return after, ToTell("opened", trouble, lasted_s)
    return after, ToTell("reminded", trouble, lasted_s) if now_s - after.told_s >= cool_down_s else None


async def watch(settings: Settings, stopping: asyncio.Event, *, every_s: float = EVERY_S) -> None:
    """Ask the database again and again until told to stop; tell what is wrong to the first address that takes it."""
    known, quiet_until_s = Standing(moved_s=time.monotonic()), 0.0
    while not stopping.is_set():
        looks, now_s = await looks_of(settings.database_url), time.monotonic()
        after, due = seen(known, looks=looks, now_s=now_s, cool_down_s=settings.alert_cool_down_s)
        if due is not None and now_s >= quiet_until_s:
            if await _is_told(due, settings):
                told = None if due.what == "resolved" else due.trouble
                after = replace(after, told=told, told_s=now_s)
            else:
                quiet_until_s = now_s + _AGAIN_S
        known = after
        await pause(stopping, every_s)


async def looks_of(url: str) -> int | None:
    """Return how often rules were looked at, or None where the database does not answer in time."""
    try:
        async with asyncio.timeout(ANSWER_S):
            return await _asked(url)
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, TimeoutError) as error:
        _log.warning("alerts_database_silent", error=type(error).__name__)
        return None


async def _asked(url: str) -> int:
    connection: Any = await asyncpg.connect(
        url,
        timeout=ANSWER_S,
        server_settings={"statement_timeout": "5s", "lock_timeout": "5s", "idle_in_transaction_session_timeout": "5s"},
    )
    try:
        async with connection.transaction():
            await become_engine(connection)
            looks: int = await connection.fetchval(_LOOKS)
        return looks
    finally:
        connection.terminate()


async def _is_told(due: ToTell, settings: Settings) -> bool:
    try:
        way = await send_to_any(settings.alert_urls, notice_of(due, settings), settings=settings)
    except NoticeNotSent as error:
        _log.error("alert_not_told", trouble=due.trouble, failure=error.message)
        return False
    _log.warning("alert_told", trouble=due.trouble, what=due.what, way=way)
    return True


def notice_of(due: ToTell, settings: Settings) -> Notice:
    """Return what is told of a trouble."""
    rule = BY_NAME["database_down" if due.trouble == "database_down" else "clock_jumped"]
    is_down = due.trouble == "database_down"
    title = rule.title if is_down else "Nobody looks at the rules of alerts"
    stopped = "no worker has looked at the rules of alerts: what is wrong is not seen"
    if due.what == "resolved":
        detail = "The database answers again." if is_down else "The rules are looked at again."
    else:
        detail = f"For {due.lasted_s:.0f} s {'the database has not answered' if is_down else stopped}."
    return Notice(
        id=ids.show(ids.ALERT_NOTICE, ids.new()),
        what=due.what,
        alert=due.trouble,
        rule=rule.name,
        title=title,
        severity="critical",
        subject="",
        whose="the installation",
        value=f"{due.lasted_s:.0f} s",
        occurrences=1,
        detail=detail,
        advice=rule.advice if is_down else "See that bursar worker runs and what it logs.",
        runbook=rule.runbook,
        link=f"{settings.public_url}/operator/alerts" if settings.public_url else "",
        first_seen_at=f"{due.lasted_s:.0f} s ago",
    )
