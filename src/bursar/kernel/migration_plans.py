"""What `bursar migrate` would do: which migrations, whether there is a way back, what they touch, what is dangerous in them.

Dangers are found by squawk, a linter of migrations, where it is installed; what it cannot know is asked of the database:
how large the tables are that a migration touches. Nothing is changed and no lock is taken.
"""

import asyncio
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from bursar.kernel import migrations
from bursar.kernel.migrations import DIRECTORY, Migration

_RULES_APART: Final = (
    "require-lock-timeout",  # the runner sets both
    "require-statement-timeout",
    "prefer-bigint-over-int",  # a matter of shape, and not of danger
    "prefer-bigint-over-smallint",
    "prefer-robust-stmts",  # a file is one transaction, or one statement that may be run again
)
_LINT_S: Final = 30

_TOUCHED = re.compile(
    r"\b(?:alter table|drop table|update|delete from|truncate|references|"
    r"create (?:unique )?index (?:concurrently )?(?:if not exists )?\w* ?on|drop index(?: concurrently)?)"
    r"\s+(?:if exists )?(?:only )?([a-z_][a-z0-9_]*)",
    re.IGNORECASE,
)
_COMMENT = re.compile(r"--[^\n]*")

_SIZES = """
select coalesce(t.relname, c.relname)::text as name, greatest(coalesce(t.reltuples, c.reltuples), 0)::bigint as rows,
  pg_total_relation_size(coalesce(t.oid, c.oid)) as bytes
from pg_class c
left join pg_index i on i.indexrelid = c.oid
left join pg_class t on t.oid = i.indrelid
where c.relnamespace = 'public'::regnamespace and c.relname = any($1::text[]) and c.relkind in ('r', 'p', 'i', 'I')
"""


@dataclass(frozen=True, slots=True)
class Danger:
    """What the linter objects to. line: of the file, from 1."""

    rule: str
    line: int
    message: str


@dataclass(frozen=True, slots=True)
class Touched:
    """A table that is there already. rows: as PostgreSQL estimates them. bytes: with its indexes."""

    name: str
    rows: int
    bytes: int


@dataclass(frozen=True, slots=True)
class Step:
    """One migration that would run."""

    name: str
    is_reversible: bool
    is_one_transaction: bool
    touches: tuple[Touched, ...]
    dangers: tuple[Danger, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """steps: in order. is_linted: False where squawk is not installed, so that dangers were not looked for."""

    steps: tuple[Step, ...]
    is_linted: bool


async def plan(admin_url: str, *, directory: Path = DIRECTORY) -> Plan:
    """Say what would be done. Raises: SchemaNewer, MigrationChanged, DatabaseUnavailable."""
    async with migrations.looking(admin_url) as connection:
        pending = await migrations.pending(connection, directory=directory)
        known = await _sizes(connection, pending)
    squawk = linter()
    steps = []
    for migration in pending:
        found = await asyncio.to_thread(dangers, migration, squawk) if squawk else ()
        steps.append(_step(migration, known, found))
    return Plan(tuple(steps), squawk is not None)


def linter() -> str | None:
    """Return where squawk is: beside the running Python, or on the path."""
    beside = Path(sys.executable).with_name("squawk")
    return str(beside) if beside.exists() else shutil.which("squawk")


def dangers(migration: Migration, squawk: str) -> tuple[Danger, ...]:
    """Return what the linter objects to, for the oldest PostgreSQL that we run on."""
    alone = [] if migration.is_one_transaction else ["--no-assume-in-transaction"]
    together = alone or ["--assume-in-transaction"]
    done = subprocess.run(  # noqa: S603 - our own tool, and our own file on its standard input
        [squawk, "--reporter", "json", "--pg-version", "15", "--exclude", ",".join(_RULES_APART), *together],
        input=migration.text,
        capture_output=True,
        text=True,
        timeout=_LINT_S,
        check=False,
    )
    found: list[dict[str, Any]] = json.loads(done.stdout or "[]")
    return tuple(
        Danger(one["rule_name"], one["line"] + 1, " ".join(filter(None, (one["message"], one["help"]))))
        for one in found
    )


def touched(text: str) -> frozenset[str]:
    """Return the names of the tables and indexes that a migration changes or locks, as far as its text tells."""
    return frozenset(name.lower() for name in _TOUCHED.findall(_COMMENT.sub("", text)))


async def _sizes(connection: Any, pending: Sequence[Migration]) -> dict[str, Touched]:
    """Return what is there already of what these migrations name, by the name that they use."""
    names = sorted(frozenset().union(*(touched(migration.text) for migration in pending)))
    rows = await connection.fetch(_SIZES, names)
    return {row["name"]: Touched(**dict(row)) for row in rows}


def _step(migration: Migration, known: dict[str, Touched], found: tuple[Danger, ...]) -> Step:
    there = tuple(known[name] for name in sorted(touched(migration.text)) if name in known)
    return Step(str(migration), migration.undo is not None, migration.is_one_transaction, there, found)
