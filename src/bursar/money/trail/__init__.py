"""The audit trail: what happened, by whom, because of which event, to which customer; and the proof that it is unchanged.

What it is not: what writes it; `kernel.audit` and `applying` do, in the transaction that they tell of.

Invariants:
- records are only ever added;
- every applied event and every write of a caller has one;
- every record is sealed soon after it is committed, and no writer waits for that;
- a sealed record that is changed, deleted or added later is found and named, whoever did it;
- an end that was cut off is found by whoever noted down a head.
"""

from bursar.money.trail.checking import Checked, Fault, check_chain
from bursar.money.trail.exporting import export_lines
from bursar.money.trail.queries import AuditRecord, AuditRecordNotFound, audit_record, audit_records
from bursar.money.trail.sealing import OLDEST_UNSEALED, continue_from, continue_numbering, seal_all, seal_tenant

__all__ = [
    "OLDEST_UNSEALED",
    "AuditRecord",
    "AuditRecordNotFound",
    "Checked",
    "Fault",
    "audit_record",
    "audit_records",
    "check_chain",
    "continue_from",
    "continue_numbering",
    "export_lines",
    "seal_all",
    "seal_tenant",
]
