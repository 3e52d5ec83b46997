"""The rehearsal of a studio: nothing is broken by it, the same seed is the same rehearsal, and a rule that is broken is found.

`BURSAR_TEST_SEEDS=50` rehearses more of them.
"""

import os

import pytest

from bursar.bootstrap import registry
from bursar.kernel.db import Database
from bursar.kernel.seal import Seal
from bursar.operations.rehearsal import CONTROLS, Rehearsed, broken_by, rehearse
from bursar.operations.simulate.sabotage import prepare
from serving import KEY

pytestmark = pytest.mark.anyio

SEEDS = int(os.environ.get("BURSAR_TEST_SEEDS", "1"))
_REACHED = """
select array_agg(distinct b.status) as bookings, (select array_agg(distinct status) from waitlist_entry) as entries,
  (select array_agg(distinct status) from seat_payment) as payments, count(*) filter (where moves > 0) as moved,
  count(*) filter (where kind = 'service') as appointments
from booking b
"""


async def played(db: Database, *, seed: int = 1, acts: int) -> Rehearsed:
    return await rehearse(db, seed=seed, acts=acts, seal=Seal(KEY), registry=registry())


@pytest.mark.parametrize("seed", range(1, SEEDS + 1))
async def test_nothing_is_broken_after_any_act_and_everything_comes_to_an_end(db, seed):
    done = await played(db, seed=seed, acts=250)

    assert done.broken == {}, done.lines[-3:]
    assert done.steps == 250
    assert set(done.deaths) == {"before the commit", "after the commit"}
    assert done.deliveries["repeats"] > 20


async def test_it_comes_to_whatever_may_become_of_a_booking_and_the_same_seed_is_the_same_rehearsal(db):
    one = await played(db, seed=3, acts=250)
    async with db.engine() as tx:
        tenant_id = await tx.fetchval("select tenant_id from tenant")
    async with db.tenant(tenant_id) as tx:
        reached = dict(await tx.fetchrow(_REACHED))
    again = await played(db, seed=3, acts=60)
    other = await played(db, seed=4, acts=60)

    assert {"booked", "attended", "no_show", "cancelled", "late_cancelled", "expired"} <= set(reached["bookings"])
    assert {"promoted", "left", "closed"} <= set(reached["entries"])
    assert {"seated", "released"} <= set(reached["payments"])
    assert min(reached["moved"], reached["appointments"]) > 0
    assert one.lines[:60] == again.lines
    assert other.trace != again.trace


FINDS = {
    "no-seat-guard": "seats_counted_are_seats_booked",
    "late-money-kept": "money_for_seats_is_seated_or_returns",
    "credits-kept": "credits_spent_are_of_bookings",
}


@pytest.mark.parametrize("name", CONTROLS)
async def test_a_rule_that_is_broken_on_purpose_is_found_at_the_act_that_breaks_it(db, admin_url, name):
    control = CONTROLS[name]
    await prepare(admin_url, control.statements)

    with broken_by(control):
        done = await played(db, acts=300)

    assert list(done.broken) == [FINDS[name]]
    assert (done.steps < 300, done.ok) == (True, False)
