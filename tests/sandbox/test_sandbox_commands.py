"""`bursar sandbox` from the command line, against one that runs."""

import asyncio
import json
from pathlib import Path
from typing import Any

from bursar.kernel.files import write_private_json
from commanding import command
from sandboxing import SECRET, TOKEN, inbox, sandbox_at


async def run(*arguments: str, data: Path, **environment: str) -> tuple[int, dict[str, Any]]:
    done = await asyncio.to_thread(command, "sandbox", *arguments, "--data", str(data), "--json", **environment)
    return done.code, json.loads(done.out)


async def test_the_commands_move_the_clock_turn_switches_and_list_deliveries(tmp_path: Path) -> None:
    async with sandbox_at(tmp_path / "sandbox") as sandbox, inbox() as box:
        write_private_json(tmp_path / "sandbox" / "sandbox.json", {"url": sandbox.url, "token": TOKEN, "pid": 1})

        delivering = await run(
            *("deliver", "--key", sandbox.key, "--to", box.url, "--signing-secret", SECRET), data=tmp_path
        )
        turned = await run("misbehave", "drop=1", "seed=3", "down=no", "writes_only=no", data=tmp_path)
        await sandbox.done("POST", "/v1/customers", {"name": "Ann"})
        await sandbox.until_attempted(1)
        moved = await run("advance", "40d", data=tmp_path)
        listed = await run("deliveries", data=tmp_path)
        wrong = await run("advance", "soon", data=tmp_path)

    assert (delivering[0], box.received) == (0, [])
    assert (turned[1]["drop"], turned[1]["seed"], turned[1]["writes_only"]) == (1, 3, False)
    assert (moved[0], moved[1]["ahead_s"] // 86_400, moved[1]["advancing_to"]) == (0, 40, None)
    assert [(one["type"], one["state"]) for one in listed[1]["data"]] == [("customer.created", "dropped")]
    assert (wrong[0], wrong[1]["error"]["code"]) == (1, "span_invalid")


async def test_there_is_no_sandbox_in_production(tmp_path: Path) -> None:
    code, said = await run("serve", "--port", "1", data=tmp_path, BURSAR_PRODUCTION="true")

    assert (code, said["error"]["code"]) == (1, "sandbox_not_for_production")
    assert not (tmp_path / "sandbox").exists()
