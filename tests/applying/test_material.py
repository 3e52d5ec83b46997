"""Other people's events, whole: none fails that has its fields, unknown types are ignored, payments grant once."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from stage import set_stage

pytestmark = pytest.mark.anyio

MATERIAL = Path(os.environ.get("BURSAR_MATERIAL", Path(__file__).parents[3] / "shared" / "material"))
needs_material = pytest.mark.skipif(not MATERIAL.is_dir(), reason=f"no folder of others' inputs at {MATERIAL}")


def stripe_events() -> list[dict]:
    found = []
    for path in sorted((MATERIAL / "stripe" / "events").rglob("*.json")):
        body = json.loads(path.read_text())
        if body.get("object") == "event" and "type" in body:
            found.append(body | {"id": f"evt_{len(found):05d}", "created": 1_760_000_000 + len(found)})
    return found


def dodo_events() -> list[dict]:
    paths = sorted((MATERIAL / "dodo" / "events").rglob("*.json"))
    return [json.loads(path.read_text()) for path in paths]


@needs_material
async def test_every_stripe_event_is_applied_or_ignored(db, database_url):
    stage = await set_stage(db, database_url)
    events = stripe_events()

    await stage.deliver(*events)
    await stage.apply()

    failed = await stage.rows(
        "select e.type, a.error from gateway_event_attempt a join gateway_event e on e.id = a.event_id"
    )
    outcomes = Counter(row["outcome"] for row in await stage.rows("select outcome from gateway_event_outcome"))
    assert failed == []
    assert sum(outcomes.values()) == len(events)


@needs_material
async def test_every_dodo_event_is_applied_or_ignored(db, database_url):
    stage = await set_stage(db, database_url, gateway="dodo")

    for number, each in enumerate(dodo_events()):
        if "type" in each:
            await stage.deliver(each, headers={"webhook-id": f"msg_{number}"})
    await stage.apply()

    failed = await stage.rows(
        "select e.type, a.error from gateway_event_attempt a join gateway_event e on e.id = a.event_id"
    )
    # Their own SDK's test bodies say "amount": "amount" and "currency": "currency", and are still read.
    assert failed == []
    assert await stage.value("select count(*) from gateway_event_outcome where outcome = 'applied'") > 30
