from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from sandboxing import Sandbox, sandbox_at


@pytest.fixture
async def sandbox(tmp_path: Path) -> AsyncIterator[Sandbox]:
    async with sandbox_at(tmp_path) as served:
        yield served
