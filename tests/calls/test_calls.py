"""Calls: asked once, sent as often as needed, done once; and shown where nobody can tell."""

import asyncio
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest

from bursar.kernel import ids
from bursar.money import calls
from bursar.money.calls.asking import CallKeyReused
from bursar.money.gateways.calling import (
    CallFailed,
    CredentialsRefused,
    GatewayBusy,
    GatewayRefused,
    NotSent,
    OutcomeUnknown,
    StillRunning,
)
from bursar.money.gateways.calls import CreateRefund
from calls.gateway_double import Desk
from stage import charge, event, intent, session, set_stage

pytestmark = pytest.mark.anyio


@pytest.fixture
async def desk(db, database_url) -> Desk:
    desk = await Desk.of(await set_stage(db, database_url))
    await desk.stage.tell(
        event("checkout.session.completed", session()),
        event("payment_intent.succeeded", intent()),
        event("charge.succeeded", charge()),
    )
    return desk


async def asked(desk: Desk, name: str = "a", amount: int = 100) -> UUID:
    refund = CreateRefund(refund=ids.show(ids.REFUND, UUID(int=7)), currency="EUR", payment="pi_1", amount_minor=amount)
    async with desk.stage.db.tenant(desk.stage.tenant_id) as tx:
        return await calls.ask(
            tx,
            tenant_id=desk.stage.tenant_id,
            account_id=desk.stage.account_id,
            call=refund,
            subject=name,
            key=name,
            actor="operator",
        )


async def of(desk: Desk, *columns: str) -> dict[str, Any]:
    return await desk.stage.row(f"select {', '.join(columns)} from gateway_call")


async def test_a_call_is_made_and_what_was_answered_is_reported(desk: Desk):
    call_id = await asked(desk)

    await desk.drain()
    await desk.stage.apply()

    made = desk.double.effects[ids.show(ids.GATEWAY_CALL, call_id)]
    assert await of(desk, "state", "attempts", "ref", "in_doubt") == {
        "state": "succeeded",
        "attempts": 1,
        "ref": made["id"],
        "in_doubt": False,
    }
    assert await desk.stage.value("select count(*) from job") == 0
    assert await desk.stage.row(
        "select type, origin from gateway_event where id = (select event_id from gateway_call)"
    ) == {
        "type": "bursar.object_reported",
        "origin": "operator",
    }
    assert await desk.stage.row("select status, amount_minor, gateway_ref from refund") == {
        "status": "succeeded",
        "amount_minor": 100,
        "gateway_ref": made["id"],
    }


async def test_whoever_does_not_want_to_wait_is_told_at_once(desk: Desk):
    call_id = await asked(desk)

    async with asyncio.timeout(5):
        state = await calls.waited(desk.stage.db, tenant_id=desk.stage.tenant_id, call_id=call_id, at_most=timedelta(0))

    assert state == "asked"


async def test_the_same_key_is_the_same_call_and_never_another(desk: Desk):
    first, again = await asked(desk), await asked(desk)

    with pytest.raises(CallKeyReused):
        await asked(desk, amount=200)
    await desk.drain()

    assert first == again
    assert len(desk.double.sent) == 1


@pytest.mark.parametrize(
    ("failure", "burned", "in_doubt"),
    [
        (GatewayBusy("too many requests", status=429), 0, False),
        (GatewayBusy("come later", after_s=30, status=503), 0, False),
        (CredentialsRefused("no such key", status=401), 0, False),
        (StillRunning("still there", status=409), 0, True),
        (NotSent("no connection"), 1, False),
        (OutcomeUnknown("no answer within 23 s"), 1, True),
        (OutcomeUnknown("server error", status=500), 1, True),
    ],
    ids=["busy", "told when", "credentials", "running", "not sent", "no answer", "500"],
)
async def test_what_failed_is_tried_again_with_the_same_key(
    desk: Desk, failure: CallFailed, burned: int, *, in_doubt: bool
):
    await asked(desk)
    desk.double.failures.append(failure)

    await desk.drain()
    after = await desk.stage.row("select attempts, state from job")
    told = await of(desk, "state", "in_doubt", "error_kind")
    await desk.live(minutes=20)

    assert after == {"attempts": burned, "state": "scheduled"}
    assert told == {"state": "asked", "in_doubt": in_doubt, "error_kind": failure.kind}
    assert await of(desk, "state", "attempts") == {"state": "succeeded", "attempts": 2}
    assert len({*desk.double.sent}) == len(desk.double.effects) == 1


async def test_a_lost_answer_is_asked_for_again_and_nothing_is_done_twice(desk: Desk):
    await asked(desk)
    desk.double.lost.extend([OutcomeUnknown("the connection was lost"), OutcomeUnknown("no answer")])

    await desk.live(minutes=5)

    assert await of(desk, "state", "attempts") == {"state": "succeeded", "attempts": 3}
    assert len(desk.double.effects) == 1


