"""`bursar bench`: the benchmarks of the source tree, each a ratio against the machine's own limit in the same run."""

import sys
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

import bursar
from bursar.cli.options import Json, answer
from bursar.kernel.errors import Invalid

NAMES = (
    "intake",
    "apply",
    "end-to-end",
    "takeover",
    "replay",
    "lookup",
    "memory",
    "up",
    "edge",
    "watching",
    "jobs",
    "calls",
    "bookings",
    "studio",
    "streaming",
    "restore",
)
_TREE = Path(bursar.__file__).parents[2]
_RESULTS = _TREE / "benchmarks" / "RESULTS.md"


class BenchmarksAbsent(Invalid):
    """The benchmarks are part of the source tree, not of an installed package."""

    code = "benchmarks_absent"


class BenchmarkUnknown(Invalid):
    """There is no benchmark of this name."""

    code = "benchmark_unknown"


def bench(
    name: Annotated[str, typer.Argument(help=f"One of {', '.join(NAMES)}, or all.")],
    runs: Annotated[int, typer.Option(help="Runs; the median counts.", min=1, max=9)] = 3,
    seconds: Annotated[float, typer.Option(help="How long a load lasts, in seconds.", min=1, max=600)] = 10.0,
    payments: Annotated[int, typer.Option(help="Payments among which `lookup` looks.", min=1000)] = 1_000_000,
    *,
    quick: Annotated[bool, typer.Option("--quick", help="Only see that it runs; its figures mean nothing.")] = False,
    record: Annotated[bool, typer.Option("--record", help="Append the figures to benchmarks/RESULTS.md.")] = False,
    as_json: Json = False,
) -> None:
    """Measure, print the medians, and say which budgets are met. Exits with 1 when one is missed."""
    wanted = NAMES if name == "all" else (name,)
    if unknown := set(wanted) - set(NAMES):
        raise BenchmarkUnknown(
            f"there is no benchmark {', '.join(unknown)}", hint=f"One of {', '.join(NAMES)}, or all."
        )
    if not (_TREE / "benchmarks" / "figures.py").is_file():
        raise BenchmarksAbsent(
            "there are no benchmarks beside this installation", hint="Run it in a clone of the source."
        )
    sys.path.insert(0, str(_TREE))
    scale = import_module("benchmarks.figures").Scale(runs=runs, seconds=seconds, quick=quick, payments=payments)
    command = f"bursar bench {name} --runs {runs} --seconds {seconds:g} --payments {payments}"
    told = [_measure(each, scale, command) for each in wanted]
    if record:
        with _RESULTS.open("a", encoding="utf-8") as file:
            file.writelines(_markdown(each) for each in told)
    answer({"benchmarks": told}, "\n".join(_line(each) for each in told), as_json=as_json)
    raise typer.Exit(0 if quick or all(each["met"] for each in told) else 1)


def _measure(name: str, scale: Any, command: str) -> dict[str, Any]:
    module = import_module(f"benchmarks.{name.replace('-', '_')}")
    told: dict[str, Any] = module.measure(scale).told(command=command)
    return told


def _line(told: dict[str, Any]) -> str:
    figures = ", ".join(f"{name} {value}" for name, value in told["figures"].items())
    verdict = "met" if told["met"] else f"MISSED: {'; '.join(told['missed'])}"
    return f"{told['benchmark']}: {verdict}\n  {figures}"


def _markdown(told: dict[str, Any]) -> str:
    machine = told["machine"]
    rows = "".join(f"| {name} | {value} |\n" for name, value in told["figures"].items())
    verdict = "Met." if told["met"] else f"**Missed:** {'; '.join(told['missed'])}."
    notes = "".join(f"- {note}\n" for note in told["notes"])
    return (
        f"\n## {told['benchmark']}, {told['date']}\n\n{told['promise'][0].upper()}{told['promise'][1:]}. {verdict}\n\n"
        f"`{told['command']}` on {machine['cores']} × {machine['cpu']}, {machine['memory_gb']} GB, {machine['system']}, "
        f"Python {machine['python']}; median of {len(told['runs'])} runs; budgets: {', '.join(told['budgets'])}.\n\n"
        f"| figure | median |\n|---|---:|\n{rows}\n{notes}"
    )
