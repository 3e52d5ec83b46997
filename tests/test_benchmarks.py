"""The benchmarks run; what they measure is another matter. `calls` runs as a test of its own, `lookup` takes a filled table, `watching` starts eight processes."""

import json

import pytest
from benchmarks.ground import MADE

from commanding import command
from databases import made_server


@pytest.mark.parametrize(
    "name",
    ["intake", "apply", "end-to-end", "takeover", "replay", "memory", "up", "edge", "jobs", "streaming", "restore"],
)
def test_a_benchmark_runs_and_tells_its_figures(name):
    quick = ("--quick", "--runs", "1", "--seconds", "1", "--json")

    done = command("bench", name, *quick, timeout_s=280, **{MADE: str(made_server())})

    assert done.code == 0, done.err[-2000:]
    told = json.loads(done.out)["benchmarks"][0]
    assert told["benchmark"] == name
    assert set(told) >= {"promise", "figures", "budgets", "met", "missed", "machine", "date", "command"}
    assert all(value >= 0 for value in told["figures"].values())


def test_an_unknown_benchmark_is_refused():
    done = command("bench", "luck")

    assert done.code != 0
    assert "there is no benchmark luck" in done.err
