"""Other people's events, all in one tenant, shuffled: objects that share ids and contradict each other still end alike."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from random import Random

import pytest
from histories import History, Told
from scene import batches, broken, checked, connected, difference, play, play_calmly

from bursar.operations.fingerprint import fingerprint

pytestmark = pytest.mark.anyio

MATERIAL = Path(os.environ.get("BURSAR_MATERIAL", Path(__file__).parents[3] / "shared" / "material"))
needs_material = pytest.mark.skipif(not MATERIAL.is_dir(), reason=f"no folder of others' inputs at {MATERIAL}")
ORDERS = 6


def history_of(gateway: str) -> History:
    bodies = [json.loads(path.read_text()) for path in sorted((MATERIAL / gateway / "events").rglob("*.json"))]
    told = [body for body in bodies if isinstance(body.get("type"), str)]
    # Their times are those of fixtures; ours rise, a few events to each second, so that ties are among them.
    return History(
        f"everything of {gateway}",
        gateway,
        tuple(
            Told(body["type"], datetime.fromtimestamp(1_760_000_000 + n // 3, UTC), body) for n, body in enumerate(told)
        ),
    )


@needs_material
@pytest.mark.parametrize("gateway", ["stripe", "dodo"])
async def test_other_peoples_events_end_alike_in_any_order_and_break_nothing(db, database_url, gateway):
    history = history_of(gateway)
    random = Random(gateway)
    async with connected(database_url) as connection:
        calm = await play_calmly(db, database_url, history)
        expected = await fingerprint(connection, calm.tenant_id)
        assert broken(await checked(connection, calm)) == {}

        for number in range(ORDERS):
            order = random.sample(range(len(history.events)), len(history.events))
            parts = (
                list(batches(order, random)) if number % 2 else [order[at : at + 40] for at in range(0, len(order), 40)]
            )
            other = await play(db, database_url, history, parts)

            found = expected.differing(await fingerprint(connection, other.tenant_id))
            assert found == [], await difference(connection, calm, other, found)
            assert broken(await checked(connection, other)) == {}
