"""A refund that its gateway refuses: it fails, and what was promised for it can be promised again.

Nothing was taken back for it: applying takes back when the gateway reports that the money went back.
"""

from typing import Final

from bursar.kernel import audit, ids, outbox
from bursar.kernel.db import Transaction
from bursar.money.calls import Asker, Ended
from bursar.money.gateways.calls import CreateRefund

# Payments before refunds, as everybody who writes both.
_LOCK = """
select p.id from refund r join payment p on p.tenant_id = r.tenant_id and p.id = r.payment_id
where r.tenant_id = $1 and r.id = $2 for no key update of p
"""

_FAIL = """
update refund set status = 'failed', failure = $3
where tenant_id = $1 and id = $2 and is_asked and status = 'pending' and gateway_ref is null and same_as is null
returning payment_id, amount_minor, currency
"""

_RELEASE = "update payment set promised_minor = promised_minor - $3 where tenant_id = $1 and id = $2"

_FAILURE_MAX: Final = 500


async def refused(tx: Transaction, ended: Ended) -> None:
    """Let the refund of a refused call fail. One that the gateway reported meanwhile is what it reported."""
    assert isinstance(ended.call, CreateRefund)
    refund_id, tenant_id = ids.parse(ids.REFUND, ended.call.refund), ended.tenant_id
    await tx.fetchval(_LOCK, tenant_id, refund_id)
    why = ": ".join(filter(None, (ended.code, ended.message)))[:_FAILURE_MAX] or "refused"
    row = await tx.fetchrow(_FAIL, tenant_id, refund_id, why)
    if row is None:
        return
    await tx.execute(_RELEASE, tenant_id, row["payment_id"], row["amount_minor"])
    shown = ids.show(ids.REFUND, refund_id)
    state = {"status": "failed", "amount_minor": row["amount_minor"], "currency": row["currency"], "failure": why}
    await outbox.emit(tx, tenant_id=tenant_id, told=[outbox.Told("refund.failed", shown, state)])
    await audit.record(tx, tenant_id=tenant_id, actor="gateway", action="refund.refused", subject=shown, changes=state)


ASKER: Final = Asker("refunding", on_refused=refused)
