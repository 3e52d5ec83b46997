"""Decide: every rule that is not kept, and the refusal that tells of them."""

from typing import Any, Final

from bursar.apps.booking.rules.catalogue import AT_BOOKING
from bursar.apps.booking.rules.models import Failure, Rule, Settings, Situation
from bursar.kernel.errors import Conflict, FieldError


class NotBookable(Conflict):
    """Rules forbid the booking. Its code is that of the first of them; all are told in `errors`."""

    code = "not_bookable"


def failures(situation: Situation, settings: Settings | None = None) -> tuple[Failure, ...]:
    """Return every rule that is not kept, in the catalogue's order. settings: instead of those the situation was read with."""
    chosen = settings or situation.settings
    found = (_judged(rule, situation, chosen) for rule in AT_BOOKING if chosen.is_on(rule))
    return tuple(failure for failure in found if failure)


def require(found: tuple[Failure, ...], *, is_waived: bool = False) -> None:
    """Return if nothing stands in the way. is_waived: staff gave a reason to go on where a rule allows that. Raises NotBookable."""
    left = [failure for failure in found if not (is_waived and failure.is_waivable)]
    if left:
        raise refusal(left)


def refusal(found: list[Failure]) -> NotBookable:
    """Return the refusal that tells of these failures, with the code, the words and the hint of the first."""
    first = found[0]
    fields = tuple(FieldError(each.rule, each.code, f"{each.message}. {each.hint}") for each in found)
    kind: type[NotBookable] = REFUSALS[first.code]
    return kind(first.message, hint=first.hint, fields=fields, context=first.context)


def _judged(rule: Rule, situation: Situation, settings: Settings) -> Failure | None:
    assert rule.check is not None, rule.id
    assert rule.code is not None, rule.id
    found = rule.check(situation, settings.values(rule))
    if found is None:
        return None
    return Failure(rule.id, rule.code, found.message, found.hint, rule.is_waivable, found.context)


def _refusal_of(rule: Rule) -> Any:
    assert rule.code is not None, rule.id
    name = "".join(part.title() for part in rule.code.split("_"))
    return type(name, (NotBookable,), {"code": rule.code, "__doc__": rule.told, "__module__": __name__})


REFUSALS: Final[dict[str, Any]] = {str(rule.code): _refusal_of(rule) for rule in AT_BOOKING}
"""The refusal of each code."""
