"""Workers and commands load no web framework: it takes longer to import than most commands take to answer."""

import subprocess
import sys

import pytest

WITHOUT = ("fastapi", "jinja2", "bursar.web.app", "bursar.web.pages")


@pytest.mark.parametrize("module", ["bursar.worker", "bursar.cli.users", "bursar.cli.verify", "bursar.cli.demo"])
def test_only_the_api_loads_the_web_framework(module: str) -> None:
    asked = f"import sys, {module}; print([name for name in {WITHOUT!r} if name in sys.modules])"

    done = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"
