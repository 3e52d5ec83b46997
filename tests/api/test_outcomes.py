"""Answers that become final after the commit: 202 with an intent, 201 as soon as its outcome is known."""

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import APIRouter
from pydantic import BaseModel

from bursar.kernel import ids
from bursar.kernel.auth import Caller, CallerOf, TenantRoute, needs
from bursar.kernel.errors import Conflict

pytestmark = pytest.mark.anyio

later = APIRouter(prefix="/v1/later", route_class=TenantRoute)


class Thing(BaseModel):
    id: str
    said: str | None = None


class Outside:
    """What somebody outside says, when it says it. refused: its word is no."""

    def __init__(self) -> None:
        self.said: str | None = None
        self.is_refused = False
        self.asked: list[str] = []


OUTSIDE = Outside()


@pytest.fixture(autouse=True)
def outside() -> Iterator[Outside]:
    OUTSIDE.said, OUTSIDE.is_refused, OUTSIDE.asked = None, False, []
    yield OUTSIDE


async def _outcome(_caller: Caller, name: str) -> Thing | None:
    OUTSIDE.asked.append(name)
    if OUTSIDE.is_refused:
        raise Conflict("the outside said no")
    return Thing(id=name, said=OUTSIDE.said) if OUTSIDE.said else None


@later.post("/things", status_code=202)
@needs("catalog:write", outcome=_outcome)
async def _make(caller: CallerOf) -> Thing:
    made = ids.new()
    async with caller.transaction() as tx:
        await tx.execute("insert into product (tenant_id, id, name) values ($1, $2, 'intent')", caller.tenant_id, made)
    return Thing(id=ids.show(ids.PRODUCT, made))


@pytest.fixture
def mine(world) -> Any:
    world.app.api.include_router(later)
    return world.mine


async def made(caller: Any) -> int:
    return await caller.stage.value("select count(*) from product where name = 'intent'")


async def test_an_outcome_that_comes_in_time_is_the_answer(mine, outside):
    outside.said = "done"

    answer = await mine.post("/v1/later/things")

    assert (answer.status_code, answer.json()["said"]) == (201, "done")
    assert await made(mine) == 1


async def test_without_an_outcome_the_intent_is_the_answer_and_says_when_to_ask_again(mine):
    answer = await mine.post("/v1/later/things")

    assert (answer.status_code, answer.json()["said"], answer.headers["retry-after"]) == (202, None, "2")


async def test_a_repetition_tells_the_outcome_of_the_first_intent_and_makes_no_second(mine, outside):
    first = await mine.post("/v1/later/things", once="k")
    outside.said = "done"
    second = await mine.post("/v1/later/things", once="k")
    outside.said = "said otherwise now"
    third = await mine.post("/v1/later/things", once="k")

    assert [answer.status_code for answer in (first, second, third)] == [202, 201, 201]
    assert second.json() == {"id": first.json()["id"], "said": "done"}
    assert third.content == second.content
    assert third.headers["idempotency-replayed"] == "true"
    assert await made(mine) == 1


async def test_a_refusal_outside_is_told_again_to_each_repetition(mine, outside):
    outside.is_refused = True

    answers = [await mine.post("/v1/later/things", once="k") for _ in range(2)]

    assert [answer.status_code for answer in answers] == [409, 409]
    assert outside.asked[0] == outside.asked[1]
    assert await made(mine) == 1
