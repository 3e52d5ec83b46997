"""`bursar client`: write a typed Python client of this version's API, with a generator that others keep."""

import importlib.util
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from bursar.cli.options import Json, answer
from bursar.kernel.errors import Unavailable
from bursar.kernel.settings import Settings
from bursar.web.app import create_app

_GENERATOR = "openapi_python_client"
_PACKAGE = "bursar_client"
_TIMEOUT_S = 300


class GeneratorMissing(Unavailable):
    """The generator belongs to the tools of development."""

    code = "generator_missing"


class GeneratorFailed(Unavailable):
    """The generator did not accept the description of the API."""

    code = "generator_failed"


def client(
    out: Annotated[Path, typer.Option(help="Directory to write; what it holds is replaced.")] = Path("bursar-client"),
    *,
    as_json: Json = False,
) -> None:
    """Write the package `bursar_client` for this version's API. Install it with `pip install ./bursar-client`."""
    if importlib.util.find_spec(_GENERATOR) is None:
        raise GeneratorMissing(f"{_GENERATOR} is not installed", hint="Run ./bursar setup --dev first.")
    with tempfile.TemporaryDirectory() as scratch:
        document = Path(scratch) / "openapi.json"
        document.write_text(json.dumps(create_app(Settings()).api.openapi()), encoding="utf-8")
        config = Path(scratch) / "config.json"
        config.write_text(json.dumps({"package_name_override": _PACKAGE, "project_name_override": "bursar-client"}))
        _generate(document, config, out.resolve())
    place = str(out.resolve())
    answer({"package": _PACKAGE, "directory": place}, f"pip install {place}", as_json=as_json)


def _generate(document: Path, config: Path, out: Path) -> None:
    command = [sys.executable, "-m", _GENERATOR, "generate", "--path", str(document), "--config", str(config)]
    command += ["--output-path", str(out), "--overwrite", "--meta", "setup", "--fail-on-warning"]
    # It formats what it wrote with a tool that stands beside the interpreter, and maybe nowhere else.
    environment = {
        **os.environ,
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", ""))),
    }
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)  # noqa: S603 - our own arguments
    if done.returncode:
        raise GeneratorFailed((done.stdout + done.stderr)[-1_500:])
