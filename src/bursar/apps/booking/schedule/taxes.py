"""What of an amount is tax. Pure."""

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Final

WHOLE_BP: Final = 10_000
"""Basis points."""


@dataclass(frozen=True, slots=True)
class Taxed:
    """Minor units of one currency: net and tax together are gross, always."""

    net_minor: int
    tax_minor: int
    gross_minor: int


@dataclass(frozen=True, slots=True)
class Tax:
    """The tax of a venue. rate_bp: basis points, 0 to 10000. is_included: prices have it in them; else it is put on them."""

    rate_bp: int = 0
    is_included: bool = True

    @property
    def is_added(self) -> bool:
        """True where a price is not what is paid."""
        return self.rate_bp > 0 and not self.is_included

    @property
    def told(self) -> str:
        """The rate in words: `8.25 %`."""
        return f"{Decimal(self.rate_bp).scaleb(-2).normalize():f} %"

    def of(self, amount_minor: int) -> Taxed:
        """Split an amount that is priced. Rounded half to even to a whole minor unit."""
        if self.is_included:
            tax = round(Fraction(amount_minor * self.rate_bp, WHOLE_BP + self.rate_bp))
            return Taxed(amount_minor - tax, tax, amount_minor)
        tax = round(Fraction(amount_minor * self.rate_bp, WHOLE_BP))
        return Taxed(amount_minor, tax, amount_minor + tax)


NO_TAX: Final = Tax()
