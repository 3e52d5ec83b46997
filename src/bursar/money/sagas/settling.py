"""Settle a saga by hand: a person says that what was left is done, and how. Audited; nothing is asked of the gateway."""

from typing import Final
from uuid import UUID

from bursar.kernel import audit, ids
from bursar.kernel.db import Transaction
from bursar.kernel.errors import Conflict
from bursar.money.sagas.queries import SagaNotFound, state_of


class SagaNotForHands(Conflict):
    """The saga moves by itself, or has come to its end."""

    code = "saga_not_for_hands"


_SETTLE: Final = """
update saga set state = 'settled', settled_by = $3, note = $4, ended_at = clock_timestamp()
where tenant_id = $1 and id = $2 and state in ('stuck', 'needs_hands')
returning kind, subject, customer_id
"""


async def settle(tx: Transaction, *, tenant_id: UUID, saga_id: UUID, note: str, actor: str) -> None:
    """Write that a person has finished a saga. Raises SagaNotFound, SagaNotForHands."""
    shown = ids.show(ids.SAGA, saga_id)
    row = await tx.fetchrow(_SETTLE, tenant_id, saga_id, actor, note)
    if row is None:
        state = await state_of(tx, tenant_id=tenant_id, saga_id=saga_id)
        if state is None:
            raise SagaNotFound(f"there is no saga {shown}")
        raise SagaNotForHands(
            f"{shown} is {state}",
            hint="Only a saga that is stuck or needs hands is settled by a person.",
            context={"state": state},
        )
    changes = {"kind": row["kind"], "subject": row["subject"], "reason": note}
    if row["customer_id"]:
        changes["customer"] = ids.show(ids.CUSTOMER, row["customer_id"])
    await audit.record(tx, tenant_id=tenant_id, actor=actor, action="saga.settled", subject=shown, changes=changes)
