"""`bursar simulate`: a business, a hostile network, kills and crashes, on a database of its own."""

from typing import Annotated, Any

import typer
import uvloop

from bursar.bootstrap import registry
from bursar.cli.options import Json, answer, tell
from bursar.kernel.errors import Invalid
from bursar.operations import rehearsal
from bursar.operations.simulate import CONTROLS as OF_TRADE
from bursar.operations.simulate import Options
from bursar.operations.simulate import simulate as run
from bursar.operations.simulate.machinery import Commands

_EVENTS_PER_KILL = 100
CONTROLS = (*OF_TRADE, *rehearsal.CONTROLS)


class ControlUnknown(Invalid):
    """There is no control of this name."""

    code = "control_unknown"


def simulate(  # noqa: PLR0917 - options of a command
    seed: Annotated[int, typer.Option("--seed", help="Decides the business, the deliveries and the faults.")] = 1,
    events: Annotated[int, typer.Option("--events", help="How many events.", min=10, max=200_000)] = 300,
    kills: Annotated[
        int | None, typer.Option("--kills", help="How many faults. Default: one per 100 events.", min=0, max=500)
    ] = None,
    acts: Annotated[
        int, typer.Option("--acts", help="How many things happen in the rehearsed studio.", min=0, max=100_000)
    ] = 300,
    connections: Annotated[int, typer.Option("--connections", help="How many at once.", min=1, max=256)] = 16,
    workers: Annotated[int, typer.Option("--workers", help="Worker processes.", min=1, max=16)] = 2,
    control: Annotated[
        str | None, typer.Option("--control", help=f"Break Bursar on purpose: {', '.join(CONTROLS)}. Must fail.")
    ] = None,
    *,
    keep: Annotated[bool, typer.Option("--keep", help="Leave the directory with database and logs behind.")] = False,
    as_json: Json = False,
) -> None:
    """Attack an installation made for the purpose, and compare it with a calm one. Exits with 1 when anything is wrong."""
    if control is not None and control not in CONTROLS:
        raise ControlUnknown(f"there is no control {control!r}", hint=f"Choose one of {', '.join(CONTROLS)}.")
    options = Options(
        seed=seed,
        events=events,
        kills=max(3, events // _EVENTS_PER_KILL) if kills is None else kills,
        acts=acts,
        connections=connections,
        workers=workers,
        control=control,
        keep=keep,
    )
    work = ("-m", "bursar.cli.sabotaged", control) if control in OF_TRADE else ("-m", "bursar", "worker")
    done = uvloop.run(run(options, registry=registry(), commands=Commands(work=work), tell=tell))
    told = done.report()
    answer(told, _text(told), as_json=as_json)
    raise typer.Exit(0 if told["ok"] else 1)


def _text(told: dict[str, Any]) -> str:
    faults = ", ".join(f"{count} × {kind}" for kind, count in sorted(told["faults"].items())) or "none"
    summary = (
        f"seed {told['seed']}: {told['acked']} of {told['events']} events acknowledged, {told['deliveries']} deliveries, "
        f"{told['duplicates']} of them repeats; faults: {faults}; {told['restarts']} restarts; {told['seconds']} s"
    )
    lines = [summary, *([f"GIVEN UP: {told['error']}"] if told["error"] else [])]
    verdict = told["verdict"] or {}
    wrong = ("lost", "strangers", "dead", "waiting", "forged_accepted")
    lines += [f"WRONG {name}: {verdict[name]}" for name in wrong if verdict.get(name)]
    for table, sides in verdict.get("differing", {}).items():
        lines.append(f"DIFFERENT {table}")
        lines += [f"  {side}: {line}" for side, rows in sides.items() for line in rows]
    for whose, findings in verdict.get("broken", {}).items():
        lines += [f"BROKEN {finding['name']} ({whose}): {finding['offending']}" for finding in findings]
    lines += _rehearsed(told["rehearsal"]) if told["rehearsal"] else []
    lines.append("everything holds: equal fingerprints, every invariant" if told["ok"] else "NOT ok")
    return "\n".join(lines)


def _rehearsed(told: dict[str, Any]) -> list[str]:
    deaths = ", ".join(f"{count} × {when}" for when, count in sorted(told["deaths"].items())) or "none"
    lines = [
        f"studio: {told['steps']} acts, deaths: {deaths}, {told['deliveries'].get('repeats', 0)} reports repeated, trace {told['trace'][:12]}"
    ]
    lines += [f"BROKEN {name}: {rows}" for name, rows in told["broken"].items()]
    return lines + [f"  {line}" for line in told["last"]]
