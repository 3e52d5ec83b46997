"""The floor that knows nothing about money: settings, errors, ids, amounts, database, HTTP shapes.

Invariants:
- every transaction runs as a role that owns no table; tenant work sees exactly one tenant;
- ids are UUIDv7 inside and prefixed text outside;
- every refusal is a `DomainError` with a permanent public code.
"""
