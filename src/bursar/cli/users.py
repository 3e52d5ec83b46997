"""`bursar user`: the people of a business, from the command line of the installation."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

import typer

from bursar.cli.acting import TenantText, act, public_base, tenant_of
from bursar.cli.options import Data, Json, answer
from bursar.kernel import ids
from bursar.kernel.access import OPERATOR
from bursar.kernel.db import Database, Transaction
from bursar.kernel.identity import links, users
from bursar.kernel.identity.users import User
from bursar.kernel.listing import LIMIT_MAX, Slice
from bursar.kernel.settings import Settings

app = typer.Typer(no_args_is_help=True, help="Invite people of a business and say what they may do.")

EmailText = Annotated[str, typer.Option("--email", help="Whose e-mail address.")]
RoleTexts = Annotated[list[str], typer.Option("--role", help="owner, admin, finance, …; may be repeated.")]


@app.command()
def add(
    tenant: TenantText,
    email: EmailText,
    name: Annotated[str, typer.Option("--name", help="What the person is called.")],
    role: RoleTexts,
    data: Data = None,
    *,
    as_json: Json = False,
) -> None:
    """Invite somebody: a mail goes out, and the same way in is printed, for where there is no mail yet."""

    async def adding(tx: Transaction, tenant_id: UUID, base: str, now: datetime) -> dict[str, Any]:
        user = await users.invite(tx, tenant_id=tenant_id, email=email, name=name, roles=role, by=OPERATOR, now=now)
        token = await links.make(tx, tenant_id=tenant_id, user_id=user.id, purpose="invitation", now=now)
        return _shown(user) | {"link": f"{base}/accept?token={token}"}

    added = _act(data, tenant, adding)
    answer(added, f"{added['id']}\nA password is chosen, once, at {added['link']}", as_json=as_json)


@app.command("list")
def list_users(tenant: TenantText, data: Data = None, *, as_json: Json = False) -> None:
    """List the newest users."""

    async def listing(tx: Transaction, tenant_id: UUID, _base: str, _now: datetime) -> dict[str, Any]:
        found = await users.users(tx, tenant_id=tenant_id, page=Slice(LIMIT_MAX))
        return {"data": [_shown(user) for user in found.rows]}

    found = _act(data, tenant, listing)
    lines = [
        f"{u['id']}  {u['status']:<11} {','.join(u['roles']):<20} {u['email']}  {u['name']}" for u in found["data"]
    ]
    answer(found, "\n".join(lines) or "no users yet", as_json=as_json)


@app.command()
def roles(tenant: TenantText, email: EmailText, role: RoleTexts, data: Data = None, *, as_json: Json = False) -> None:
    """Give a user these roles, and no others."""

    async def changing(tx: Transaction, tenant_id: UUID, _base: str, now: datetime) -> dict[str, Any]:
        user = await users.user_of_email(tx, tenant_id=tenant_id, email=email)
        changed = await users.change(
            tx, tenant_id=tenant_id, user_id=user.id, roles=role, name=None, by=OPERATOR, now=now
        )
        return _shown(changed)

    changed = _act(data, tenant, changing)
    answer(changed, f"{changed['email']} is {', '.join(changed['roles'])}", as_json=as_json)


@app.command()
def deactivate(tenant: TenantText, email: EmailText, data: Data = None, *, as_json: Json = False) -> None:
    """Let a user in no more."""

    async def ending(tx: Transaction, tenant_id: UUID, _base: str, now: datetime) -> dict[str, Any]:
        user = await users.user_of_email(tx, tenant_id=tenant_id, email=email)
        return _shown(await users.deactivate(tx, tenant_id=tenant_id, user_id=user.id, by=OPERATOR, now=now))

    ended = _act(data, tenant, ending)
    answer(ended, f"{ended['email']} is deactivated", as_json=as_json)


@app.command("reset-password")
def reset_password(
    tenant: TenantText,
    email: EmailText,
    data: Data = None,
    *,
    second_factor: Annotated[bool, typer.Option(help="Switch the second factor off, too: the phone is lost.")] = False,
    as_json: Json = False,
) -> None:
    """Print an address at which the user chooses a new password within an hour."""

    async def resetting(tx: Transaction, tenant_id: UUID, base: str, now: datetime) -> dict[str, Any]:
        user = await users.user_of_email(tx, tenant_id=tenant_id, email=email)
        if second_factor:
            await users.forget_second_factor(tx, tenant_id=tenant_id, user_id=user.id, by=OPERATOR, now=now)
        token = await links.make(tx, tenant_id=tenant_id, user_id=user.id, purpose="password_reset", now=now)
        return _shown(user) | {"link": f"{base}/reset?token={token}"}

    made = _act(data, tenant, resetting)
    answer(made, f"A new password is chosen, once, at {made['link']}", as_json=as_json)


def _act(data: Any, tenant: str, work: Callable[[Transaction, UUID, str, datetime], Awaitable[dict[str, Any]]]) -> Any:
    async def working(db: Database, settings: Settings) -> dict[str, Any]:
        tenant_id = await tenant_of(db, tenant)
        async with db.tenant(tenant_id) as tx:
            return await work(tx, tenant_id, public_base(settings), datetime.now(UTC))

    return act(data, working)


def _shown(user: User) -> dict[str, Any]:
    told = user.model_dump(mode="json")
    return told | {"id": ids.show(ids.USER, user.id)}
