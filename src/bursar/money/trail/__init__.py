"""The audit trail as its tenant reads it: what happened, by whom, because of which event, to which customer.

What it is not: what writes it; `kernel.audit` and `applying` do, in the transaction that they tell of.

Invariants:
- records are only ever added;
- every applied event and every write of a caller has one.
"""

from bursar.money.trail.queries import AuditRecord, AuditRecordNotFound, audit_record, audit_records

__all__ = ["AuditRecord", "AuditRecordNotFound", "audit_record", "audit_records"]
