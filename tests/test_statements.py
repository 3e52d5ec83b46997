"""Every statement in the code is prepared against the migrated schema, as the role that runs it: a typo cannot land."""

import importlib
import pkgutil
import re
from collections.abc import Iterator
from types import ModuleType

import asyncpg
import pytest

import bursar
from bursar.kernel.listing import Listing, existence

pytestmark = pytest.mark.anyio

_SQL = re.compile(r"\s*(select|insert into|update|delete from|with)\s", re.ASCII)
_TEMPLATE = re.compile(r"\{[a-z_0-9]*\}|\{\}(?![\"'])", re.ASCII)
_APART = (
    "bursar.cli",
    "bursar.operations",
    "bursar.kernel.migrations",
    "bursar.kernel.roles",
    "bursar.kernel.postgres",
    "bursar.web.pages",
    "bursar.sandbox",  # it speaks to a file of its own, in another dialect
)


def modules() -> Iterator[ModuleType]:
    for found in pkgutil.walk_packages(bursar.__path__, "bursar."):
        if not found.name.startswith(_APART) and not found.name.endswith("__main__"):
            yield importlib.import_module(found.name)


def statements(module: ModuleType) -> Iterator[str]:
    """The statements among a module's constants: texts, lists of texts, and the lists' own."""
    for name, value in vars(module).items():
        if name.startswith("__"):
            continue
        if isinstance(value, Listing):
            yield from value.statements()
            yield from map(existence, value.refers.values())
            continue
        texts = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else [value]
        for text in texts:
            if isinstance(text, str) and _SQL.match(text) and not _TEMPLATE.search(text.replace("'{}'", "")):
                yield text


MODULES = [module for module in modules() if any(statements(module))]


@pytest.mark.parametrize("module", MODULES, ids=lambda m: m.__name__.removeprefix("bursar."))
async def test_every_statement_of_a_module_fits_the_schema(module, shared_database_url):
    connection = await asyncpg.connect(shared_database_url)
    try:
        for statement in sorted(set(statements(module))):
            try:
                await connection.prepare(statement)
            except asyncpg.PostgresError as error:
                pytest.fail(f"{module.__name__}: {error}\n{statement}")
    finally:
        await connection.close()


def test_the_statements_were_found():
    assert len(MODULES) > 25
    assert sum(len(set(statements(module))) for module in MODULES) > 250
