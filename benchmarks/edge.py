"""The edge: what it costs to know the caller, decide, count and log, on a small read, against the same route without all that."""

import asyncio
import contextlib
import os
import sys
import time
from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import FastAPI, Path

from benchmarks.figures import Budget, Result, Scale, percentile
from benchmarks.ground import Ground, ground
from bursar.kernel import ids, permissions
from bursar.kernel.auth import Caller, Principal
from bursar.kernel.http.identifiers import ProductId
from bursar.money.catalog import queries
from bursar.money.catalog.schemas import Product
from bursar.web.app import create_app

PROMISE = "the whole edge costs a small read less than 1.5 ms at the median"
BUDGETS = (Budget("edge_ms", at_most=1.5),)
NOTES = (
    "GET /v1/products/{product} with an API key, one at a time, both applications in turn in one process: ASGI, no sockets",
    "bare: FastAPI with the same query in the same transaction; no caller, permission, limit, safe header, strict form or log line",
    "cpu: the difference of the process's own time at work, mean; it says less of what else the machine does",
)
REQUESTS = 3000
_WARM = 100


def measure(scale: Scale) -> Result:
    """Ask both applications in turn."""
    count = 200 if scale.quick else REQUESTS
    with ground() as here:
        product = ids.show(ids.PRODUCT, here.ask("select id from product order by id limit 1"))
        with _quiet():
            runs = tuple(asyncio.run(_run(here, f"/v1/products/{product}", count)) for _ in range(scale.runs))
    return Result("edge", PROMISE, BUDGETS, runs, NOTES)


async def _run(here: Ground, path: str, count: int) -> dict[str, float]:
    whole = create_app(here.settings.model_copy(update={"rate_key_general": 1_000_000}))
    async with whole.api.router.lifespan_context(whole.api):
        apps = {"whole": whole, "bare": _bare(here, whole.resources)}
        took: dict[str, list[float]] = {name: [] for name in apps}
        worked_s = dict.fromkeys(apps, 0.0)
        for number in range(_WARM + count):
            for name, app in apps.items():
                began_s = time.process_time()
                milliseconds = await _ask(app, path, here.api_key)
                if number >= _WARM:
                    took[name].append(milliseconds)
                    worked_s[name] += time.process_time() - began_s
    medians = {name: percentile(sorted(values), 50) for name, values in took.items()}
    return {
        "whole_ms": medians["whole"],
        "bare_ms": medians["bare"],
        "edge_ms": medians["whole"] - medians["bare"],
        "ratio": medians["whole"] / medians["bare"],
        "edge_cpu_ms": (worked_s["whole"] - worked_s["bare"]) / count * 1000,
    }


def _bare(here: Ground, resources: Any) -> FastAPI:
    caller = Caller(Principal(here.tenant_id, "key", ids.new(), permissions.ALL), resources)
    app = FastAPI()

    @app.get("/v1/products/{product}")
    async def get_product(product: Annotated[ProductId, Path()]) -> Product:
        async with caller.transaction() as tx:
            return await queries.product(tx, tenant_id=caller.tenant_id, product_id=product)

    return app


async def _ask(app: Any, path: str, api_key: str) -> float:
    """Ask once; return how long it took, in milliseconds."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "root_path": "",
        "query_string": b"",
        "headers": [(b"host", b"bursar.test"), (b"authorization", f"Bearer {api_key}".encode())],
        "client": ("127.0.0.1", 40_000),
        "server": ("127.0.0.1", 80),
        "state": {},
    }
    said: list[Any] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        said.append(message)

    began = time.perf_counter()
    await app(scope, receive, send)
    milliseconds = (time.perf_counter() - began) * 1000
    assert said[0]["status"] == 200, said
    return milliseconds


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Write log lines to nowhere: they are part of the price, the terminal is not."""
    before = sys.stderr
    with open(os.devnull, "w", encoding="utf-8") as nowhere:  # noqa: PTH123 - a device
        sys.stderr = nowhere
        try:
            yield
        finally:
            sys.stderr = before
