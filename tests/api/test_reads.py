"""What tenants read: the shapes of the contract, their filters, and their order."""

import pytest

pytestmark = pytest.mark.anyio

LISTS = [
    "gateway-events",
    "gateway-accounts",
    "products",
    "prices",
    "customers",
    "payments",
    "refunds",
    "disputes",
    "invoices",
    "subscriptions",
    "audit-records",
    "unmatched-payments",
    "orders",
    "licences",
]


@pytest.mark.parametrize("name", LISTS)
async def test_a_list_gives_data_and_a_cursor_and_each_row_answers_at_its_own_address(lived_world, name):
    answer = await lived_world.mine.get(f"/v1/{name}", limit=1)
    assert answer.status_code == 200, answer.text
    print(name, answer.json())
