"""A tenant's own limits, in the database, remembered for a few seconds."""

import time
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from bursar.kernel import audit
from bursar.kernel.db import Database, Transaction
from bursar.kernel.rate_limits.classes import Holder, RateClass

KEPT_S: Final = 5.0
KEPT_MAX: Final = 10_000

Own = Mapping[tuple[RateClass, Holder], int]

_OWN = "select class, holder, per_minute from rate_limit where tenant_id = $1 order by class, holder"

_SET = """
insert into rate_limit (tenant_id, class, holder, per_minute)
select $1, w.class, w.holder, w.per_minute from unnest($2::text[], $3::text[], $4::integer[]) as w (class, holder, per_minute)
on conflict (tenant_id, class, holder) do update set per_minute = excluded.per_minute
"""

_UNSET = """
delete from rate_limit r where r.tenant_id = $1
  and not exists (select from unnest($2::text[], $3::text[]) as w (class, holder) where w.class = r.class and w.holder = r.holder)
"""


@dataclass(frozen=True, slots=True)
class _Kept:
    until: float
    own: Own


class Overrides:
    """Tenants' own limits as the hot path knows them: at most five seconds old."""

    def __init__(self) -> None:
        self._kept: OrderedDict[UUID, _Kept] = OrderedDict()

    async def of(self, db: Database, tenant_id: UUID) -> Own:
        """Return a tenant's own limits. Raises DatabaseUnavailable."""
        now = time.monotonic()
        kept = self._kept.get(tenant_id)
        if kept and now < kept.until:
            return kept.own
        # Whoever comes while one reads takes what there was; a hundred at once are one question.
        self._keep(tenant_id, _Kept(now + KEPT_S, kept.own if kept else {}))
        try:
            async with db.tenant(tenant_id) as tx:
                found = await own_limits(tx, tenant_id=tenant_id)
        except BaseException:
            self._kept.pop(tenant_id, None)
            raise
        self._keep(tenant_id, _Kept(now + KEPT_S, found))
        return found

    def _keep(self, tenant_id: UUID, kept: _Kept) -> None:
        self._kept[tenant_id] = kept
        self._kept.move_to_end(tenant_id)
        if len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)


async def own_limits(tx: Transaction, *, tenant_id: UUID) -> Own:
    """Return a tenant's own limits."""
    return {(row["class"], row["holder"]): row["per_minute"] for row in await tx.fetch(_OWN, tenant_id)}


async def set_own_limits(tx: Transaction, *, tenant_id: UUID, own: Own, actor: str) -> None:
    """Replace a tenant's own limits. What is not named has the installation's number again."""
    before = await own_limits(tx, tenant_id=tenant_id)
    classes, holders = [rate for rate, _ in own], [holder for _, holder in own]
    await tx.execute(_UNSET, tenant_id, classes, holders)
    await tx.execute(_SET, tenant_id, classes, holders, list(own.values()))
    changes = {"before": _told(before), "after": _told(own)}
    await audit.record(tx, tenant_id=tenant_id, actor=actor, action="rate_limits.set", subject=None, changes=changes)


def _told(own: Own) -> dict[str, int]:
    return {f"{rate}/{holder}": per_minute for (rate, holder), per_minute in sorted(own.items())}
