"""`bursar migrate`: the schema of the instance, brought to this version."""

import asyncio

from bursar.cli.connection import instance
from bursar.cli.options import Data, Json, answer
from bursar.cli.supervisor import migrate as run


def migrate(data: Data = None, *, as_json: Json = False) -> None:
    """Bring the database to this version's schema; does nothing where it is there already."""
    with instance(data) as settings:
        done = asyncio.run(run(settings))
    names = ", ".join(done.changed) or "nothing to do"
    answer({"applied": list(done.changed), "version": done.version}, f"{names}; schema {done.version}", as_json=as_json)
