"""Retries wait exponentially longer, spread, and no more of them begin in a minute than the budget allows."""

import pytest

from api.conftest import running
from api.operations import given_up
from bursar.kernel import ids
from bursar.kernel.jobs.backoff import Backoff, Budget
from stage import set_stage


@pytest.mark.parametrize(("attempt", "longest"), [(1, 2), (2, 4), (5, 32), (11, 2048), (12, 3600), (1000, 3600)])
def test_a_wait_grows_to_its_bound_and_is_spread_over_its_upper_half(attempt, longest):
    assert Backoff().after_s(attempt, spread=1) == longest
    assert Backoff().after_s(attempt, spread=0) == longest / 2


def test_a_minutes_worth_of_retries_comes_at_once_and_the_rest_one_after_another():
    budget, tenant = Budget(), ids.new()

    waits = [
        budget.wait_s(tenant, "tests.call", wanted_s=2, wait_max_s=3600, per_minute=60, now_s=1000) for _ in range(200)
    ]

    assert waits[:60] == [2] * 60
    assert waits[60:] == [2 + n for n in range(1, 141)]


def test_one_tenants_failures_do_not_spend_anothers_budget_and_a_minute_refills_it():
    budget, tenant = Budget(), ids.new()
    given = {"wanted_s": 2, "wait_max_s": 3600, "per_minute": 60}
    for _ in range(60):
        budget.wait_s(tenant, "tests.call", now_s=1000, **given)

    assert budget.wait_s(tenant, "tests.call", now_s=1000, **given) == 3
    assert budget.wait_s(ids.new(), "tests.call", now_s=1000, **given) == 2
    assert budget.wait_s(tenant, "tests.other", now_s=1000, **given) == 2
    assert budget.wait_s(tenant, "tests.call", now_s=1070, **given) == 2


def test_a_wait_has_an_end_however_many_fail():
    budget, tenant = Budget(), ids.new()

    waits = [
        budget.wait_s(tenant, "tests.call", wanted_s=2, wait_max_s=100, per_minute=60, now_s=0) for _ in range(1000)
    ]

    assert max(waits) == 102


@pytest.mark.anyio
async def test_the_figures_count_jobs_by_known_kinds_and_states_only(db, database_url):
    await given_up(await set_stage(db, database_url))

    async with running(database_url) as (_, http):
        figures = (await http.get("/metrics")).text

    assert 'bursar_jobs{kind="other",state="dead"} 1.0' in figures
    assert "tests.give_up" not in figures
    assert "bursar_jobs_oldest_seconds 0.0" in figures
