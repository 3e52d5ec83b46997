"""Natural keys: what makes a repeated event harmless. The database refuses a twin; this finds one that got in without it."""

from typing import Final

from bursar.operations.invariants.invariant import Invariant, Scope

_OF_GATEWAY = ("gateway_account_id", "gateway_ref")


def _once(table: str, columns: tuple[str, ...], *, where: str = "true") -> Invariant:
    names = ", ".join(columns)
    return Invariant(
        name=f"{table}s_exist_once",
        promises=f"One {table.replace('_', ' ')} for each ({names}).",
        subject=table,
        scope=Scope.never,
        sql=f"""
select (array_agg(id order by id))[1] as {table}, {names}, count(*) as rows
from {table} where tenant_id = $1 and {where} group by {names} having count(*) > 1
""",
    )


KEYS: Final = (
    _once("gateway_event", ("gateway_account_id", "gateway_event_id")),
    _once("customer", _OF_GATEWAY),
    _once("payment", _OF_GATEWAY),
    _once("refund", _OF_GATEWAY, where="gateway_ref is not null"),
    _once("dispute", _OF_GATEWAY),
    _once("invoice", _OF_GATEWAY),
    _once("subscription", _OF_GATEWAY),
    _once("checkout_session", _OF_GATEWAY),
    _once("payment_method", _OF_GATEWAY),
    _once("fulfilment_grant", ("source_id", "price_id", "position")),
    _once("credit_lot", ("grant_id",), where="grant_id is not null"),
    _once("credit_spend", ("reference",)),
    _once("entitlement", ("grant_id",)),
    _once("licence", ("entitlement_id",), where="entitlement_id is not null"),
    _once("ledger_transaction", ("gateway_account_id", "source_kind", "source_ref", "sequence")),
)
