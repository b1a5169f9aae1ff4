"""The emulated clouds, afresh for each file of tests."""

from collections.abc import Iterator

import pytest
from emulators import GoogleKeys, aws, google


@pytest.fixture(scope="session")
def google_keys() -> GoogleKeys:
    return GoogleKeys()


@pytest.fixture(scope="module")
def aws_endpoint(google_keys: GoogleKeys, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with aws(tmp_path_factory.mktemp("aws"), google_keys) as endpoint:
        yield endpoint


@pytest.fixture(scope="module")
def google_endpoint(aws_endpoint: str) -> Iterator[str]:
    with google(aws_endpoint) as endpoint:
        yield endpoint
