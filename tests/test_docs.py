"""What the documents say is so: the reference is what the code says, links lead somewhere, commands and routes exist."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from bursar.cli.commands import COMMANDS
from bursar.kernel.postgres.ports import free_port
from bursar.kernel.settings import Settings
from bursar.money.gateways import dodo, stripe
from test_up import Up

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
REGENERATE = "run .venv/bin/python docs/generate.py"

sys.path.insert(0, str(ROOT / "docs"))

from generator import commands, markdown, pages, routes  # noqa: E402 - found where the line above says

EVERY = sorted([ROOT / "README.md", ROOT / "ARCHITECTURE.md", *(ROOT / "docs").rglob("*.md")])
LIVING = [path for path in EVERY if path.parent.name != "decisions"]
"""Decisions are history: they may speak of what is gone."""

OF_THE_SCRIPT = {"setup": {"--dev"}, "lock": set()}
OUTSIDE_OPENAPI = {("POST", "/v1/webhooks/{account}"), ("GET", "/docs"), ("GET", "/openapi.json")}
WITHOUT_EFFECT = {
    "invoice.upcoming",
    *(f"setup_intent.{verb}" for verb in ("created", "requires_action", "setup_failed", "canceled")),
}
"""Understood, and nothing follows from them."""
NOT_SETTINGS = {"BURSAR_PYTHON"}

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```", re.MULTILINE | re.DOTALL)
_INLINE = re.compile(r"`([^`\n]+)`")
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
_METHOD_AND_PATH = re.compile(r"\b(GET|POST|PUT|PATCH|DELETE) (/[^\s`\"'|]*)")
_PATH = re.compile(r"/v1/[\w{}$/.…-]+")
_SETTING = re.compile(r"\bBURSAR_[A-Z_]*[A-Z]\b")
_FILE = re.compile(r"[\w.-]+(?:/[\w.-]+)*/[\w.-]+\.(?:py|md|sql|toml|txt)")


def _name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def _code(path: Path) -> Iterator[str]:
    """Yield every line of code: of blocks, with continued lines joined, and between backticks."""
    text = path.read_text(encoding="utf-8")
    for block in _FENCE.finditer(text):
        if block[1] == "sql":
            continue
        yield from block[2].replace("\\\n", " ").splitlines()
    yield from _INLINE.findall(_FENCE.sub("", text))


@cache
def _anchors(path: Path) -> set[str]:
    headings = _HEADING.findall(_FENCE.sub("", path.read_text(encoding="utf-8")))
    return {markdown.anchor(heading.replace("`", "")) for heading in headings}


def test_the_reference_is_what_the_code_says(admin_url):
    made = pages(admin_url)

    differing = [name for name, text in made.items() if (REFERENCE / name).read_text(encoding="utf-8") != text]

    assert not differing, REGENERATE


def test_every_error_says_when_it_is_raised():
    silent = [c.__qualname__ for c in _refusals() if not c.__doc__]

    assert not silent, "give each a docstring: the reference of errors is made of them"


def _refusals() -> Iterator[type]:
    from generator import errors  # noqa: PLC0415 - imports every module of the package

    return errors.refusals()


@pytest.mark.parametrize("path", EVERY, ids=_name)
def test_links_lead_somewhere(path):
    text = _FENCE.sub("", path.read_text(encoding="utf-8"))
    broken = []
    for link in _LINK.findall(text):
        if "://" in link or link.startswith("mailto:"):
            continue
        file, _, fragment = link.partition("#")
        target = (path.parent / file).resolve() if file else path
        if not target.exists() or (fragment and target.suffix == ".md" and fragment not in _anchors(target)):
            broken.append(link)

    assert not broken


@pytest.mark.parametrize("path", LIVING, ids=_name)
def test_commands_exist_and_take_these_options(path):
    wrong = [words for line in _code(path) for words in _commands(line) if not _is_a_command(words)]

    assert not wrong


def _commands(line: str) -> Iterator[list[str]]:
    for part in re.split(r"\||&&|;|\$\(", line):
        found = re.search(r"(?:^|\s)(?:\./|\.venv/bin/)?bursar (?=[a-z])(.*)", part)
        if found and not part.lstrip().startswith(("#", "postgres", "url")):
            words = found[1].rstrip(")").replace("'", "").replace('"', "")
            yield shlex.split(words.split("#")[0])


def _is_a_command(words: list[str]) -> bool:
    name, *rest = words
    if name in OF_THE_SCRIPT:
        return set(rest) <= OF_THE_SCRIPT[name]
    if name not in COMMANDS:
        return False
    known = {usage.name: {n for option in usage.options for n in option.names} for usage in commands.usages(name)}
    word = " ".join([name, *rest[:1]]) if name not in known else name
    if word not in known:
        return not rest  # `bursar gateway` alone names the group
    given = {option.split("=")[0] for option in rest if option.startswith("--") and option != "--"}
    return name == "test" or given <= known[word] | {"--help"}


@pytest.mark.parametrize("path", LIVING, ids=_name)
def test_routes_exist(path):
    text = path.read_text(encoding="utf-8")
    asked = {(method, _bare(found)) for method, found in _METHOD_AND_PATH.findall(text)}
    asked |= {("", _bare(found)) for found in _PATH.findall(text)}

    assert not {route for route in asked if not _is_a_route(*route)}


def _bare(path: str) -> str:
    return path.split("?", maxsplit=1)[0].rstrip("/.,;:)*")


@cache
def _known_routes() -> set[tuple[str, str]]:
    document = routes.description()
    found = {(method.upper(), path) for path, operations in document["paths"].items() for method in operations}
    return found | OUTSIDE_OPENAPI


def _is_a_route(method: str, path: str) -> bool:
    wanted = path.split("/")
    return any(
        method in ("", known_method)
        and len(wanted) == len(template.split("/"))
        and all(b.startswith("{") or a == b for a, b in zip(wanted, template.split("/"), strict=True))
        for known_method, template in _known_routes()
    )


@pytest.mark.parametrize("path", LIVING, ids=_name)
def test_settings_exist(path):
    known = {f"BURSAR_{name.upper()}" for name in Settings.model_fields} | NOT_SETTINGS

    assert not set(_SETTING.findall(path.read_text(encoding="utf-8"))) - known


@pytest.mark.parametrize("path", LIVING, ids=_name)
def test_files_that_are_named_exist(path):
    places = (ROOT, ROOT / "src" / "bursar", ROOT / "src", path.parent)
    named = {word for word in _INLINE.findall(path.read_text(encoding="utf-8")) if _FILE.fullmatch(word)}

    assert not {word for word in named if not any((place / word).exists() for place in places)}


@pytest.mark.parametrize(("page", "gateway"), [("connect-stripe.md", stripe), ("connect-dodo.md", dodo)])
def test_the_events_to_enable_are_those_that_are_acted_on(page, gateway):
    blocks = _FENCE.findall((ROOT / "docs" / "how-to" / page).read_text(encoding="utf-8"))

    listed = next(text.split() for kind, text in blocks if kind == "text")

    assert sorted(listed) == sorted(gateway.READERS.keys() - WITHOUT_EFFECT)


@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("openssl")), reason="needs curl and openssl")
def test_the_tutorial_runs_as_printed():
    directory = Path(tempfile.mkdtemp(prefix="bursar-test-"))
    directory.chmod(0o711)
    up = Up(directory / "data", "--port", str(free_port()))
    said = _run_tutorial(up)
    up.stop()
    up.process.stdout.close()
    up.process.stderr.close()
    shutil.rmtree(directory)

    unlike = [(expected, answer) for expected, answer in said if not re.search(_pattern(expected), answer)]
    assert not unlike
    assert len(said) > 5


def _run_tutorial(up: Up) -> list[tuple[str, str]]:
    """Run every block of the tutorial in one shell; return what it promises to print, and what was printed."""
    blocks = _FENCE.findall((ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8"))
    script = "\n".join(f"{text}\necho @@@@" for kind, text in blocks if kind == "sh")
    script = script.replace("http://127.0.0.1:8420", up.facts["url"]).replace("./bursar", f"{sys.executable} -m bursar")
    done = subprocess.run(
        ["bash", "-eu", "-c", script],
        cwd=up.directory.parent,
        env={
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "BURSAR_DATA": str(up.directory),
            "PYTHONPATH": os.environ.get("PYTHONPATH", ""),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answers = iter(done.stdout.split("@@@@\n"))
    said, answer = [], None
    for kind, text in blocks:
        if kind == "sh":
            answer = next(answers)
        elif kind == "text" and answer is not None:
            said.append((text, answer))
    return said


def _pattern(expected: str) -> str:
    """What stands for something else each time is an ellipsis."""
    return re.escape(expected.strip()).replace("…", ".*")
