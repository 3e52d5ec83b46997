"""Which reader understands which type of Dodo's 48. The others tell of Dodo's own books: kept and ignored."""

from collections.abc import Callable
from typing import Final

from bursar.money.gateways.dodo.payments import OBJECT, dispute_facts, payment_facts, refund_facts
from bursar.money.gateways.dodo.subscriptions import licence_facts, subscription_facts
from bursar.money.gateways.facts import AnyFact
from bursar.money.gateways.fields import Json
from bursar.money.gateways.port import FieldMissing, Translation

Reader = Callable[[str, Json], tuple[AnyFact, ...]]

_FAMILIES: Final[tuple[tuple[str, Reader, str], ...]] = (
    ("payment", payment_facts, "succeeded failed cancelled processing"),
    ("refund", refund_facts, "succeeded failed"),
    ("dispute", dispute_facts, "opened challenged accepted cancelled expired won lost"),
    ("subscription", subscription_facts, "active on_hold past_due paused unpaused cancelled failed expired"),
    ("subscription", subscription_facts, "renewed plan_changed updated update_payment_method"),
    ("license_key", licence_facts, "created"),
)

READERS: Final[dict[str, Reader]] = {
    f"{family}.{verb}": reader for family, reader, verbs in _FAMILIES for verb in verbs.split()
}

_IGNORED: Final = Translation(is_ignored=True)


def translate(kind: str, event: Json) -> Translation:
    """Return the facts of an event. Raises FieldMissing."""
    reader = READERS.get(kind)
    if reader is None:
        return _IGNORED
    item = event.get("data")
    if not isinstance(item, dict):
        raise FieldMissing(OBJECT, "an object")
    return Translation(reader(kind, item))
