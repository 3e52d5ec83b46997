"""`bursar operator`: the people who run the installation."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from bursar.cli.acting import act, public_base
from bursar.cli.options import Data, Json, answer
from bursar.kernel import ids
from bursar.kernel.db import Database
from bursar.kernel.identity import operators
from bursar.kernel.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Add and list operators, and let them in again.")

EmailText = Annotated[str, typer.Option("--email", help="The operator's e-mail address.")]


@app.command()
def add(email: EmailText, data: Data = None, *, as_json: Json = False) -> None:
    """Add an operator, and print the address at which a password is chosen within a day."""

    async def adding(db: Database, settings: Settings) -> dict[str, Any]:
        operator_id, token = await operators.add(db, email=email, now=datetime.now(UTC))
        return {"id": ids.show(ids.OPERATOR, operator_id), "email": email, "link": _link(settings, token)}

    added = act(data, adding)
    answer(added, f"{added['id']}\nA password is chosen, once, at {added['link']}", as_json=as_json)


@app.command("list")
def list_operators(data: Data = None, *, as_json: Json = False) -> None:
    """List the operators, oldest first."""

    async def listing(db: Database, _: Settings) -> list[dict[str, Any]]:
        return [
            {
                "id": ids.show(ids.OPERATOR, row["id"]),
                "email": row["email"],
                "status": "deactivated" if row["deactivated_at"] else "active" if row["is_settled"] else "invited",
                "created_at": row["created_at"].isoformat(),
            }
            for row in await operators.operators(db)
        ]

    rows = act(data, listing)
    text = "\n".join(f"{row['id']}  {row['status']:<11} {row['email']}" for row in rows) or "no operators yet"
    answer({"data": rows}, text, as_json=as_json)


@app.command("reset-password")
def reset_password(email: EmailText, data: Data = None, *, as_json: Json = False) -> None:
    """Print an address at which an operator chooses a new password within a day."""

    async def resetting(db: Database, settings: Settings) -> dict[str, Any]:
        token = await operators.link_for(db, email=email, now=datetime.now(UTC))
        return {"email": email, "link": _link(settings, token)}

    made = act(data, resetting)
    answer(made, f"A new password is chosen, once, at {made['link']}", as_json=as_json)


@app.command()
def deactivate(email: EmailText, data: Data = None, *, as_json: Json = False) -> None:
    """Let an operator in no more; what they do for businesses ends at once."""

    async def ending(db: Database, _: Settings) -> dict[str, Any]:
        operator_id = await operators.deactivate(db, email=email, now=datetime.now(UTC))
        return {"id": ids.show(ids.OPERATOR, operator_id), "status": "deactivated"}

    ended = act(data, ending)
    answer(ended, f"{ended['id']} is deactivated", as_json=as_json)


def _link(settings: Settings, token: str) -> str:
    return f"{public_base(settings)}/operator/accept?token={token}"
