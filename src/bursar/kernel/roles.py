"""The two roles that work is done as. Neither owns a table; a login role borrows them, transaction by transaction.

Works on PostgreSQL 15 and later, with any role that may create roles, or after a superuser ran `STATEMENTS` once.
"""

from contextlib import suppress
from typing import Any

import asyncpg

from bursar.kernel.db import ENGINE_ROLE, TENANT_ROLE
from bursar.kernel.errors import Forbidden

STATEMENTS = f"""\
create role {TENANT_ROLE} nologin noinherit;
create role {ENGINE_ROLE} nologin noinherit;
grant {ENGINE_ROLE} to {TENANT_ROLE};
grant {TENANT_ROLE}, {ENGINE_ROLE} to <login role>;"""
"""What an administrator runs by hand where Bursar may not."""

_ATTEMPTS_MAX = 20

_IS_KNOWN = "select exists (select from pg_roles where rolname = $1)"

# Membership itself, not `pg_has_role`: a superuser counts as a member of everything, and would seem settled. Since
# PostgreSQL 16 whoever creates a role may grant it and yet not act as it; before, there is no such column.
_IS_MEMBER = """
select exists (
  select from pg_auth_members m
  where roleid = (select oid from pg_roles where rolname = $1)
    and member = (select oid from pg_roles where rolname = $2)
    and coalesce((to_jsonb(m) ->> 'set_option')::boolean, true)
)"""

_ADMINISTRATOR = "select rolname, rolsuper from pg_roles where rolname = session_user"


class RolesMissing(Forbidden):
    """The roles do not exist, and we may not make them."""

    code = "database_roles_missing"


async def ensure(connection: Any, *, login: str) -> None:
    """Make both roles and let `login` act as them. Does nothing where that is so already.

    The administrator may then act as the engine too, where nobody forbids it: who checks the whole installation does.
    Roles belong to the whole server, so other databases of it may be doing the same at this moment.
    Raises: RolesMissing.
    """
    for role in (TENANT_ROLE, ENGINE_ROLE):
        await _settle(connection, _IS_KNOWN, (role,), f"create role {role} nologin noinherit")
    for role, member in ((ENGINE_ROLE, TENANT_ROLE), (TENANT_ROLE, login), (ENGINE_ROLE, login)):
        if role != member:
            await _settle(connection, _IS_MEMBER, (role, member), f"grant {role} to {_quoted(member)}")
    administrator = await connection.fetchrow(_ADMINISTRATOR)
    if not administrator["rolsuper"]:
        with suppress(RolesMissing):  # only `verify --all` needs it, and says so itself
            names = (ENGINE_ROLE, administrator["rolname"])
            await _settle(connection, _IS_MEMBER, names, f"grant {ENGINE_ROLE} to {_quoted(names[1])}")


async def _settle(connection: Any, question: str, names: tuple[str, ...], statement: str) -> None:
    """Run the statement unless the answer is yes already; a rival that was faster is as good."""
    for _ in range(_ATTEMPTS_MAX):
        if await connection.fetchval(question, *names):
            return
        try:
            await connection.execute(statement)
        except asyncpg.InsufficientPrivilegeError as error:
            raise RolesMissing(
                f"this database role may not run: {statement}",
                hint=f"Set BURSAR_DATABASE_ADMIN_URL to a role that may, or let an administrator run: {STATEMENTS}",
            ) from error
        except (asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError, asyncpg.InternalServerError):
            continue  # "tuple concurrently updated" has no code of its own
    raise RolesMissing(f"other sessions kept interfering with: {statement}", hint="Run bursar migrate again.")


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