async def test_a_repeated_failure_of_the_gateway_is_looked_at_and_asked_with_a_new_key_only_if_nothing_was_done(
    desk: Desk,
):
    replayed = OutcomeUnknown("the stored failure of an earlier attempt", is_replayed=True, status=500)
    call_id = await asked(desk)
    desk.double.failures.extend([OutcomeUnknown("failed", status=500), replayed])

    await desk.live(minutes=5)

    own = ids.show(ids.GATEWAY_CALL, call_id)
    assert desk.double.sent == [own, own, f"{own}-2"]
    assert desk.double.looked == [own]
    assert list(desk.double.effects) == [f"{own}-2"]


async def test_a_repeated_failure_after_it_was_done_is_found(desk: Desk):
    replayed = OutcomeUnknown("the stored failure of an earlier attempt", is_replayed=True, status=500)
    call_id = await asked(desk)
    desk.double.lost.extend([OutcomeUnknown("failed", status=500), replayed])

    await desk.live(minutes=5)

    own = ids.show(ids.GATEWAY_CALL, call_id)
    assert (desk.double.sent, desk.double.looked) == ([own, own], [own])
    assert await of(desk, "state", "ref") == {"state": "succeeded", "ref": desk.double.effects[own]["id"]}


async def test_a_key_older_than_twenty_hours_is_not_repeated_before_looking(desk: Desk):
    await asked(desk)
    desk.double.lost.append(OutcomeUnknown("no answer"))
    await desk.drain()

    await desk.go(hours=20)
    await desk.drain()

    assert (len(desk.double.sent), len(desk.double.looked), len(desk.double.effects)) == (1, 1, 1)
    assert await of(desk, "state") == {"state": "succeeded"}


async def test_what_nobody_can_tell_is_shown_and_never_repeated_until_a_person_looks(desk: Desk):
    desk.double.repeats_safely_s, desk.double.can_look = None, False
    call_id = await asked(desk)
    desk.double.lost.append(OutcomeUnknown("no answer"))

    await desk.live(hours=3)
    told = await of(desk, "state", "attempts")
    desk.double.can_look = True
    async with desk.stage.db.tenant(desk.stage.tenant_id) as tx:
        await calls.look_again(tx, tenant_id=desk.stage.tenant_id, call_id=call_id, actor="operator")
    await desk.drain()

    assert told == {"state": "unknown", "attempts": 1}
    assert await of(desk, "state") == {"state": "succeeded"}
    assert len(desk.double.sent) == 1


async def test_a_refusal_is_an_outcome(desk: Desk):
    await asked(desk)
    desk.double.failures.append(GatewayRefused("already refunded", code="charge_already_refunded", status=400))

    await desk.drain()

    assert await of(desk, "state", "error_code", "error_message") == {
        "state": "refused",
        "error_code": "charge_already_refunded",
        "error_message": "already refunded",
    }
    assert await desk.stage.value("select count(*) from job") == 0


async def test_an_outage_of_two_hours_loses_nothing_burns_nothing_and_ends_without_a_herd(desk: Desk):
    for number in range(6):
        await asked(desk, f"call {number}")
    desk.double.down = NotSent("no connection")
    began = desk.clock.at

    await desk.live(minutes=1)
    since = await desk.stage.value("select since from circuit where state = 'open'")
    tried = len(desk.double.sent)
    await desk.live(hours=2, step_s=90)
    burned = await desk.stage.value("select max(attempts) from job")
    probes = len(desk.double.sent) - tried
    spread_s = await desk.stage.value("select extract(epoch from max(run_at) - min(run_at))::float8 from job")
    desk.double.down = None
    await desk.live(minutes=5)

    assert since - began <= timedelta(seconds=60)
    assert burned <= 1, "only attempts before the circuit opened count"
    assert 40 <= probes <= 130, "one probe a minute"
    assert len(desk.double.effects) == 6
    assert await desk.stage.value("select count(*) from gateway_call where state = 'succeeded'") == 6
    assert spread_s >= 0.2, "each waits for a time of its own"


async def test_a_worker_that_dies_between_two_lines_is_healed_by_the_next(desk: Desk):
    class Killed(BaseException):
        """As a signal that nobody catches."""

    await asked(desk)

    def die() -> None:
        raise Killed

    desk.double.before = die
    with pytest.raises((Killed, BaseExceptionGroup)):
        await desk.drain()
    desk.double.before = lambda: None
    async with desk.stage.db.tenant(desk.stage.tenant_id) as tx:
        await tx.execute("update job set run_at = clock_timestamp() where tenant_id = $1", desk.stage.tenant_id)
    await desk.drain()

    assert await of(desk, "state", "attempts") == {"state": "succeeded", "attempts": 2}
    assert len(desk.double.effects) == 1
