"""The classes of retention, the installation's numbers, and a tenant's own."""

from collections.abc import Mapping
from typing import Final, Literal, get_args
from uuid import UUID

from bursar.kernel import audit
from bursar.kernel.db import Transaction
from bursar.kernel.settings import Settings

RetentionClass = Literal["general", "payment", "checkout", "subscription_change"]
CLASSES: Final[tuple[RetentionClass, ...]] = get_args(RetentionClass)
SECONDS_MIN: Final = 60
SECONDS_MAX: Final = 2_592_000

Own = Mapping[RetentionClass, int]

_OWN = "select class, seconds from idempotency_retention where tenant_id = $1 order by class"

_SET = """
insert into idempotency_retention (tenant_id, class, seconds)
select $1, w.class, w.seconds from unnest($2::text[], $3::integer[]) as w (class, seconds)
on conflict (tenant_id, class) do update set seconds = excluded.seconds, set_at = clock_timestamp()
"""

_UNSET = "delete from idempotency_retention where tenant_id = $1 and class <> all($2::text[])"


def defaults(settings: Settings) -> dict[RetentionClass, int]:
    """Return the installation's numbers, in seconds, which a tenant may replace by its own."""
    return {
        "general": settings.idempotency_s,
        "payment": settings.idempotency_payment_s,
        "checkout": settings.idempotency_checkout_s,
        "subscription_change": settings.idempotency_subscription_change_s,
    }


async def own_retentions(tx: Transaction, *, tenant_id: UUID) -> dict[RetentionClass, int]:
    """Return a tenant's own numbers, in seconds."""
    return {row["class"]: row["seconds"] for row in await tx.fetch(_OWN, tenant_id)}


async def set_own_retentions(tx: Transaction, *, tenant_id: UUID, own: Own, actor: str) -> None:
    """Replace a tenant's own numbers. What is not named has the installation's again."""
    before = await own_retentions(tx, tenant_id=tenant_id)
    await tx.execute(_UNSET, tenant_id, list(own))
    await tx.execute(_SET, tenant_id, list(own), list(own.values()))
    changes = {"before": dict(before), "after": dict(own)}
    await audit.record(
        tx, tenant_id=tenant_id, actor=actor, action="idempotency_retentions.set", subject=None, changes=changes
    )
