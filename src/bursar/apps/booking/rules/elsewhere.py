"""Rules that are decided elsewhere than when a seat is booked: where, and with which code."""

from typing import Final

from bursar.apps.booking.rules.models import Parameter, Rule

PACK_REFUND: Final = "pack_refund"
REFUND_WINDOW: Final = "refund_window"
ROLLOVER: Final = "rollover_cap"

ELSEWHERE: Final[tuple[Rule, ...]] = (
    Rule(
        ROLLOVER,
        46,
        "credits",
        None,
        "Of what is left when a period of a membership expires, so many credits go into the next period, once.",
        where="when credits of a subscription expire",
        parameters=(
            Parameter("credits_max", 2, "Of each period.", 1, 100000),
            Parameter("days", 31, "They expire so many days after the credits that they come from.", 1, 366),
        ),
        is_on=False,
        is_switchable=True,
    ),
    Rule(
        REFUND_WINDOW,
        64,
        "cancelling",
        "refund_window_over",
        "A pack is refunded for so many days after it was paid.",
        where="when a pack is refunded",
        parameters=(Parameter("days", 90, "Elapsed days after the payment.", 1, 3650),),
        is_on=False,
        is_switchable=True,
    ),
    Rule(
        PACK_REFUND,
        65,
        "cancelling",
        "pack_has_bookings",
        "Of a pack that is partly used, the price less what was used goes back; bookings to come that it pays for stand in the way.",
        where="when a pack is refunded",
        parameters=(
            Parameter(
                "used_costs",
                "pack_unit",
                "What a used credit costs: its share of the pack's price, or the price of a single class.",
                choices=("pack_unit", "single_price"),
            ),
            Parameter("single_minor", 0, "The price of a single class, in the pack's currency.", 0, 10**9),
            Parameter(
                "bookings_to_come",
                "block",
                "Whether they stand in the way, or are cancelled first.",
                choices=("block", "cancel"),
            ),
        ),
    ),
)
"""In the order of their numbers. What they need is set where it is decided: in the terms of a policy, in a class, in a price."""
