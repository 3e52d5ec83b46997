"""Gateway events: where each stands, why, and once more."""

from datetime import UTC, datetime, timedelta

import pytest

from bursar.kernel import ids
from bursar.money.intake.filing import Filing, file_events
from stage import event, intent, session

pytestmark = pytest.mark.anyio


async def states(caller) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in await caller.data("/v1/gateway-events"):
        found.setdefault(row["status"], []).append(row["gateway_event_id"])
    return found


@pytest.fixture
async def every_state(world):
    """One event in each state, named after it."""
    stage = world.mine.stage
    await stage.tell(event("checkout.session.completed", session(), id="evt_applied"))
    await stage.tell(event("product.created", {"id": "prod_1"}, id="evt_ignored"))
    await stage.deliver(event("charge.succeeded", {"id": "ch_1"}, id="evt_dead"))
    await stage.apply(retries_max=1)
    await stage.deliver(event("charge.succeeded", {"id": "ch_2"}, id="evt_failed"))
    await stage.apply()
    await stage.deliver(event("payment_intent.succeeded", intent(), id="evt_received"))
    return world.mine


@pytest.mark.parametrize("status", ["received", "applied", "ignored", "failed", "dead"])
async def test_each_state_lists_its_own_events(every_state, status):
    row = await every_state.one("/v1/gateway-events", status=status)

    assert row["gateway_event_id"] == f"evt_{status}"
    assert row["status"] == status
    assert (row["error"] is None) == (status in ("received", "applied", "ignored"))
    assert (row["retry_at"] is not None) == (status == "failed")
    assert (row["applied_at"] is not None) == (status == "applied")
    assert row["attempts"] == (0 if status == "received" else 1)


async def test_an_event_is_found_by_our_id_and_by_the_gateways(every_state):
    by_theirs = (await every_state.get("/v1/gateway-events/evt_dead")).json()
    by_ours = (await every_state.get(f"/v1/gateway-events/{by_theirs['id']}")).json()

    assert by_theirs == by_ours
    assert [f["error"] for f in by_ours["failures"]] == [by_ours["error"]]
    assert by_ours["error"].startswith("data.object.")
    assert by_ours["outcomes"] == []


async def test_the_raw_body_is_given_as_it_was_signed(every_state):
    answer = await every_state.get("/v1/gateway-events/evt_dead/body")

    assert answer.json()["id"] == "evt_dead"
    assert answer.headers["content-type"] == "application/json"
    stored = await every_state.stage.row(
        "select b.body from gateway_event e join gateway_event_body b on b.event_id = e.id where gateway_event_id = 'evt_dead'"
    )
    assert answer.content == stored["body"]


async def test_filters_by_type_account_and_time_of_receipt(every_state):
    account = (await every_state.one("/v1/gateway-accounts"))["id"]
    now = datetime.now(UTC)

    by_type = await every_state.data("/v1/gateway-events", type="charge.succeeded")
    by_account = await every_state.data("/v1/gateway-events", gateway_account=account)
    lately = await every_state.data("/v1/gateway-events", since=(now - timedelta(hours=1)).isoformat())
    before = await every_state.data("/v1/gateway-events", until=(now - timedelta(hours=1)).isoformat())
    later = await every_state.data("/v1/gateway-events", since=(now + timedelta(hours=1)).isoformat())

    assert [row["gateway_event_id"] for row in by_type] == ["evt_failed", "evt_dead"]
    assert len(by_account) == len(lately) == 5
    assert before == later == []


async def test_a_dead_event_is_queued_again_and_the_replay_is_told(every_state):
    answer = await every_state.post("/v1/gateway-events/evt_dead/replays", {"reason": "the mapping was fixed"})

    assert (answer.status_code, answer.json()) == (202, {"events": 1})
    assert (await states(every_state))["received"] == ["evt_received", "evt_dead"]
    record = await every_state.one("/v1/audit-records", action="events.replayed")
    assert record["changes"] == {"events": 1, "reason": "the mapping was fixed"}
    assert await every_state.stage.value("select reason from gateway_event_replay") == "the mapping was fixed"


async def test_an_applied_event_replayed_grants_nothing_more(every_state):
    answer = await every_state.post("/v1/gateway-events/evt_applied/replays")
    await every_state.stage.apply()

    assert answer.status_code == 202
    assert await every_state.stage.value("select count(*) from credit_lot") == 1
    story = (await every_state.get("/v1/gateway-events/evt_applied")).json()
    assert [(o["run"], o["outcome"]) for o in story["outcomes"]] == [(1, "applied"), (0, "applied")]
    assert story["status"] == "applied"


@pytest.mark.parametrize(
    ("wanted", "count"),
    [
        ({"status": "dead"}, 1),
        ({"status": "failed"}, 1),
        ({"type": "charge.succeeded"}, 2),
        ({}, 5),
        ({"until": "2020-01-01T00:00:00Z"}, 0),
    ],
)
async def test_every_event_that_matches_is_replayed(every_state, wanted, count):
    answer = await every_state.post("/v1/gateway-event-replays", {"filter": wanted, "reason": "after the fix"})

    assert (answer.status_code, answer.json()) == (202, {"events": count})
    assert (await every_state.one("/v1/audit-records", action="events.replayed"))["changes"]["filter"] == wanted


async def test_a_replay_needs_a_filter_so_that_everything_is_never_meant_by_accident(every_state):
    answer = await every_state.post("/v1/gateway-event-replays", {"reason": "x"})

    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "filter"


async def test_an_unreadable_event_cannot_be_replayed(world):
    stage = world.mine.stage
    filing = Filing(
        ids.new(),
        stage.tenant_id,
        stage.account_id,
        "sha256:1",
        "unparseable",
        "gateway",
        datetime.now(UTC),
        {},
        b"\xff{",
        "no event",
    )
    async with stage.db.engine() as tx:
        await file_events(tx, [filing])

    answer = await world.mine.post("/v1/gateway-events/sha256:1/replays")
    body = await world.mine.get("/v1/gateway-events/sha256:1/body")

    assert (answer.status_code, answer.json()["code"]) == (409, "gateway_event_not_replayable")
    assert (body.content, body.headers["content-type"]) == (b"\xff{", "application/octet-stream")
