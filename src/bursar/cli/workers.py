"""`bursar worker`: one process that applies events and runs jobs."""

import os

import uvloop

from bursar.cli.acting import public_base
from bursar.cli.connection import instance
from bursar.cli.lifetime import end_orderly, follow_supervisor
from bursar.cli.options import Data, Json, answer
from bursar.kernel.logs import configure_logs
from bursar.kernel.tracing import configure_tracing, end_tracing
from bursar.worker import run
from bursar.worker.process import NO_PULSE


def worker(data: Data = None, *, as_json: Json = False) -> None:
    """Run one worker process until SIGTERM or Ctrl-C."""
    is_supervised = follow_supervisor()
    end_orderly()
    configure_logs()
    with instance(data) as settings:
        if not is_supervised:
            answer({"worker": "running"}, "worker is running", as_json=as_json)
        configure_tracing(settings, process="worker")
        pulse = int(os.environ.get("BURSAR_PULSE") or NO_PULSE)
        # Letters hold links, which lead to where the API is reached.
        uvloop.run(run(settings.model_copy(update={"public_url": public_base(settings)}), pulse=pulse))
        end_tracing()
