"""`bursar customer`: everything about a person in one file, and a person erased."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from bursar.cli.acting import ACTOR, TenantText, act, tenant_of
from bursar.cli.options import Data, Json, answer
from bursar.kernel import ids
from bursar.kernel.db import Database
from bursar.kernel.files import private_file
from bursar.kernel.settings import Settings
from bursar.money.desk import erasing
from bursar.money.desk.exporting import export_pieces

app = typer.Typer(no_args_is_help=True, help="Export everything about a person; erase a person.")

CustomerText = Annotated[
    str, typer.Option("--customer", help="Who: cus_…; every customer of the same person is meant.")
]


@app.command()
def export(
    tenant: TenantText,
    customer: CustomerText,
    out: Annotated[Path, typer.Option("--out", help="The file to write; nobody else may read it.")],
    data: Data = None,
    *,
    as_json: Json = False,
) -> None:
    """Write everything that is kept about a person as one JSON document. See docs/reference/person-export.md."""

    async def exporting(db: Database, _settings: Settings) -> dict[str, Any]:
        tenant_id, customer_id = await tenant_of(db, tenant), ids.parse(ids.CUSTOMER, customer)
        async with db.tenant(tenant_id) as tx:
            customers = await erasing.same_person(tx, tenant_id=tenant_id, customer_id=customer_id)
            await erasing.record_export(
                tx, tenant_id=tenant_id, customer_id=customer_id, customers=customers, actor=ACTOR
            )
        count = 0
        with private_file(out) as file:
            async for piece in export_pieces(db, tenant_id=tenant_id, customers=customers, now=datetime.now(UTC)):
                count += file.write(piece)
        return {"customers": [ids.show(ids.CUSTOMER, found) for found in customers], "bytes": count, "file": str(out)}

    told = act(data, exporting)
    answer(told, f"{told['bytes']} bytes about {', '.join(told['customers'])} written to {out}", as_json=as_json)


@app.command()
def erase(
    tenant: TenantText,
    customer: CustomerText,
    ground: Annotated[erasing.Ground, typer.Option("--ground", help="Why: what the law calls it.")],
    data: Data = None,
    *,
    is_sure: Annotated[bool, typer.Option("--yes", help="Do not ask whether you are sure.")] = False,
    as_json: Json = False,
) -> None:
    """Take a person out of everything; amounts, books and grants stay. It cannot be undone. A worker does it."""
    if not is_sure:
        typer.confirm(f"Erase {customer} and every customer of the same person for ever?", abort=True)

    async def asking(db: Database, _settings: Settings) -> dict[str, Any]:
        tenant_id, customer_id = await tenant_of(db, tenant), ids.parse(ids.CUSTOMER, customer)
        async with db.tenant(tenant_id) as tx:
            asked = await erasing.erase_customer(
                tx, tenant_id=tenant_id, customer_id=customer_id, ground=ground, actor=ACTOR, now=datetime.now(UTC)
            )
        return _shown(asked)

    told = act(data, asking)
    answer(told, f"{told['id']} erases {', '.join(told['customers'])}: {told['status']}", as_json=as_json)


@app.command()
def erasure(
    tenant: TenantText,
    erasure_text: Annotated[str, typer.Option("--erasure", help="Which: ers_…")],
    data: Data = None,
    *,
    as_json: Json = False,
) -> None:
    """Show how far an erasure has come."""

    async def looking(db: Database, _settings: Settings) -> dict[str, Any]:
        tenant_id, erasure_id = await tenant_of(db, tenant), ids.parse(ids.ERASURE, erasure_text)
        async with db.tenant(tenant_id) as tx:
            return _shown(await erasing.erasure(tx, tenant_id=tenant_id, erasure_id=erasure_id))

    told = act(data, looking)
    answer(told, f"{told['id']}: {told['status']}", as_json=as_json)


def _shown(found: erasing.Erasure) -> dict[str, Any]:
    return {
        "id": ids.show(ids.ERASURE, found.id),
        "customers": [ids.show(ids.CUSTOMER, customer_id) for customer_id in found.customers],
        "status": found.status,
        "requested_at": found.requested_at.isoformat(),
        "done_at": found.done_at.isoformat() if found.done_at else None,
    }
