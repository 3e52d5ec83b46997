"""A way to pay that was detached keeps the customer that it had, whichever report came first and however it ends."""

from itertools import permutations

import pytest

from stage import event, set_stage

pytestmark = pytest.mark.anyio

T = 1_760_000_000
OWNER = """
select c.gateway_ref as owner, m.is_detached from payment_method m
left join customer c on c.tenant_id = m.tenant_id and c.id = m.customer_id
"""


def method(kind: str, at: int, customer: str | None) -> dict:
    told = {"id": "pm_1", "object": "payment_method", "type": "card", "customer": customer, "created": T}
    return event(f"payment_method.{kind}", told, at=at)


@pytest.mark.parametrize("at_once", [False, True], ids=["one by one", "at once"])
async def test_a_detached_method_that_names_nobody_belongs_to_its_last_customer_in_any_order(db, database_url, at_once):
    reports = [
        method("attached", T, "cus_ann"),
        method("detached", T + 5, None),
        method("attached", T + 9, "cus_bea"),
        method("detached", T + 12, None),
    ]
    seen = []

    for order in permutations(reports):
        stage = await set_stage(db, database_url)
        for part in [order] if at_once else [(report,) for report in order]:
            await stage.tell(*part)
        seen.append(await stage.row(OWNER))

    assert seen == [{"owner": "cus_bea", "is_detached": True}] * 24


async def test_a_method_of_which_only_the_detaching_was_told_belongs_to_nobody(db, database_url):
    stage = await set_stage(db, database_url)

    await stage.tell(method("detached", T, None))

    assert await stage.row(OWNER) == {"owner": None, "is_detached": True}
