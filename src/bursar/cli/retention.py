"""`bursar retention`: what is kept for how long, and what would go."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated

import typer

from bursar.cli.acting import act
from bursar.cli.options import Data, Json, answer
from bursar.operations.retention import Policy, preview


def retention(
    data: Data = None,
    *,
    days: Annotated[int, typer.Option("--in-days", help="What will go within so many days.", min=0, max=3650)] = 0,
    as_json: Json = False,
) -> None:
    """Show each policy and how many rows go by it when a worker cleans up next; remove nothing."""
    at = datetime.now(UTC) + timedelta(days=days)
    found = act(data, lambda db, settings: preview(db, settings, at=at))
    shown = [asdict(one) | {"oldest": one.oldest.isoformat() if one.oldest else None} for one in found]
    answer({"at": at.isoformat(), "data": shown}, "\n".join(map(_line, found)), as_json=as_json)


def _line(policy: Policy) -> str:
    if policy.kept is None:
        return f"{policy.name}: kept for ever ({(policy.bytes or 0) / 1e6:,.1f} MB)"
    by = f" ({policy.setting})" if policy.setting else ""
    since = f", the oldest of {policy.oldest:%Y-%m-%d}" if policy.oldest else ""
    return f"{policy.name}: kept for {policy.kept}{by}; {policy.rows:,} go{since}"
