"""What tests of backups share."""

from collections.abc import Iterator

import pytest
from s3_server import S3


@pytest.fixture(scope="module")
def s3() -> Iterator[S3]:
    server = S3()
    yield server
    server.end()
