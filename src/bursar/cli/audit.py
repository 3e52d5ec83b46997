"""`bursar audit`: prove that the audit trail is unchanged, and hand it out with the proof."""

import sys
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from bursar.cli.acting import TenantText, act, tenant_of
from bursar.cli.events import instant
from bursar.cli.options import Data, Json, answer
from bursar.cli.verify import TenantOrAll
from bursar.kernel.db import Database
from bursar.kernel.errors import Invalid
from bursar.kernel.settings import Settings
from bursar.money.trail import Checked, check_chain, export_lines
from bursar.operations.snapshots import reading, snapshot, tenants

app = typer.Typer(no_args_is_help=True, help="Prove that the audit trail is unchanged; export it with the proof.")


class HeadInvalid(Invalid):
    """A head is `sha256:` and 64 hexadecimal digits, and belongs to one tenant."""

    code = "audit_head_invalid"


Expected = Annotated[
    str | None, typer.Option("--expect", help="A head that was noted down before: sha256:… It must still be there.")
]
Since = Annotated[str | None, typer.Option("--since", help="Sealed at or after: ISO 8601, UTC without a zone.")]
Until = Annotated[str | None, typer.Option("--until", help="Sealed before: ISO 8601, UTC without a zone.")]
Output = Annotated[Path | None, typer.Option("--output", help="Write to this file instead of standard output.")]


@app.command()
def verify(
    tenant: Annotated[str | None, typer.Option("--tenant", help="Check this tenant: ten_…")] = None,
    expect: Expected = None,
    data: Data = None,
    *,
    every: Annotated[bool, typer.Option("--all", help="Check every tenant.")] = False,
    as_json: Json = False,
) -> None:
    """Check that no sealed record was changed, deleted or added. Names the record and exits with 1 where one was.

    Note the head that is printed somewhere else: with --expect it shows later that the end was not cut off.
    """
    if (tenant is None) == (not every):
        raise TenantOrAll("say which tenant, or all", hint="bursar audit verify --tenant ten_…, or --all")
    if expect is not None and (every or not _is_head(expect)):
        raise HeadInvalid(
            "--expect takes one tenant's head", hint="bursar audit verify --tenant ten_… --expect sha256:…"
        )

    async def checking(db: Database, settings: Settings) -> list[Checked]:
        named = [await tenant_of(db, tenant)] if tenant else None
        async with reading(settings.database_url) as connection:
            checked = []
            for tenant_id in named or await tenants(connection):
                async with snapshot(connection, tenant_id) as tx:
                    checked.append(await check_chain(tx, tenant_id=tenant_id, expected=expect))
            return checked

    checked = act(data, checking)
    is_ok = all(c.ok for c in checked)
    told = {"ok": is_ok, "tenants": [asdict(c) for c in checked]}
    answer(told, "\n".join(line for c in checked for line in _lines(c)) or "no tenants", as_json=as_json)
    raise typer.Exit(0 if is_ok else 1)


@app.command()
def export(
    tenant: TenantText,
    since: Since = None,
    until: Until = None,
    output: Output = None,
    data: Data = None,
    *,
    as_json: Json = False,
) -> None:
    """Write the sealed records as lines of JSON, each group followed by its seal. See docs/reference/audit-trail.md."""
    given = {"since": instant(since), "until": instant(until)}

    async def exporting(db: Database, settings: Settings) -> dict[str, Any]:
        tenant_id = await tenant_of(db, tenant)
        count = 0
        with output.open("w", encoding="utf-8") if output else nullcontext(sys.stdout) as out:
            async with reading(settings.database_url) as connection, snapshot(connection, tenant_id) as tx:
                async for line in export_lines(tx, tenant_id=tenant_id, **given):
                    print(line, file=out)
                    count += 1
        return {"lines": count, "file": str(output) if output else None}

    told = act(data, exporting)
    if output:
        answer(told, f"{told['lines']} lines written to {output}", as_json=as_json)


def _is_head(text: str) -> bool:
    kind, _, digits = text.partition(":")
    return kind == "sha256" and len(digits) == 64 and all(digit in "0123456789abcdef" for digit in digits)  # noqa: PLR2004


def _lines(checked: Checked) -> list[str]:
    word = "unchanged" if checked.ok else "BROKEN"
    first = f"{checked.tenant}: {word}, {checked.records} records in {checked.seals} seals, {checked.unsealed} not sealed yet"
    return [first, f"  head {checked.head}", *(f"  {f.kind} {f.subject}: {f.detail}" for f in checked.faults)]
