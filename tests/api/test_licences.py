"""Licence keys over HTTP: validated, activated up to a limit whatever the race, deactivated."""

import asyncio

import pytest

from stage import event, refund, session

pytestmark = pytest.mark.anyio


@pytest.fixture
async def licence(world) -> dict:
    """A licence with three activations."""
    await world.mine.stage.tell(
        event("checkout.session.completed", session(metadata={"bursar_price": "course"}, amount_total=9900))
    )
    return await world.mine.one("/v1/licences")


async def activate(caller, key: str, fingerprint: str):
    return await caller.post("/v1/licence-activations", {"key": key, "fingerprint": fingerprint})


async def test_twenty_devices_at_once_on_three_activations_give_exactly_three(world, licence):
    answers = await asyncio.gather(*(activate(world.mine, licence["key"], f"device-{n}") for n in range(20)))

    assert sorted(a.status_code for a in answers) == [201] * 3 + [409] * 17
    assert {a.json()["code"] for a in answers if a.status_code == 409} == {"activation_limit_reached"}
    assert (await world.mine.one("/v1/licences"))["activations"] == 3


async def test_the_same_device_at_once_counts_once(world, licence):
    answers = await asyncio.gather(*(activate(world.mine, licence["key"], "device-1") for _ in range(10)))

    assert {a.status_code for a in answers} == {201}
    assert (await world.mine.one("/v1/licences"))["activations"] == 1


async def test_a_deactivated_device_makes_room(world, licence):
    for n in range(3):
        await activate(world.mine, licence["key"], f"device-{n}")

    full = await activate(world.mine, licence["key"], "device-3")
    out = await world.mine.post("/v1/licence-deactivations", {"key": licence["key"], "fingerprint": "device-0"})
    free = await activate(world.mine, licence["key"], "device-3")
    again = await world.mine.post("/v1/licence-deactivations", {"key": licence["key"], "fingerprint": "device-0"})

    assert (full.status_code, out.status_code, free.status_code) == (409, 201, 201)
    assert out.json()["activations"] == 2
    assert (again.status_code, again.json()["code"]) == (404, "activation_not_found")


async def test_a_key_is_valid_until_its_money_goes_back(world, licence):
    good = await world.mine.post("/v1/licence-validations", {"key": licence["key"].lower()})
    await world.mine.stage.tell(event("refund.created", refund(amount=9900)))
    gone = await world.mine.post("/v1/licence-validations", {"key": licence["key"]})
    refused = await activate(world.mine, licence["key"], "device-1")

    assert (good.status_code, good.json()["valid"], good.json()["code"]) == (200, True, "valid")
    assert good.json()["licence"] == licence
    assert (gone.status_code, gone.json()["valid"], gone.json()["code"]) == (200, False, "licence_revoked")
    assert (refused.status_code, refused.json()["code"]) == (409, "licence_not_usable")


async def test_an_unknown_key_is_not_valid_and_nobody_elses_is_known(world, licence):
    unknown = await world.mine.post("/v1/licence-validations", {"key": "AAAA-BBBB-CCCC-DDDD"})
    foreign = await world.theirs.post("/v1/licence-validations", {"key": licence["key"]})

    for answer in (unknown, foreign):
        assert answer.status_code == 200
        assert answer.json() == {"valid": False, "code": "licence_not_found", "licence": None}
