"""How long answers to Idempotency-Keys are kept: the installation's numbers, and a tenant's own."""

import pytest

pytestmark = pytest.mark.anyio

PATH = "/v1/idempotency-retentions"
KEPT = "select extract(epoch from expires_at - answered_at)::int from idempotency_answer where key = $1"


def shown(answer) -> dict[str, tuple[int, bool]]:
    assert answer.status_code == 200, answer.text
    return {one["class"]: (one["seconds"], one["is_own"]) for one in answer.json()["retentions"]}


async def test_a_tenants_own_retention_counts_for_its_answers_from_then_on_and_for_nobody_elses(world):
    mine, theirs = world.mine, world.theirs
    await mine.post("/v1/products", {"name": "Before"}, once="before")

    answer = await mine.send("PUT", PATH, {"retentions": [{"class": "general", "seconds": 600}]})

    for caller in (mine, theirs):
        await caller.post("/v1/products", {"name": "After"}, once="after")
    assert shown(answer) == {
        "general": (600, True),
        "payment": (86_400, False),
        "checkout": (1800, False),
        "subscription_change": (3600, False),
    }
    assert shown(await mine.get(PATH)) == shown(answer)
    assert shown(await theirs.get(PATH))["general"] == (86_400, False)
    assert [await mine.stage.value(KEPT, key) for key in ("before", "after")] == [86_400, 600]
    assert await theirs.stage.value(KEPT, "after") == 86_400
    told = await mine.stage.value("select changes::text from audit_record where action = 'idempotency_retentions.set'")
    assert told == '{"after": {"general": 600}, "before": {}}'


async def test_what_is_not_named_has_the_installations_number_again(world):
    await world.mine.send("PUT", PATH, {"retentions": [{"class": "general", "seconds": 600}]})

    answer = await world.mine.send("PUT", PATH, {"retentions": [{"class": "checkout", "seconds": 60}]})

    assert shown(answer)["general"] == (86_400, False)
    assert shown(answer)["checkout"] == (60, True)


@pytest.mark.parametrize(
    ("retentions", "code"),
    [
        ([{"class": "general", "seconds": 59}], "invalid"),
        ([{"class": "general", "seconds": 2_592_001}], "invalid"),
        ([{"class": "other", "seconds": 600}], "invalid"),
        ([{"class": "general", "seconds": 600}, {"class": "general", "seconds": 700}], "idempotency_retention_twice"),
    ],
)
async def test_a_number_beyond_bounds_or_named_twice_is_refused_and_changes_nothing(world, retentions, code):
    answer = await world.mine.send("PUT", PATH, {"retentions": retentions})

    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert await world.mine.stage.value("select count(*) from idempotency_retention") == 0
