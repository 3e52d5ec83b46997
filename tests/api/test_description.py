"""What `/openapi.json` describes is what is answered: generated requests, good and bad, against a running server.

Longer than in the run of all tests: `BURSAR_TEST_FUZZ_S=600` lets it go on for ten minutes with each role.
"""

import asyncio
import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from api.conftest import lived
from bursar.kernel import tenancy
from bursar.kernel.auth import Keys
from bursar.kernel.permissions import ROLES
from serving import serving
from stage import set_stage

pytestmark = pytest.mark.anyio

# Left out: `positive_data_acceptance`, because a description cannot say that a text is printable or a cursor ours;
# `ensure_resource_availability` and `use_after_free`, because the answers here are to requests that know no id.
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "missing_required_header",
    "unsupported_method",
    "allow_header_conformance",
    "ignored_auth",
)
FUZZ_S = int(os.environ.get("BURSAR_TEST_FUZZ_S", "0"))


async def generated(port: int, key: str, *, seed: int, examples: int, directory: Path) -> tuple[int, str]:
    """Run the generated requests; return the exit code and what was said."""
    budget = ("--max-time", str(FUZZ_S), "--phases", "examples,coverage,fuzzing")
    short = ("--max-examples", str(examples), "--phases", "examples,fuzzing")
    process = await asyncio.create_subprocess_exec(
        str(Path(sys.executable).parent / "schemathesis"),
        "run",
        f"http://127.0.0.1:{port}/openapi.json",
        *("--header", f"Authorization: Bearer {key}"),
        *(
            "--checks",
            ",".join(CHECKS),
            "--seed",
            str(seed),
            "--request-timeout",
            "20",
            "--generation-database",
            "none",
        ),
        *(budget if FUZZ_S else short),
        cwd=directory,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 240 + FUZZ_S)
    return process.returncode or 0, out.decode()


@pytest.mark.timeout(400 + FUZZ_S)
@pytest.mark.parametrize("role", ["owner", "read-only"] if not FUZZ_S else list(ROLES))
async def test_every_answer_is_one_that_the_description_names(db, database_url, tmp_path, monkeypatch, role):
    stage = await set_stage(db, database_url)
    await lived(stage)
    async with db.tenant(stage.tenant_id) as tx:
        key = await tenancy.create_key(tx, tenant_id=stage.tenant_id, name="fuzz", actor="operator")
    recognised = Keys.principal

    async def restricted(self, *args, **given):
        return replace(await recognised(self, *args, **given), permissions=frozenset(ROLES[role]))

    monkeypatch.setattr(Keys, "principal", restricted)
    # To most of what it asks, a role that may not is told so, whatever the request says: one of each is enough.
    examples = 3 if role == "owner" else 1
    async with serving(database_url, rate_stranger=1_000_000, rate_key_general=1_000_000) as server:
        assert (await server.send("/openapi.json", method="GET")).status == 200  # a busy machine writes it in its time
        code, said = await generated(server.port, key, seed=1, examples=examples, directory=tmp_path)

    assert code == 0, said[-6_000:]
    assert "Tested: " in said
