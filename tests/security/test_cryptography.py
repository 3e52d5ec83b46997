"""Which cryptography is used, and that no other is: the list of it is docs/security/cryptography.md."""

import ast
import base64
from pathlib import Path
from uuid import UUID

import pytest

import bursar
from bursar.kernel.identity import second_factor, tokens
from bursar.kernel.seal import Seal, SecretKeyWrong

SOURCE = Path(bursar.__file__).parent
HASHES = {"sha256", "blake2b"}
WITHOUT_SECURITY = (
    "kernel/jobs/writing.py",
    "money/gateways/sandbox/",
    "operations/",
    "sandbox/misbehaviour.py",
    "worker/applier.py",
)
"""Where chance needs no secrecy and must be repeatable: made-up histories, bad days, and how long a worker waits."""
REFUSED = {"md5", "sha1", "CERT_NONE", "_create_unverified_context", "ECB", "PKCS1v15", "DES", "TripleDES", "ARC4"}


def key_of(byte: bytes) -> str:
    return base64.urlsafe_b64encode(byte * 32).decode()


def test_only_the_algorithms_of_the_list_are_used():
    found: dict[str, set[str]] = {}
    for path in SOURCE.rglob("*.py"):
        place = str(path.relative_to(SOURCE))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            wrong = _wrong(node)
            if wrong and not (wrong == "random" and place.startswith(WITHOUT_SECURITY)):
                found.setdefault(place, set()).add(wrong)

    assert found == {}


def _wrong(node: ast.AST) -> str | None:
    """Return what is used here and is not on the list: a hash, a cipher, chance that can be foreseen, TLS unverified."""
    match node:
        case ast.Attribute(value=ast.Name(id="hashlib"), attr=name) if name not in HASHES:
            return name
        case ast.Attribute(attr=name) | ast.Name(id=name) if name in REFUSED:
            return name
        case ast.Import(names=[ast.alias(name="random")]) | ast.ImportFrom(module="random"):
            return "random"
        case ast.ImportFrom(module=str(module)) if ".ciphers" in module and not module.endswith(".aead"):
            return module
        case ast.keyword(arg="verify" | "check_hostname", value=ast.Constant(value=False)):
            return "unverified"
    return None


@pytest.mark.parametrize(
    "text",
    [
        "import hashlib\nhashlib.md5(b'')",
        "import random",
        "from random import choice",
        "import ssl\nssl._create_unverified_context()",
        "client(verify=False)",
        "from cryptography.hazmat.primitives.ciphers.modes import ECB",
    ],
)
def test_each_of_them_would_be_found(text):
    assert any(_wrong(node) for node in ast.walk(ast.parse(text)))


def test_a_sealed_secret_opens_only_whole_in_its_place_and_with_its_key():
    seal = Seal(key_of(b"k"))
    sealed = seal.seal("whsec_x", purpose="a")

    assert seal.open(sealed, purpose="a") == "whsec_x"
    assert seal.seal("whsec_x", purpose="a") != sealed, "a nonce of its own each time"
    changed = [sealed[:at] + bytes([sealed[at] ^ 1]) + sealed[at + 1 :] for at in range(len(sealed))]
    for wrong, opener, purpose in [
        *((one, seal, "a") for one in changed),
        (sealed[:-1], seal, "a"),
        (sealed, seal, "b"),
        (sealed, Seal(key_of(b"l")), "a"),
    ]:
        with pytest.raises(SecretKeyWrong):
            opener.open(wrong, purpose=purpose)


@pytest.mark.parametrize("key", ["", "short", base64.urlsafe_b64encode(b"k" * 16).decode(), "é" * 43])
def test_a_key_of_another_length_seals_nothing(key):
    with pytest.raises(SecretKeyWrong):
        Seal(key)


def test_what_must_not_be_guessed_has_128_random_bits_at_least():
    texts = {tokens.make(UUID(int=1), UUID(int=2))[0].partition("_")[2] for _ in range(100)}

    assert len(texts) == 100
    assert {len(base64.urlsafe_b64decode(text + "=")) * 8 for text in texts} == {256}
    assert len(second_factor._CODE_ALPHABET) ** second_factor._CODE_LENGTH > 2**128
