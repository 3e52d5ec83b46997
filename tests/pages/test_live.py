"""Live pages: a mark within a second, at most two a second, one stream of memory each, and an end with the process."""

import asyncio
import tracemalloc

import pytest
from visitors import Site
from watching import watching

from bursar.web.pages import marks as marks_module
from bursar.web.pages.marks import Marks
from stage import event, intent


async def test_a_new_event_is_marked_within_a_second(site: Site):
    async with watching(site.lived, site) as stream:
        await stream.mark(1, within_s=2)

        await asyncio.sleep(marks_module.POLL_S * 2)
        await site.lived.stage.deliver(event("payment_intent.succeeded", intent("live")))
        await stream.mark(2, within_s=1.1)

        await site.lived.stage.apply()
        await stream.mark(3, within_s=1.6)

    assert stream.headers["content-type"].startswith("text/event-stream")
    assert "pi_live" in await site.lived.page("/payments")


async def test_another_business_s_page_is_not_marked(site: Site):
    async with watching(site.lived, site) as mine, watching(site.empty, site) as theirs:
        await mine.mark(1, within_s=2)
        await theirs.mark(1, within_s=2)
        await asyncio.sleep(marks_module.POLL_S * 2)

        await site.lived.stage.deliver(event("payment_intent.succeeded", intent("live")))
        await mine.mark(2, within_s=1.1)
        await asyncio.sleep(marks_module.POLL_S)

    assert len(theirs.marks) == 1


async def test_a_storm_of_events_gives_at_most_two_marks_a_second(site: Site):
    async with watching(site.lived, site) as stream:
        await stream.mark(1, within_s=2)
        for n in range(40):
            await site.lived.stage.deliver(event("product.created", {"id": f"prod_{n}", "object": "product"}))
            await asyncio.sleep(0.05)

    pauses = [later - earlier for earlier, later in zip(stream.marks[1:], stream.marks[2:], strict=False)]
    assert len(stream.marks) >= 3
    assert min(pauses) > marks_module.PACE_S * 0.9


async def test_the_stream_ends_when_the_client_goes(site: Site):
    async with watching(site.lived, site) as stream:
        await stream.mark(1, within_s=2)
        assert site.app.api.state.pages_marks.pages == 1

    assert stream.is_over.is_set()
    assert site.app.api.state.pages_marks.pages == 0


async def test_the_stream_ends_when_the_process_stops(site: Site):
    async with watching(site.lived, site) as stream:
        await stream.mark(1, within_s=2)

        await site.app.api.state.pages_marks.close()

        await asyncio.wait_for(stream.is_over.wait(), 2)


async def test_a_stream_lives_no_longer_than_it_may(site: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(marks_module, "LIFE_S", 0.3)

    async with watching(site.lived, site) as stream:
        await asyncio.wait_for(stream.is_over.wait(), 3)


async def test_too_many_live_pages_are_told_to_come_later(site: Site, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(marks_module, "STREAMS_MAX", 1)

    async with watching(site.lived, site) as first:
        await first.mark(1, within_s=2)
        async with watching(site.lived, site) as second:
            await asyncio.wait_for(second.is_over.wait(), 2)

    assert (second.status, second.headers["retry-after"]) == (503, "30")


async def test_a_page_that_reads_nothing_costs_one_stream_whatever_happens(site: Site):
    """A thousand pages, a thousand changes: what is kept does not grow with the changes."""
    marks = Marks(site.app.resources)
    streams = [marks.stream(site.lived.stage.tenant_id) for _ in range(1000)]
    tracemalloc.start()
    for stream in streams:
        await anext(stream)
    opened, _ = tracemalloc.get_traced_memory()
    watched = marks._watched[site.lived.stage.tenant_id]
    for _ in range(1000):
        watched.mark()
    changed, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert opened / len(streams) < 8_000
    assert changed - opened < 50_000

    for stream in streams:
        await stream.aclose()
    await marks.close()
    assert marks.pages == 0


async def test_a_database_that_is_away_blinds_the_pages_and_does_not_end_them(
    site: Site, monkeypatch: pytest.MonkeyPatch
):
    async with watching(site.lived, site) as stream:
        await stream.mark(1, within_s=2)
        monkeypatch.setattr(marks_module, "_FAILED_S", 0.1)
        kept, site.app.resources._db = site.app.resources._db, None
        await asyncio.sleep(marks_module.POLL_S * 2)
        site.app.resources._db = kept

        await site.lived.stage.deliver(event("payment_intent.succeeded", intent("live")))
        await stream.mark(2, within_s=2)
