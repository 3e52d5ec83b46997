"""`bursar retention`: what is kept for how long, and what would go; and what only the tables' owner can remove, done now."""

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer

from bursar.cli.acting import act
from bursar.cli.connection import instance
from bursar.cli.options import Data, Json, answer
from bursar.operations import retention_runs
from bursar.operations.retention import Policy, preview


def retention(
    data: Data = None,
    *,
    apply_now: Annotated[
        bool, typer.Option("--apply", help="Make the coming months of raw bodies, and drop those whose time is over.")
    ] = False,
    days: Annotated[int, typer.Option("--in-days", help="What will go within so many days.", min=0, max=3650)] = 0,
    as_json: Json = False,
) -> None:
    """Show each policy and how many rows go by it when a worker cleans up next; remove nothing, unless told to.

    `bursar up` does what --apply does once a day. Where `serve` and `worker` run apart, let a timer do it, with the owner's address.
    """
    if apply_now:
        with instance(data) as settings:
            done = asyncio.run(
                retention_runs.apply(
                    settings.database_admin_url, kept_months=settings.body_months, now=datetime.now(UTC)
                )
            )
        text = f"{len(done.made)} months made ahead; dropped: {', '.join(done.dropped) or 'none'} ({done.bytes / 1e6:,.1f} MB)"
        answer(_told(done), text, as_json=as_json)
        return
    at = datetime.now(UTC) + timedelta(days=days)
    found = act(data, lambda db, settings: preview(db, settings, at=at))
    shown = [asdict(one) | {"oldest": one.oldest.isoformat() if one.oldest else None} for one in found]
    answer({"at": at.isoformat(), "data": shown}, "\n".join(map(_line, found)), as_json=as_json)


def _told(run: retention_runs.Run) -> dict[str, Any]:
    return asdict(run) | {
        "began_at": run.began_at.isoformat(),
        "ended_at": run.ended_at.isoformat() if run.ended_at else None,
    }


def _line(policy: Policy) -> str:
    by = f" ({policy.setting})" if policy.setting else ""
    if policy.kept is None:
        return f"{policy.name}: kept for ever{by} ({(policy.bytes or 0) / 1e6:,.1f} MB)"
    if policy.months or policy.waiting:
        kept = f"; kept, because an event in it is not settled: {', '.join(policy.waiting)}" if policy.waiting else ""
        gone = f"{', '.join(policy.months) or 'none'} ({policy.rows:,} rows, {(policy.bytes or 0) / 1e6:,.1f} MB)"
        return f"{policy.name}: kept for {policy.kept}{by}; go: {gone}{kept}"
    since = f", the oldest of {policy.oldest:%Y-%m-%d}" if policy.oldest else ""
    return f"{policy.name}: kept for {policy.kept}{by}; {policy.rows:,} go{since}"
