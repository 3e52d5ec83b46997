"""Any order and any repetition of what a gateway told ends in the same state: the whole of it, on PostgreSQL."""

from random import Random

import pytest
from histories import HISTORIES
from scene import batches, broken, checked, connected, difference, play, play_calmly

from bursar.operations.fingerprint import fingerprint

pytestmark = pytest.mark.anyio

ORDERS = 12
"""Of each history, 204 in all. The rules of merging are tried in tens of thousands, in memory; this is for their statements."""


@pytest.mark.parametrize("history", HISTORIES, ids=lambda history: history.name)
async def test_any_order_and_repetition_has_the_same_fingerprint(db, database_url, history):
    random = Random(history.name)
    length = len(history.events)
    async with connected(database_url) as connection:
        calm = await play_calmly(db, database_url, history)
        expected = await fingerprint(connection, calm.tenant_id)
        assert broken(await checked(connection, calm)) == {}

        for _ in range(ORDERS):
            order = [*range(length), *random.choices(range(length), k=random.randint(0, 4))]
            random.shuffle(order)
            parts = list(batches(order, random))
            other = await play(db, database_url, history, parts)

            found = expected.differing(await fingerprint(connection, other.tenant_id))
            assert found == [], (parts, await difference(connection, calm, other, found))
            assert broken(await checked(connection, other)) == {}, parts


async def test_a_replay_of_everything_changes_nothing(db, database_url):
    history = HISTORIES[3]
    once = [[index] for index in range(len(history.events))]
    async with connected(database_url) as connection:
        calm = await play(db, database_url, history, once)
        again = await play(db, database_url, history, [*once, *once, [*range(len(history.events))]])

        assert (await fingerprint(connection, calm.tenant_id)) == (await fingerprint(connection, again.tenant_id))
        assert broken(await checked(connection, again)) == {}
