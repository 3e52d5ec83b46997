"""Who asks: the connection's peer, or what a trusted proxy says of it, and never what a stranger says of himself."""

import pytest
from pydantic import ValidationError

from bursar.cli import server
from bursar.kernel.http.addresses import HOPS_MAX, client_address, normal, source_of
from bursar.kernel.settings import Settings
from bursar.web.app import create_app

PROXIES = "10.0.0.0/8, 192.0.2.7, 2001:db8:ffff::/48"


def asked(peer: str | None, *values: str, header: str = "x-forwarded-for", trusted: str = PROXIES) -> str:
    scope = {
        "type": "http",
        "client": (peer, 4711) if peer else None,
        "headers": [(b"host", b"pay.example.org"), *((header.encode(), value.encode("latin-1")) for value in values)],
    }
    return client_address(scope, Settings(trusted_proxies=trusted, forwarded_header=header))


def test_without_proxies_the_peer_is_the_client_whatever_the_headers_say():
    assert asked("203.0.113.9", "198.51.100.1", trusted="") == "203.0.113.9"
    assert asked("127.0.0.1", "198.51.100.1", trusted="") == "127.0.0.1"
    assert asked("203.0.113.9", "198.51.100.1") == "203.0.113.9"


def test_a_trusted_proxy_is_believed_and_what_a_stranger_wrote_before_it_is_not():
    assert asked("10.0.0.1", "203.0.113.9") == "203.0.113.9"
    assert asked("10.0.0.1", "198.51.100.1, 203.0.113.9") == "203.0.113.9"
    assert asked("10.0.0.1", "198.51.100.1", "203.0.113.9") == "203.0.113.9"
    assert asked("10.0.0.1", "127.0.0.1, 203.0.113.9, 10.0.0.2, 192.0.2.7") == "203.0.113.9"


def test_a_proxy_that_tells_nothing_stands_for_the_client():
    assert asked("10.0.0.1") == "10.0.0.1"
    assert asked("10.0.0.1", "") == "10.0.0.1"
    assert asked("10.0.0.1", "10.0.0.3, 10.0.0.2") == "10.0.0.3"


@pytest.mark.parametrize(
    "hostile",
    [
        "unknown",
        "_hidden",
        "203.0.113.9.evil",
        "0x7f.1",
        "127.1",
        "2130706433",
        "1.2.3.4/0",
        "' or 1=1 --",
        "203.0.113.9\t;",
        "::fffff",
        "[::1",
        "1" * 100_000,
        ",,,",
        "٣.٣.٣.٣".encode().decode("latin-1"),
        "1.2.3.4:99999999",
        "\x00",
    ],
)
def test_what_is_no_address_ends_the_chain_at_the_last_proxy(hostile):
    assert asked("10.0.0.1", f"198.51.100.1, {hostile}, 10.0.0.2") == "10.0.0.2"
    assert asked("10.0.0.1", f"203.0.113.9, {hostile}") == "10.0.0.1"


def test_a_chain_longer_than_any_real_one_is_not_followed():
    assert asked("10.0.0.1", ", ".join(["203.0.113.9", *["10.0.0.2"] * HOPS_MAX])) == "10.0.0.2"
    assert asked("10.0.0.1", ", ".join(["203.0.113.9", *["10.0.0.2"] * (HOPS_MAX - 1)])) == "203.0.113.9"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("for=203.0.113.9", "203.0.113.9"),
        ('For="203.0.113.9:4711";proto=https;by=10.0.0.1', "203.0.113.9"),
        ('proto=https; for="[2001:DB8::1]:4711"', "2001:db8::1"),
        ("for=198.51.100.1, for=203.0.113.9;proto=http, for=10.0.0.2", "203.0.113.9"),
        ('for="198.51.100.1, for=203.0.113.9', "203.0.113.9"),
        ('for=198.51.100.1;host="a, for=203.0.113.9', "203.0.113.9"),
        ("for=unknown", "10.0.0.1"),
        ("for=_gazonk", "10.0.0.1"),
        ("by=203.0.113.9", "10.0.0.1"),
        ("xfor=203.0.113.9", "10.0.0.1"),
        ('for="203.0.113.9', "10.0.0.1"),
        ("", "10.0.0.1"),
    ],
)
def test_forwarded(value, expected):
    assert asked("10.0.0.1", value, header="forwarded") == expected


def test_only_the_header_that_the_proxies_write_is_read():
    """A proxy that appends to one of them lets the other one through as the stranger sent it."""
    scope = {
        "type": "http",
        "client": ("10.0.0.1", 1),
        "headers": [
            (b"forwarded", b"for=127.0.0.1"),
            (b"x-real-ip", b"127.0.0.1"),
            (b"x-forwarded-for", b"203.0.113.9"),
        ],
    }

    assert client_address(scope, Settings(trusted_proxies=PROXIES)) == "203.0.113.9"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("203.0.113.9:80", "203.0.113.9"),
        ("2001:DB8:0:0::1", "2001:db8::1"),
        ("[2001:db8::1]:80", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("fe80::1%eth0", "fe80::1"),
        (" 203.0.113.9 ", "203.0.113.9"),
        ("203.0.113.09", ""),
        ("", ""),
    ],
)
def test_an_address_has_one_form(text, expected):
    assert normal(text) == expected


def test_a_peer_of_mapped_ipv4_is_trusted_as_ipv4():
    assert asked("::ffff:10.0.0.1", "203.0.113.9") == "203.0.113.9"


def test_a_connection_without_an_address_is_unknown_and_trusts_nothing():
    assert asked(None, "203.0.113.9", trusted="0.0.0.0/0,::/0") == ""


def test_a_source_is_an_ipv4_address_or_a_subscribers_network():
    assert source_of("203.0.113.9") == "203.0.113.9"
    assert source_of("2001:db8:1:2:aaaa::1") == source_of("2001:db8:1:2:bbbb::2") == "2001:db8:1:2::/64"
    assert source_of("2001:db8:1:3::1") != source_of("2001:db8:1:2::1")
    assert source_of("") == ""


@pytest.mark.parametrize("text", ["10.0.0.1/8", "proxy.example.org", "10.0.0.0/33"])
def test_proxies_that_are_no_networks_keep_the_process_from_starting(text):
    with pytest.raises(ValidationError, match="trusted_proxies"):
        Settings(trusted_proxies=text)


def test_a_public_address_is_kept_without_its_last_slash():
    assert Settings(public_url="https://pay.example.org/").public_url == "https://pay.example.org"


def test_the_server_does_not_read_such_headers_by_itself():
    app = create_app(Settings(database_url="postgresql://nobody@127.0.0.1:1/none"))

    assert server.server_of(app).config.proxy_headers is False
