"""Every store of backups does the same: a directory, and a bucket of a real S3 server."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from s3_server import S3

from bursar import backups
from bursar.backups.buckets import BackupStoreInvalid, Bucket, BucketStore
from bursar.backups.store import DirectoryStore, Store

PART = 16 * 1024 * 1024


@pytest.fixture(params=["directory", "bucket"])
def store(request, tmp_path: Path) -> Store:
    if request.param == "directory":
        return DirectoryStore(tmp_path / "store")
    bucket = request.getfixturevalue("s3").bucket
    return BucketStore(replace(bucket, address=f"{bucket.address}/{tmp_path.name}"))


def read(store: Store, name: str) -> bytes:
    with store.open(name) as content:
        return b"".join(iter(lambda: content.read(1000_000), b""))


def test_an_object_is_kept_replaced_listed_and_removed(store):
    assert store.put("wal/a/one", [b"first", b"", b" words"]) == 11
    assert store.put("wal/a/one", [b"others"]) == 6
    store.put("wal/b", [b"b"])
    store.put("wall", [b"not below"])

    with store.open("wal/a/one") as content:
        assert (content.read(3), content.tell(), content.read(100), content.read(1), content.tell()) == (
            b"oth", 3, b"ers", b"", 6,
        )  # fmt: skip
    assert store.names("wal") == store.names("wal/") == ["wal/a/one", "wal/b"]
    assert (store.has("wal/a/one"), store.has("wal/a"), store.has("wal/a/one/more")) == (True, False, False)
    for _ in range(2):
        store.remove("wal/a/one")
    store.tidy()
    assert store.names("wal") == ["wal/b"]
    assert store.names("nothing") == []
    with pytest.raises(backups.BackupObjectMissing, match="wal/a/one is missing"):
        read(store, "wal/a/one")


def test_an_object_is_added_once(store):
    assert store.add("one", b"first")
    assert not store.add("one", b"second")

    assert read(store, "one") == b"first"
    assert store.names("") == ["one"]


def test_a_large_object_goes_in_parts_and_comes_back_whole(store):
    pieces = [bytes([number]) * 700_001 for number in range(60)]

    size = store.put("large", iter(pieces))

    assert size > 2 * PART
    assert read(store, "large") == b"".join(pieces)


@pytest.mark.parametrize("pieces", [1, 60])
def test_an_object_whose_maker_fails_is_none(store, pieces):
    store.put("one", [b"before"])

    def making() -> Iterator[bytes]:
        yield from (b"x" * 700_000 for _ in range(pieces))
        raise backups.BackupFailed("the server broke off")

    with pytest.raises(backups.BackupFailed, match="the server broke off"):
        store.put("one", making())

    assert read(store, "one") == b"before"
    assert store.names("") == ["one"]


def test_a_store_that_is_not_there_is_refused_by_name(tmp_path, s3):
    (tmp_path / "file").touch()
    for store in (
        DirectoryStore(tmp_path / "file" / "store"),
        BucketStore(replace(s3.bucket, address="s3://unknown/bucket")),
    ):
        with pytest.raises(backups.BackupStoreFailed) as refused:
            store.put("one", [b"x"])

        assert store.place in refused.value.message


def test_an_object_replaced_while_it_is_read_is_not_read_mixed(s3: S3):
    store = BucketStore(s3.bucket)
    store.put("mixed", [b"a" * 200_000])

    with store.open("mixed") as content:
        content.read(1000)
        store.put("mixed", [b"b" * 200_000])
        with pytest.raises(backups.BackupStoreFailed, match="mixed was replaced"):
            while content.read(50_000):
                pass


@pytest.mark.parametrize("address", ["s3://", "s3:///prefix", "s3://key:secret@bucket/x", "s3://bucket?x=1"])
def test_an_address_that_is_none_is_refused_without_being_repeated(address):
    with pytest.raises(BackupStoreInvalid) as refused:
        BucketStore(Bucket(address))

    assert "secret" not in str(refused.value)


def test_revoked_credentials_are_named_and_never_told(s3):
    store = BucketStore(s3.bucket)
    store.put("one", [b"x"])
    s3.revoke()

    acts = [
        lambda: store.put("one", [b"y"]),
        lambda: store.add("two", b"y"),
        lambda: read(store, "one"),
        lambda: store.has("one"),
        lambda: store.names(""),
        lambda: store.remove("one"),
    ]
    try:
        for act in acts:
            with pytest.raises(
                backups.BackupStoreFailed, match=r"s3://kept/of/bursar refuses: 403 Forbidden"
            ) as refused:
                act()
            assert "AKIAKNOWN" not in str(refused.value)
            assert "very-secret" not in f"{refused.value!r} {s3.bucket!r}"
    finally:
        s3.revoke(after=10**9)
