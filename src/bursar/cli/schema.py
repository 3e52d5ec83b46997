"""`bursar migrate`: the schema of the instance, brought to this version."""

import asyncio
from dataclasses import asdict
from typing import Annotated

import typer

from bursar.cli.connection import instance
from bursar.cli.options import Data, Json, answer
from bursar.cli.supervisor import migrate as run
from bursar.kernel.migration_plans import Plan, Step
from bursar.kernel.migration_plans import plan as planned

PlanOnly = Annotated[
    bool, typer.Option("--plan", help="Say what would be done, and what is dangerous in it; do nothing.")
]


def migrate(data: Data = None, *, plan: PlanOnly = False, as_json: Json = False) -> None:
    """Bring the database to this version's schema; does nothing where it is there already."""
    with instance(data) as settings:
        if plan:
            found = asyncio.run(planned(settings.database_admin_url))
            answer(asdict(found), _told(found), as_json=as_json)
            return
        done = asyncio.run(run(settings))
    names = ", ".join(done.changed) or "nothing to do"
    answer({"applied": list(done.changed), "version": done.version}, f"{names}; schema {done.version}", as_json=as_json)


def _told(plan: Plan) -> str:
    if not plan.steps:
        return "nothing to do"
    unseen = [] if plan.is_linted else ["dangers were not looked for: squawk is not installed (pip install squawk-cli)"]
    return "\n".join([*(line for step in plan.steps for line in _lines(step)), *unseen])


def _lines(step: Step) -> list[str]:
    how = "" if step.is_one_transaction else ", not in one transaction"
    return [
        f"{step.name}{how}" + ("" if step.is_reversible else ", WITHOUT A WAY BACK"),
        *(f"     touches {one.name}: about {one.rows:,} rows, {one.bytes / 1e6:,.1f} MB" for one in step.touches),
        *(f"     DANGER line {one.line} {one.rule}: {one.message}" for one in step.dangers),
    ]
