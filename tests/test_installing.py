"""The script at the root: any directory, any link, and locks that name no host."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

OVERVIEW = """
import sys
sys.argv = ["bursar", "--help"]
try:
    from bursar.cli import main
    main()
except SystemExit:
    print({"typer", "fastapi", "asyncpg"} & set(sys.modules))
"""


def run(*command: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command, cwd=cwd, capture_output=True, text=True, check=False, env={**os.environ, **environment}, timeout=60
    )


@pytest.mark.skipif(not (ROOT / ".venv" / "installed-dev").exists(), reason="not installed by the script itself")
def test_script_works_from_any_directory_and_through_a_link(tmp_path):
    (tmp_path / "a link").symlink_to(ROOT / "bursar")

    answer = run(tmp_path / "a link", "--version", cwd=tmp_path)

    assert (answer.returncode, answer.stdout) == (0, "0.1.0\n")


def test_without_python_it_says_what_is_missing(tmp_path):
    for tool in ("sh", "dirname", "cat", "cksum", "mkdir", "sed"):
        (tmp_path / tool).symlink_to(f"/usr/bin/{tool}")
    copy = tmp_path / "bursar"
    copy.write_bytes((ROOT / "bursar").read_bytes())
    (tmp_path / "requirements").mkdir()
    (tmp_path / "requirements" / "run.txt").touch()
    (tmp_path / "pyproject.toml").touch()

    answer = run("/bin/sh", copy, "up", cwd=tmp_path, PATH=str(tmp_path))

    assert answer.returncode == 1
    assert answer.stderr.startswith("bursar: Python 3.11 or newer is needed and none was found")


@pytest.mark.parametrize("name", ["run.txt", "dev.txt", "uv.txt"])
def test_locks_name_a_hash_for_everything_and_no_host(name):
    lines = (ROOT / "requirements" / name).read_text().splitlines()

    assert not [line for line in lines if "://" in line or "index-url" in line]
    assert all("--hash=sha256:" in lines[at + 1] for at, line in enumerate(lines) if "==" in line)


def test_overview_loads_no_framework():
    answer = run(sys.executable, "-c", OVERVIEW, cwd=ROOT)

    assert answer.stdout.rstrip().endswith("set()")
