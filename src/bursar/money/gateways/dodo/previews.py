"""What a change of a subscription would cost: Dodo's preview of it, in our own words. Pure."""

from fractions import Fraction
from typing import Final

from bursar.kernel.amounts import MINOR_MAX
from bursar.money.gateways.calling import Json, OutcomeUnknown, Preview, PreviewLine
from bursar.money.gateways.fields import child, children, currency, quantity, text, whole
from bursar.money.gateways.port import FieldMissing

_AT: Final = "immediate_charge"
_FACTOR_MAX: Final = 1000


def preview_of(body: Json) -> Preview:
    """Return what a change would cost. Raises OutcomeUnknown for what is not a preview: nothing was changed by asking."""
    charge = child(body, "immediate_charge")
    summary = child(charge, "summary")
    try:
        total = _total(summary)
        return Preview(
            currency=currency(summary, "currency", f"{_AT}.summary"),
            due_now_minor=total,
            total_minor=total,
            tax_minor=whole(summary, "tax", f"{_AT}.summary"),
            lines=tuple(_line(item, f"{_AT}.line_items[{i}]") for i, item in enumerate(children(charge, "line_items"))),
        )
    except FieldMissing as missing:
        raise OutcomeUnknown(f"the preview cannot be read: {missing}") from None


def _total(summary: Json) -> int:
    total = whole(summary, "total_amount", f"{_AT}.summary")
    if total is None:
        raise FieldMissing(f"{_AT}.summary.total_amount", "a whole number of minor units")
    return total


def _line(item: Json, at: str) -> PreviewLine:
    """Return a line. Dodo tells a price and a factor; the sum that it will take stands in the summary."""
    count, part = quantity(item, "quantity", at), _part(item.get("proration_factor"))
    amount = round((whole(item, "unit_price", at) or 0) * count * part)
    if abs(amount) > MINOR_MAX:
        raise FieldMissing(f"{at}.unit_price", "a price that can be summed up")
    return PreviewLine(
        amount_minor=amount,
        description=text(item.get("name")) or text(item.get("description")),
        is_proration=part != 1,
        price=text(item.get("product_id")) or text(item.get("id")),
        quantity=count,
    )


def _part(factor: object) -> Fraction:
    """Return the share of a period that is billed, exactly as it is written, so that halves are rounded as halves."""
    is_told = type(factor) in (int, float) and -_FACTOR_MAX <= factor <= _FACTOR_MAX  # type: ignore[operator]
    return Fraction(str(factor)) if is_told else Fraction(1)
