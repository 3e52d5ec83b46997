"""What a pack that is partly used is worth still. Pure."""

from dataclasses import dataclass
from typing import Literal

UsedCosts = Literal["pack_unit", "single_price"]


@dataclass(frozen=True, slots=True)
class Pack:
    """A pack as it stands. taken: what earlier refunds took. unused: what can be spent still. left_minor: of the payment, not given back."""

    granted: int
    taken: int
    unused: int
    paid_minor: int
    refunded_minor: int
    left_minor: int

    @property
    def used(self) -> int:
        """What is gone: used, or expired."""
        return self.granted - self.taken - self.unused


@dataclass(frozen=True, slots=True)
class Worth:
    """What goes back for a pack. reserved: credits that the refund takes back; forfeited: that go without anything for them."""

    amount_minor: int
    reserved: int
    forfeited: int


def worth(pack: Pack, *, used_costs: UsedCosts, single_minor: int) -> Worth:
    """Return what goes back for what is unused of a pack.

    pack_unit: the unused share of the price, rounded up to the minor unit, so that the remainder is on the last credit and the refund
    takes back exactly what is unused. single_price: the price less a single class for each credit that is gone, never more than by pack
    unit and never below nothing; what it does not take back of the unused is forfeited.
    """
    share = -(-pack.paid_minor * pack.unused // pack.granted)
    if used_costs == "single_price":
        share = min(share, pack.paid_minor - pack.refunded_minor - pack.used * single_minor)
    amount = max(min(share, pack.left_minor), 0)
    returned = pack.granted * (pack.refunded_minor + amount) // pack.paid_minor if pack.paid_minor else 0
    reserved = min(max(returned - pack.taken, 0), pack.unused)
    return Worth(amount, reserved, pack.unused - reserved)
