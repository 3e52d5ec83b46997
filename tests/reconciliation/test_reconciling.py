"""What a gateway has is compared with what we were told, repaired where it can be, and explained where it cannot."""

from collections import Counter

import pytest
from outside import Killed
from planting import Planted

from bursar.money.gateways.calling import CredentialsRefused, GatewayRefused, NotSent
from bursar.money.gateways.calls import Kind
from bursar.money.reconciliation import GRACE, NothingOutside, ReconciliationRunning, Waiting, absent
from bursar.money.reconciliation.pages import take_page
from bursar.money.reconciliation.runs import RunMoved, run_of

pytestmark = pytest.mark.anyio


async def test_what_agrees_is_only_counted(scene):
    scene.outside.fill(20)
    await scene.stage.tell(*scene.outside.reports())

    run = await scene.reconcile()

    assert (run["state"], run["error"]) == ("done", None)
    assert run["objects"] == run["matched"] == scene.outside.count
    assert await scene.differences() == []
    assert await scene.stage.value("select count(*) from reconciliation_page") == 0


async def test_webhooks_that_were_never_sent_are_found_and_healed(scene):
    scene.outside.fill(20)

    run = await scene.reconcile()

    assert run["missing_here"] == 20 + 2 + 2 + 1
    assert {state for *_, state in await scene.differences()} == {"repaired"}
    assert await scene.stage.value("select count(*) from payment where status = 'succeeded'") == 20
    assert await scene.stage.value("select sum(refunded_minor) from payment") == 4000
    again = await scene.reconcile()
    assert (again["missing_here"], again["matched"]) == (0, scene.outside.count)
    assert len(await scene.differences()) == 25


async def test_each_planted_difference_is_found_and_nothing_else_twice_in_a_row(scene):
    scene.outside.fill(30)
    planted = Planted(scene.outside)
    await planted.plant(scene.stage, each=2)

    first = await scene.reconcile()
    second = await scene.reconcile()

    assert await scene.differences() == sorted(planted.differences)
    assert await scene.differences(second["id"]) == sorted(planted.standing)
    counts = Counter(found for _, _, found, _ in planted.differences)
    assert {name: first[name] for name in counts} == counts
    assert (
        first["matched"] + sum(counts.values()) - counts["missing_there"]
        == first["objects"]
        == scene.outside.count - 2 * 3
    )


async def test_a_run_that_is_killed_goes_on_where_it_was_and_nothing_counts_twice(scene):
    scene.outside.fill(230)
    planted = Planted(scene.outside)
    await planted.plant(scene.stage)
    run_id = await scene.begin()
    for killed_at in (1, 3, 4, 7):
        with pytest.raises(Killed):
            await scene.until_killed(run_id, page=killed_at)

    await scene.go_on(run_id)

    run = await scene.run(run_id)
    assert (run["state"], run["objects"]) == ("done", scene.outside.count - 3)
    assert await scene.differences() == sorted(planted.differences)
    assert await scene.stage.value("select count(*) from gateway_event where type = 'bursar.object_reported'") == sum(
        state == "repaired" for kind, _, _, state in planted.differences if kind != "balance_transaction"
    )
    listed = scene.outside.asked
    assert listed == run["pages"] + 4


async def test_of_two_workers_with_one_page_only_one_takes_it(scene):
    scene.outside.fill(10)
    run_id = await scene.begin()
    tenant_id = scene.stage.tenant_id
    async with scene.stage.db.tenant(tenant_id) as tx:
        run = await run_of(tx, tenant_id=tenant_id, run_id=run_id)
    page = await scene.listing.objects(Kind.payment, since=run.since, until=run.until, cursor=None)
    taken = {"tenant_id": tenant_id, "page": page, "now": scene.outside.now, "grace": GRACE}
    async with scene.stage.db.tenant(tenant_id) as tx:
        await take_page(tx, run, **taken)

    with pytest.raises(RunMoved):
        async with scene.stage.db.tenant(tenant_id) as tx:
            await take_page(tx, run, **taken)

    assert (await scene.run(run_id))["missing_here"] == 10
    assert len(await scene.differences()) == 10
    assert await scene.stage.value("select count(*) from gateway_event") == 10


async def test_a_report_under_way_is_no_difference_but_a_matter_of_time(scene):
    scene.outside.fill(10)
    await scene.stage.deliver(*scene.outside.reports())
    run_id = await scene.begin()
    reconciler = scene.reconciler()
    for _ in range(6):
        await reconciler.step(tenant_id=scene.stage.tenant_id, run_id=run_id)

    await scene.go_on(run_id)
    await scene.stage.apply()
    again = await scene.reconcile()

    run = await scene.run(run_id)
    assert (run["timing"], run["missing_here"]) == (13, 0)
    assert again["timing"] == 0
    assert {(state, found) for _, _, found, state in await scene.differences()} == {("closed", "timing")}


async def test_what_agrees_again_is_closed_by_the_next_run(scene):
    scene.outside.fill(10)
    await scene.stage.tell(*scene.outside.reports())
    lost = scene.outside.lose(Kind.payment, "pi_000004")
    await scene.reconcile()
    scene.outside.add(Kind.payment, lost)

    await scene.reconcile()

    assert await scene.differences() == [("payment", "pi_000004", "missing_there", "closed")]


async def test_more_missing_there_than_can_be_true_fails_the_run(scene, monkeypatch):
    monkeypatch.setattr(absent, "ABSENT_MAX", 5)
    scene.outside.fill(10)
    await scene.stage.tell(*scene.outside.reports())
    scene.outside.kept[Kind.payment].clear()
    scene.outside._sorted.clear()

    run = await scene.reconcile()

    assert run["state"] == "failed"
    assert "is the API key of this account" in run["error"]
    assert await scene.differences() == []


@pytest.mark.parametrize(
    "failure", [CredentialsRefused("the gateway refuses the key"), GatewayRefused("no such customer")]
)
async def test_a_gateway_that_says_no_ends_the_run_with_its_words(scene, failure):
    scene.listing.fails = [failure]

    run = await scene.reconcile()

    assert (run["state"], run["error"]) == ("failed", failure.message)


async def test_a_gateway_that_does_not_answer_opens_the_circuit_and_costs_nothing(scene):
    scene.outside.fill(5)
    run_id = await scene.begin()
    reconciler = scene.reconciler()
    step = {"tenant_id": scene.stage.tenant_id, "run_id": run_id}
    scene.listing.fails = [NotSent("the gateway was not reached") for _ in range(5)]
    for _ in range(5):
        with pytest.raises(NotSent):
            await reconciler.step(**step)

    waiting = await reconciler.step(**step)

    assert isinstance(waiting, Waiting)
    assert waiting.until is not None
    assert (scene.outside.asked, (await scene.run(run_id))["pages"]) == (0, 0)


async def test_one_run_of_an_account_at_a_time(scene):
    await scene.begin()

    with pytest.raises(ReconciliationRunning) as refusal:
        await scene.begin()

    assert refusal.value.code == "reconciliation_running"
    assert await scene.stage.value("select count(*) from reconciliation_run") == 1


async def test_money_at_the_desk_has_no_other_side(scene):
    await scene.stage.rows("update gateway_account set gateway = 'manual' where id = $1", scene.stage.account_id)

    with pytest.raises(NothingOutside) as refusal:
        await scene.begin()

    assert "Count the till" in refusal.value.hint
