"""The generated client: what the documentation prints runs as printed, against a real server."""

import asyncio
import re
import sys
from pathlib import Path

import pytest

from bursar.kernel import tenancy
from serving import serving

pytestmark = pytest.mark.anyio

GUIDE = Path(__file__).parents[2] / "docs" / "how-to" / "use-the-python-client.md"


async def run(*command: str, **environment: str) -> str:
    """Return what a command printed. It must succeed."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *command,
        env=environment or None,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, err.decode()
    return out.decode()


async def test_the_guides_example_runs_as_printed(db, database_url, tmp_path):
    _, api_key = await tenancy.create_tenant(db, name="Client")
    example = tmp_path / "example.py"
    example.write_text(re.search(r"```python\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)[1])

    await run("-m", "bursar", "client", "--out", str(tmp_path / "made"), "--json")
    async with serving(database_url) as server:
        told = await run(
            "-W", "error", str(example), f"http://127.0.0.1:{server.port}", api_key, PYTHONPATH=str(tmp_path / "made")
        )

    first, listed, refused = told.splitlines()
    assert first == "ten-classes 12000 EUR"
    assert listed.endswith(" Ten classes")
    assert refused.startswith("404 payment_not_found ")
    assert (tmp_path / "made" / "bursar_client" / "py.typed").exists()
