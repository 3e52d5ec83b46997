"""Copies that callers keep: a 304 while nothing changed, and the new answer right after a write, whichever process wrote."""

import pytest

from api.conftest import Caller, World, running
from bursar.kernel import ids
from stage import event, refund

pytestmark = pytest.mark.anyio


async def asked(caller: Caller, path: str, etag: str | None = None):
    headers = caller.headers | ({"if-none-match": etag} if etag else {})
    return await caller.http.get(path, headers=headers)


async def kept(caller: Caller) -> dict[str, str]:
    """Return the paths of what may be kept, each with the tag of its answer."""
    payment = (await caller.one("/v1/payments", gateway_ref="pi_1"))["id"]
    price = (await caller.data("/v1/prices"))[0]
    paths = (
        f"/v1/payments/{payment}",
        "/v1/products",
        "/v1/prices",
        f"/v1/prices/{price['id']}",
        f"/v1/products/{price['product']}",
    )
    return {path: (await asked(caller, path)).headers["etag"] for path in paths}


async def test_an_unchanged_answer_is_not_told_again(lived_world: World):
    for path, etag in (await kept(lived_world.mine)).items():
        for told in (etag, f"W/{etag}", f'"other", {etag}', "*"):
            again = await asked(lived_world.mine, path, told)

            assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", etag), (path, told)
            assert again.headers["cache-control"] == "private, no-cache"
        assert (await asked(lived_world.mine, path, '"other"')).status_code == 200


async def test_a_write_is_seen_by_the_next_request_of_every_process(lived_world: World, database_url: str):
    mine = lived_world.mine
    before = await kept(mine)
    payment, prices = (path for path in before if "/payments/" in path or path == "/v1/prices")
    async with running(database_url) as (_, http):
        other = Caller(mine.stage, mine.key, http)
        assert (await asked(other, payment, before[payment])).status_code == 304

        await mine.stage.tell(event("refund.created", refund("fresh", amount=100)))
        product = (await mine.data("/v1/products"))[0]["id"]
        await mine.post("/v1/prices", {"product": product, "lookup_key": "fresh", "amount_minor": 1, "currency": "EUR"})

        for caller in (mine, other):
            changed = await asked(caller, payment, before[payment])
            assert (changed.status_code, changed.json()["refunded_minor"]) == (200, 2600)
            assert (await asked(caller, prices, before[prices])).status_code == 200


async def test_a_tag_opens_nothing_that_is_not_ones_own(lived_world: World):
    for path, etag in (await kept(lived_world.mine)).items():
        if path.count("/") == 3:
            answer = await asked(lived_world.theirs, path, etag)

            assert (answer.status_code, "etag" in answer.headers) == (404, False)
            assert answer.headers["cache-control"] == "no-store"
    unknown = await asked(lived_world.mine, f"/v1/payments/{ids.show(ids.PAYMENT, ids.new())}", "*")
    assert unknown.status_code == 404
