from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from fake_gcs import fake_gcs

from agent.state import s3
from agent.state.folder import FolderStore
from agent.state.gcs import GcsStore
from agent.state.store import Store


@pytest.fixture(params=["folder", pytest.param("s3", marks=pytest.mark.service), "gcs"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """Each kind of store, empty."""
    match request.param:
        case "folder":
            yield FolderStore(tmp_path / "store")
        case "s3":
            place = request.getfixturevalue("s3_place")
            bucket, endpoint = place.removeprefix("s3://").split("/")[0], place.split("endpoint=")[1]
            yield s3.connect(place, bucket, "exclave/", endpoint=endpoint, region="us-east-1")
        case _:
            with fake_gcs() as (url, _), requests.Session() as session:
                yield GcsStore(session, "states", "exclave/", "gs://states/exclave", url=url)
