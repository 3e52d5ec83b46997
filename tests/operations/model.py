"""The registers in memory: the code's own pure functions, with dictionaries where the database stands.

`merge` here is what `merging.merge` is there: the newest snapshot of each object wins, linked objects become one purchase.
"""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from histories import History

from bursar.bootstrap import registry
from bursar.kernel import ids
from bursar.money.catalog import Catalogue, Price
from bursar.money.fulfilment import purchase_targets
from bursar.money.gateways import gateway
from bursar.money.merging import registers
from bursar.money.merging.links import member_names
from bursar.money.merging.registers import HISTORY, Reported, Snapshot
from bursar.money.purchases import assess

REGISTRY = registry()
NOBODY = UUID(int=1)


def price(key: str, amount: int, grants: list[dict[str, Any]], interval: str | None = None) -> Price:
    return Price(
        UUID(int=len(key) * 1000 + amount), NOBODY, key, amount, "EUR", interval, tuple(REGISTRY.checked(grants)), False
    )


def credits_of(amount: int) -> dict[str, Any]:
    return {"kind": "credits", "amount": amount, "pool": "classes"}


PACK = price("pack-10", 5000, [credits_of(10)])
MEMBERSHIP = price("membership", 2000, [credits_of(8), {"kind": "feature", "feature": "likes"}], "month")
PLUS = price("plus", 3000, [credits_of(20), {"kind": "feature", "feature": "vip"}], "month")
COURSE = price("course", 9900, [{"kind": "licence", "course": "python", "activations": 3}])
CATALOGUE = Catalogue(
    by_gateway_ref={"price_pack": PACK, "price_member": MEMBERSHIP, "price_plus": PLUS, "price_course": COURSE},
    by_name={p.lookup_key: p for p in (PACK, MEMBERSHIP, PLUS, COURSE)},
)


def reports_of(history: History) -> list[list[Reported]]:
    """Return what each event of a history reports."""
    adapter = gateway(history.gateway)
    return [
        [Reported(ids.new(), fact, told.at) for fact in adapter.translate(type=told.type, payload=told.payload).facts]
        for told in history.events
    ]


class Model:
    """One gateway account. `merge` takes a batch of events; `state` says everything there is to compare."""

    def __init__(self) -> None:
        self.rows: dict[tuple[str, str], Any] = {}
        self.purchase_of: dict[str, UUID] = {}

    newest = staticmethod(registers._newest)

    def merge(self, events: Sequence[Sequence[Reported]]) -> None:
        reported = [report for event in events for report in event]
        for key, row in self.newest(reported).items():
            known = self.rows.get(key)
            if known is None or (known.version, known.tie) < (row.version, row.tie):
                self.rows[key] = row
        groups = [(names, report.event_id) for report in reported if (names := member_names(report.fact))]
        every_name = sorted({name for names, _ in groups for name in names})
        known = {name: self.purchase_of[name] for name in every_name if name in self.purchase_of}
        chosen, absorbed = registers._chosen(every_name, known, registers._united(groups, known))
        for name, purchase_id in self.purchase_of.items():
            self.purchase_of[name] = absorbed.get(purchase_id, purchase_id)
        self.purchase_of.update(chosen)

    def state(self) -> dict[str, Any]:
        members: dict[UUID, list[str]] = {}
        for name, purchase_id in self.purchase_of.items():
            members.setdefault(purchase_id, []).append(name)
        histories: dict[str, list[Any]] = {}
        for (kind, ref), row in sorted(self.rows.items()):
            if kind == HISTORY:
                histories.setdefault(ref.rpartition("@")[0], []).append((row.fact, row.version.at))
        return {
            "objects": {key: (row.version, row.tie, row.state) for key, row in self.rows.items()},
            "purchases": {" ".join(sorted(names)): self._meaning(names, histories) for names in members.values()},
        }

    def _meaning(self, names: Sequence[str], histories: dict[str, list[Any]]) -> Any:
        rows = [self.rows.get(tuple(name.split(":", 1))) for name in names]
        snapshots = [Snapshot(row.fact, row.version.at) for row in rows if row]
        assessment = assess(snapshots, histories=histories, catalogue=CATALOGUE)
        targets = purchase_targets(NOBODY, assessment, customer_id=NOBODY, event_id=NOBODY, registry=REGISTRY)
        return assessment, targets
