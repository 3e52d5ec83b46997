"""What docs/security/ says is so: each requirement once, every file, function and test that is named exists."""

import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from bursar.kernel.security import KINDS

ROOT = Path(__file__).parents[1]
SECURITY = ROOT / "docs" / "security"
PAGE = (SECURITY / "asvs.md").read_text(encoding="utf-8")

ASKED = {
    "2": "1.1 1.2 1.3 2.1 2.2 2.3 3.1 3.2 3.3 3.4 4.1",
    "4": "1.1 1.2 1.3 2.1 3.1 3.2 4.1 4.2 4.3 4.4",
    "6": (
        "1.1 1.2 1.3 2.1 2.2 2.3 2.4 2.5 2.6 2.7 2.8 2.9 2.10 2.11 2.12 3.1 3.2 3.3 3.4 4.1 4.2 4.3 4.4"
        " 5.1 5.2 5.3 5.4 5.5 6.1 6.2 6.3 8.1 8.2 8.3 8.4"
    ),
    "7": "1.1 1.2 1.3 2.1 2.2 2.3 2.4 3.1 3.2 4.1 4.2 4.3 4.4 4.5 5.1 5.2 6.1 6.2",
    "8": "1.1 1.2 2.1 2.2 2.3 3.1 4.1",
    "9": "1.1 1.2 1.3 2.1 2.2 2.3 2.4",
    "11": "1.1 1.2 2.1 2.2 2.3 3.1 3.2 3.3 4.1 4.2 4.3 4.4 5.1 6.1",
    "13": "1.1 2.1 2.2 2.3 2.4 2.5 3.1 3.2 4.1 4.2 4.3 4.4 4.5",
    "16": "1.1 2.1 2.2 2.3 2.4 2.5 3.1 3.2 3.3 3.4 4.1 4.2 4.3 5.1 5.2 5.3",
}
"""The requirements of levels 1 and 2 of these chapters of OWASP ASVS 5.0.0."""

_ROW = re.compile(r"^\| (V\d+\.\d+\.\d+) \| ([^|]+) \| ([^|]+) \| (.+) \|$", re.MULTILINE)
_CODE = re.compile(r"`([^`\n]+)`")
_TEST = re.compile(r"(tests/[\w/]+\.py)::(test_\w+)")
_PLACE = re.compile(r"([\w/]+\.py):(\w+)")
ROWS = {row[1]: row for row in _ROW.finditer(PAGE)}


def test_every_requirement_is_answered_once_and_none_is_made_up():
    asked = [f"V{chapter}.{rest}" for chapter, told in ASKED.items() for rest in told.split()]

    assert Counter(row[1] for row in _ROW.finditer(PAGE)) == Counter(asked)
    assert {row[3] for row in ROWS.values()} <= {"met", "partly", "not met", "n/a"}


def test_what_is_lacking_is_said_at_the_beginning():
    head = PAGE.partition("## What is not met")[2].partition("## V2 ")[0]

    lacking = [one for one, row in ROWS.items() if row[3] in ("partly", "not met")]

    assert sorted(re.findall(r"V\d+\.\d+\.\d+", head)) == sorted(lacking)


@pytest.mark.parametrize("one", ROWS)
def test_what_a_row_names_exists(one):
    for name in _CODE.findall(ROWS[one][4]):
        if found := _TEST.fullmatch(name):
            assert re.search(rf"^(?:async )?def {found[2]}\(", _text(ROOT / found[1]), re.MULTILINE), name
        elif found := _PLACE.fullmatch(name):
            there = rf"^\s*(?:async def|def|class) {found[2]}\b|^{found[2]}\b.*="
            assert re.search(there, _text(ROOT / "src" / "bursar" / found[1]), re.MULTILINE), name
        elif name.endswith(".py"):
            assert any((place / name).exists() for place in (ROOT, ROOT / "src" / "bursar")), name


@pytest.mark.parametrize("one", [one for one, row in ROWS.items() if row[3] == "met"])
def test_what_is_met_says_by_what(one):
    assert _CODE.search(ROWS[one][4]) or "](" in ROWS[one][4] or "there are none" in ROWS[one][4]


@cache
def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def test_every_kind_of_security_event_is_in_the_inventory_of_logs():
    told = (SECURITY / "logs.md").read_text(encoding="utf-8").partition("## Security events")[2].partition("\n## ")[0]

    assert set(re.findall(r"`([a-z]+_[a-z_]+)`", told)) - {"security_event"} == set(KINDS)
