"""JSON that no gateway promised: any value where any other is expected."""

import math
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st

KEYS = """
    id data object amount currency status customer metadata refunds lines items price period charge dispute payments
    parent total quantity payment_id total_amount product_cart subscription_id dispute_id refund_id method ref mode
    type kind reason payment_status payment_intent invoice subscription latest_charge last_payment_error captured paid
    charge_type dispute_status dispute_stage service_periods proration_factor recurring source balance_transactions
    evidence_details card customer_details email created created_at status_transitions pause_collection
""".split()  # noqa: SIM905
WORDS = ["usd", "jpy", "in_1", "succeeded", "paid", "active", "2026-01-01T00:00:00Z", "ord_1", "\ud800", "x\x00"]
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()) | st.sampled_from(WORDS)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=8),
    max_leaves=25,
)
HOSTILE = [
    None,
    True,
    -1,
    0,
    1.5,
    math.nan,
    math.inf,
    2**53,
    10**30,
    "",
    "x\x00y",
    "\ud800",
    "ü" * 300,
    [],
    [None],
    [[]],
    [{}],
    {},
    {"id": 7},
    {"data": [{"id": []}]},
]


def spoiled(item: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the object with one value after another replaced, two levels deep, by each hostile value."""
    for key, value in item.items():
        for bad in HOSTILE:
            yield item | {key: bad}
        if isinstance(value, dict):
            for inner in value:
                for bad in HOSTILE:
                    yield item | {key: value | {inner: bad}}


def ruined(value: Any, bad: Any) -> Any:
    """Return JSON with every value that is neither an object nor a list replaced."""
    if isinstance(value, dict):
        return {key: ruined(inner, bad) for key, inner in value.items()}
    return [ruined(inner, bad) for inner in value] if isinstance(value, list) else bad
