"""Answers are lost, workers are killed, and what was asked is done once. `bursar bench calls` runs the same with 2,000."""

import sys
from pathlib import Path

import pytest

from serving import KEY
from stage import set_stage

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.calls import Scene, run

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(("keys", "is_exact"), [("fixed", True), ("fresh", False)])
async def test_what_is_asked_is_done_once_and_not_with_a_fresh_key_for_each_attempt(
    db, database_url: str, keys: str, *, is_exact: bool
):
    stage = await set_stage(db, database_url)

    told = await run(
        Scene(database_url, KEY, stage.tenant_id, stage.account_id), intents=60, kills=2, keys=keys, seed=7
    )

    assert (told["effects_twice"] == 0) == is_exact
    assert (told["effects_missing"], told["killed"]) == (0, 2)
    assert told["calls"] > told["intents"]
    assert told["unexplained"] == 0 or not is_exact
