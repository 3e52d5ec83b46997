"""Write `docs/reference` from the code: `.venv/bin/python docs/generate.py [DIRECTORY]`.

A PostgreSQL of its own is started for the tables and thrown away afterwards. `tests/test_docs.py` compares.
"""  # noqa: INP001 - a script, not a package

import asyncio
import shutil
import sys
import tempfile
from pathlib import Path

from generator import pages

from bursar.kernel import migrations
from bursar.kernel.postgres import Cluster


def main() -> None:
    """Write every generated page into the directory, by default beside this script."""
    here = Path(__file__).parent / "reference"
    directory = Path(sys.argv[1]) if len(sys.argv) > 1 else here
    directory.mkdir(parents=True, exist_ok=True)
    for name, text in _with_a_database().items():
        (directory / name).write_text(text, encoding="utf-8")
        sys.stdout.write(f"{directory / name}\n")


def _with_a_database() -> dict[str, str]:
    place = Path(tempfile.mkdtemp(prefix="bursar-docs-"))
    cluster = Cluster(place, durable=False)
    try:
        cluster.start()
        asyncio.run(migrations.migrate(cluster.admin_url, login="bursar_app"))
        return pages(cluster.admin_url)
    finally:
        cluster.stop("immediate")
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
