"""Blobs in an S3 bucket: clients get them from there, by a redirect to a signed URL; the registry's folder has the rest.

A blob's record is its size in decimal digits. Objects are named `<prefix>sha256/<hex>` or `<prefix>sha512/<hex>`. boto3 finds
its credentials as always (environment, profile, the machine's role); it comes with the extra `aws`.
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from api.registry import durable, names
from api.registry.errors import ContentsUnavailableError

REDIRECT_SECONDS = 900
"""So long is a signed URL good: a client follows it at once, and may resume within this time."""

_PART_BYTES = 8 * 1024 * 1024
_PARTS_AT_ONCE = 2
"""Two parts of a large blob are in memory at a time."""


class S3UnusableError(Exception):
    """The bucket can't be used as it is set. The text says why, and what to do."""


@dataclass(frozen=True)
class S3Contents:
    """`Contents` in a bucket. Without `redirect` the registry passes the bytes on, for clients that can't reach the bucket."""

    client: Any
    bucket: str
    prefix: str
    redirect: bool = True

    @classmethod
    def connect(cls, url: str, *, endpoint: str = "", region: str = "", redirect: bool = True) -> "S3Contents":
        """The bucket of `s3://BUCKET[/PREFIX]`. Raises S3UnusableError if boto3 or the bucket isn't there for us."""
        try:
            import boto3
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError, ClientError
        except ImportError:
            raise S3UnusableError("blobs in S3 need boto3: `pip install 'exclave[aws]'`") from None
        bucket, _, prefix = url.removeprefix("s3://").partition("/")
        # Paths instead of host names for other than Amazon's own S3, which rarely have a name for each bucket.
        style = {"addressing_style": "path"} if endpoint else {}
        config = Config(signature_version="s3v4", s3=style, retries={"mode": "standard", "max_attempts": 4})
        try:
            client = boto3.client("s3", endpoint_url=endpoint or None, region_name=region or None, config=config)
            client.head_bucket(Bucket=bucket)
        except (BotoCoreError, ClientError, ValueError) as error:
            raise S3UnusableError(
                f"the bucket {bucket!r} can't be used: {error}. Check its name and region, and that these credentials may "
                "s3:ListBucket, s3:GetObject, s3:PutObject and s3:DeleteObject"
            ) from None
        return cls(client, bucket, f"{prefix.rstrip('/')}/" if prefix else "", redirect)

    @property
    def place(self) -> str:
        """The bucket's URL."""
        return f"s3://{self.bucket}/{self.prefix}"

    def keep(self, digest: str, received: Path) -> None:
        """Upload the file, and write its size in its place."""
        from boto3.s3.transfer import TransferConfig

        size = received.stat().st_size
        plan = TransferConfig(multipart_threshold=_PART_BYTES, multipart_chunksize=_PART_BYTES, max_concurrency=_PARTS_AT_ONCE)
        with _answering("store a blob"):
            self.client.upload_file(str(received), self.bucket, self._key(digest), Config=plan)
        durable.write_file(received, str(size).encode())

    def forget(self, digest: str) -> None:
        """Delete the object, if it is there."""
        with _answering("delete a blob"):
            self.client.delete_object(Bucket=self.bucket, Key=self._key(digest))

    def size(self, record: Path) -> int:
        """What the record says."""
        return int(record.read_text())

    def open(self, digest: str, record: Path, start: int, end: int) -> BinaryIO:
        """The object's bytes, as they come."""
        record.stat()  # FileNotFoundError, if the repository doesn't have it
        if start == end:
            return open(os.devnull, "rb")  # noqa: PTH123 (an empty file, whose range S3 refuses)
        with _answering("read a blob"):
            answer = self.client.get_object(Bucket=self.bucket, Key=self._key(digest), Range=f"bytes={start}-{end - 1}")
        return cast(BinaryIO, answer["Body"])

    def address(self, digest: str) -> str | None:
        """A signed URL for a GET."""
        if not self.redirect:
            return None
        with _answering("sign an address"):
            parameters = {"Bucket": self.bucket, "Key": self._key(digest)}
            url: str = self.client.generate_presigned_url("get_object", Params=parameters, ExpiresIn=REDIRECT_SECONDS)
            return url

    def older_than(self, moment: float) -> list[tuple[str, int]]:
        """All objects of the prefix that are old enough."""
        found = []
        with _answering("list the bucket"):
            for page in self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix):
                for listed in page.get("Contents", []):
                    digest = listed["Key"].removeprefix(self.prefix).replace("/", ":")
                    if names.is_digest(digest) and listed["LastModified"].timestamp() < moment:
                        found.append((digest, int(listed["Size"])))
        return found

    def _key(self, digest: str) -> str:
        return self.prefix + digest.replace(":", "/")


@contextlib.contextmanager
def _answering(what: str) -> Iterator[None]:
    """Says in the registry's own words that S3 doesn't do what it is asked."""
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (Boto3Error, BotoCoreError, ClientError) as error:
        message = f"the registry couldn't {what} in S3; try again, and tell its operator: {type(error).__name__}"
        raise ContentsUnavailableError(message, headers={"Retry-After": "5"}) from error
