"""A database that does not answer is told without it, once in a cool-down, by a clock that only goes forward."""

import asyncio
from dataclasses import replace

import pytest

from alerts.receiving import dead_url, receiving
from bursar.alerts import watchman
from bursar.alerts.watchman import Standing, ToTell, seen
from bursar.kernel.settings import Settings

pytestmark = pytest.mark.anyio


def _told(answers: list[int | None], *, every_s: float = 5, cool_down_s: float = 60) -> list[tuple[float, str, str]]:
    """Return what is told, and when, where every notice is taken."""
    known, told = Standing(looks=0), []
    for number, looks in enumerate(answers):
        now_s = number * every_s
        known, due = seen(known, looks=looks, now_s=now_s, cool_down_s=cool_down_s)
        if due:
            told.append((now_s, due.what, due.trouble))
            known = replace(known, told=None if due.what == "resolved" else due.trouble, told_s=now_s)
    return told


def test_a_restart_is_not_told_and_an_outage_is_told_once_in_a_cool_down():
    assert _told([1, None, None, 2, 3]) == []
    assert _told([1, *[None] * 18, 2, 3]) == [
        (20, "opened", "database_down"),
        (80, "reminded", "database_down"),
        (95, "resolved", "database_down"),
    ]


def test_a_watch_that_has_stopped_is_told():
    told = _told([5] * 130 + [6, 7], cool_down_s=10_000)

    assert told == [(600, "opened", "unwatched"), (650, "resolved", "unwatched")]


def test_a_notice_that_nobody_took_stays_due():
    known = Standing(looks=1)
    for now_s in (0, 5, 20, 25):
        known, due = seen(known, looks=None, now_s=now_s, cool_down_s=60)

    assert due == ToTell("opened", "database_down", 25)


async def test_the_real_server_is_stopped_and_started_again(own_cluster, monkeypatch):
    monkeypatch.setattr(watchman, "DOWN_S", 0.3)
    stopping = asyncio.Event()

    async def until(condition) -> None:
        async with asyncio.timeout(60):
            while not condition():
                await asyncio.sleep(0.05)

    async def answers(_: str) -> int | None:
        try:
            async with asyncio.timeout(3):
                connection = await watchman.asyncpg.connect(own_cluster.admin_url, timeout=3)
                await connection.close()
        except (OSError, TimeoutError, watchman.asyncpg.PostgresError):
            return None
        return 1

    monkeypatch.setattr(watchman, "looks_of", answers)  # this server has no schema to look into
    async with receiving() as receiver:
        urls = f"{dead_url()} {receiver.url}"
        settings = Settings(database_url=own_cluster.admin_url, alert_urls=urls)
        task = asyncio.create_task(watchman.watch(settings, stopping, every_s=0.1))
        await asyncio.to_thread(own_cluster.stop, "immediate")
        await until(lambda: receiver.told("opened"))
        await asyncio.to_thread(own_cluster.start)
        await until(lambda: receiver.told("resolved"))
        stopping.set()
        await task

    assert [body["what"] for body in receiver.taken] == ["opened", "resolved"]
    assert receiver.taken[0]["title"] == "The database does not answer"
    assert receiver.taken[0]["severity"] == "critical"


async def test_the_question_is_how_often_rules_were_looked_at(database_url):
    assert await watchman.looks_of(database_url) == 0
    assert await watchman.looks_of("postgresql://x:y@127.0.0.1:1/z") is None
