"""What an operator may choose about a registry, be it in the IMS or alone; and the storage that follows from it."""

import re
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, ByteSize, ConfigDict, Field
from pydantic.dataclasses import dataclass

from api.registry.collect import LEAST_GRACE_SECONDS
from api.registry.contents import Contents, DiskContents
from api.registry.quota import Quota
from api.registry.s3 import S3Contents
from api.registry.storage import RegistryStorage
from api.registry.uploads import IDLE_SECONDS


def _blobs(value: str) -> str:
    if value != "disk" and not re.fullmatch(r"s3://[a-z0-9][a-z0-9.-]+(/[\w./-]*)?", value):
        raise ValueError("must be `disk`, or an address like s3://bucket/prefix")
    return value


def _endpoint(url: str) -> str:
    if url and not re.fullmatch(r"https?://[^/\s]+/?", url):
        raise ValueError("not an address; write it like https://s3.example.com")
    return url


@dataclass(frozen=True, config=ConfigDict(extra="forbid", hide_input_in_errors=True))
class RegistrySettings:
    """How much a registry takes, where it keeps blobs, and when it removes what nothing needs."""

    quota: Annotated[
        ByteSize, Field(ge=0, description="How much room all blobs may take; bytes, or with a unit: `500GiB`. 0 is no limit.")
    ] = ByteSize(0)
    repository_quota: Annotated[
        ByteSize, Field(ge=0, description="How much room the blobs of one repository may take. 0 is no limit.")
    ] = ByteSize(0)
    read_only: Annotated[bool, Field(description="Whether pushes and deletions are refused. Nothing is collected then.")] = (
        False
    )
    upload_idle: Annotated[
        float, Field(gt=0, description="An upload to which nothing is written for so many seconds is given up.")
    ] = IDLE_SECONDS
    blobs: Annotated[
        str,
        AfterValidator(_blobs),
        Field(
            description="Where blobs lie: `disk` (in the registry's folder), or `s3://BUCKET/PREFIX`; needs the extra `aws`."
        ),
    ] = "disk"
    s3_endpoint: Annotated[
        str, AfterValidator(_endpoint), Field(description="The address of an S3 that isn't Amazon's, such as MinIO.")
    ] = ""
    s3_region: Annotated[str, Field(description="The bucket's region, if boto3 doesn't find one by itself.")] = ""
    s3_redirect: Annotated[
        bool, Field(description="Whether clients get blobs from the bucket, or (`false`) through the registry.")
    ] = True
    collect_hours: Annotated[
        float, Field(ge=0, description="How often what nothing needs is removed; 0 leaves it to `exclave registry gc`.")
    ] = 0
    collect_grace_hours: Annotated[
        float,
        Field(
            ge=LEAST_GRACE_SECONDS / 3600,
            description="What was pushed or asked for within so many hours is never removed: more than a push ever takes.",
        ),
    ] = 24

    def open(self, folder: Path) -> RegistryStorage:
        """The storage in a folder. Raises StorageLockedError, BlobsElsewhereError, S3UnusableError, OSError."""
        contents: Contents = DiskContents()
        if self.blobs != "disk":
            contents = S3Contents.connect(
                self.blobs, endpoint=self.s3_endpoint, region=self.s3_region, redirect=self.s3_redirect
            )
        quota = Quota(self.quota or None, self.repository_quota or None)
        return RegistryStorage.open(folder, contents=contents, quota=quota)
