"""The verdict: what the attacked tenant holds, against the calm one and against every promise."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bursar.kernel import ids
from bursar.kernel.db import Transaction
from bursar.operations.fingerprint import fingerprint, lines_of
from bursar.operations.simulate.network import Tally
from bursar.operations.simulate.planning import Plan
from bursar.operations.snapshots import reading
from bursar.operations.studio import Studio
from bursar.operations.tenancy import rows_have_tenants
from bursar.operations.verify import Finding, verify

_SHOWN_MAX = 5
_LENGTH_MAX = 600

_STORED = "select gateway_event_id from gateway_event where tenant_id = $1 and origin = 'gateway'"
_DEAD = """
select e.gateway_event_id, d.reason, d.error from gateway_event_dead d
join gateway_event e on e.tenant_id = d.tenant_id and e.id = d.event_id
where d.tenant_id = $1 order by e.gateway_event_id limit 20
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What was found.

    lost: acknowledged and not stored. strangers: stored, but never sent. dead: events that could not be applied.
    waiting: events that were not applied in time. differing: lines that only one tenant has, by table.
    broken: invariants, by tenant.
    """

    fingerprint: str
    calm_fingerprint: str
    lost: list[str]
    strangers: list[str]
    dead: list[dict[str, Any]]
    waiting: int
    forged_accepted: int
    differing: dict[str, dict[str, list[str]]]
    broken: dict[str, list[dict[str, Any]]]

    @property
    def ok(self) -> bool:
        """True when nothing at all is wrong."""
        is_equal = self.fingerprint == self.calm_fingerprint
        wrong = (self.lost, self.strangers, self.dead, self.waiting, self.forged_accepted, self.differing, self.broken)
        return is_equal and not any(wrong)

    def report(self) -> dict[str, Any]:
        return {"ok": self.ok} | asdict(self)


async def judge(
    url: str,
    admin_url: str,
    *,
    plan: Plan,
    tally: Tally,
    stormy: Studio,
    calm: Studio,
    waiting: int,
    standing_kinds: Sequence[str],
) -> Verdict:
    """Compare the two tenants, and hold everything to the invariants."""
    async with reading(url) as connection:
        found, expected = [await fingerprint(connection, studio.tenant_id) for studio in (stormy, calm)]
        differing = {table: await _difference(connection, stormy, calm, table) for table in expected.differing(found)}
        broken: dict[str, list[dict[str, Any]]] = {}
        for name, studio in (("stormy", stormy), ("calm", calm)):
            verified = await verify(connection, studio.tenant_id, standing_kinds=standing_kinds)
            _note(broken, f"{name} {ids.show(ids.TENANT, studio.tenant_id)}", verified.invariants)
    async with reading(admin_url) as admin:
        _note(broken, "installation", [await rows_have_tenants(admin)])
        stored = {row["gateway_event_id"] for row in await admin.fetch(_STORED, stormy.tenant_id)}
        dead = [dict(row) for row in await admin.fetch(_DEAD, stormy.tenant_id)]
    sent = {event.id for event in plan.events}
    return Verdict(
        fingerprint=found.fingerprint,
        calm_fingerprint=expected.fingerprint,
        lost=sorted(plan.events[index].id for index in tally.acked if plan.events[index].id not in stored),
        strangers=sorted(stored - sent),
        dead=dead,
        waiting=waiting,
        forged_accepted=tally.forged_accepted,
        differing=differing,
        broken=broken,
    )


async def _difference(connection: Transaction, stormy: Studio, calm: Studio, table: str) -> dict[str, list[str]]:
    mine = set(await lines_of(connection, stormy.tenant_id, table))
    theirs = set(await lines_of(connection, calm.tenant_id, table))
    return {
        "only_stormy": [line[:_LENGTH_MAX] for line in sorted(mine - theirs)[:_SHOWN_MAX]],
        "only_calm": [line[:_LENGTH_MAX] for line in sorted(theirs - mine)[:_SHOWN_MAX]],
    }


def _note(broken: dict[str, list[dict[str, Any]]], whose: str, findings: Sequence[Finding]) -> None:
    wrong = [
        {"name": finding.name, "promises": finding.promises, "offending": finding.offending[:_SHOWN_MAX]}
        for finding in findings
        if not finding.ok
    ]
    if wrong:
        broken[whose] = wrong
