"""The benchmarks run; what they measure is another matter. `calls` runs as a test of its own, `lookup` takes a filled table, `watching` starts eight processes."""

import json
import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    "name",
    ["intake", "apply", "end-to-end", "takeover", "replay", "memory", "up", "edge", "jobs", "streaming", "restore"],
)
def test_a_benchmark_runs_and_tells_its_figures(name):
    command = [sys.executable, "-m", "bursar", "bench", name, "--quick", "--runs", "1", "--seconds", "1", "--json"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("BURSAR_")}

    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)

    assert done.returncode == 0, done.stderr[-2000:]
    told = json.loads(done.stdout)["benchmarks"][0]
    assert told["benchmark"] == name
    assert set(told) >= {"promise", "figures", "budgets", "met", "missed", "machine", "date", "command"}
    assert all(value >= 0 for value in told["figures"].values())


def test_an_unknown_benchmark_is_refused():
    done = subprocess.run(
        [sys.executable, "-m", "bursar", "bench", "luck"], capture_output=True, text=True, check=False
    )

    assert done.returncode != 0
    assert "there is no benchmark luck" in done.stderr
