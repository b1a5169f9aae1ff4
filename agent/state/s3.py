"""State in an S3 bucket, or one of a service that speaks S3 with conditional writes.

https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html. boto3 finds its credentials as always
(environment, profile, the machine's role); it comes with the extra `aws`.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from agent.state.store import Found, MovedOnError, StateUnreachableError

_MISSING = {"NoSuchKey", "404"}
_MOVED_ON = {"PreconditionFailed", "ConditionalRequestConflict", "412", "409"}
_CONNECT_SECONDS = 10
_ANSWER_SECONDS = 30


def connect(place: str, bucket: str, prefix: str, *, endpoint: str | None, region: str | None) -> "S3Store":
    """The store in a bucket. Calls nothing yet. Raises StateUnreachableError without boto3."""
    try:
        import boto3
        from botocore.config import Config
        from botocore.exceptions import BotoCoreError
    except ImportError:
        raise StateUnreachableError("state in S3 needs boto3", remedy="Install it: pip install 'exclave[aws]'.") from None
    config = Config(
        signature_version="s3v4",
        # Paths instead of host names for other than Amazon's own S3, which rarely have a name for each bucket.
        s3={"addressing_style": "path"} if endpoint else {},
        retries={"mode": "standard", "max_attempts": 3},
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_ANSWER_SECONDS,
    )
    try:
        client = boto3.client("s3", endpoint_url=endpoint, region_name=region, config=config)
    except (BotoCoreError, ValueError) as error:
        raise StateUnreachableError(f"state in {place} can't be used: {error}") from None
    return S3Store(client, bucket, prefix, place)


@dataclass(frozen=True)
class S3Store:
    """See `Store`. A tag is the object's ETag."""

    client: Any
    bucket: str
    prefix: str
    place: str
    remote: bool = True

    def read(self, name: str) -> Found | None:
        """See `Store`."""
        from botocore.exceptions import ClientError

        with self._words():
            try:
                answer = self.client.get_object(Bucket=self.bucket, Key=self.prefix + name)
            except ClientError as error:
                if _code(error) in _MISSING:
                    return None
                raise
            return Found(answer["Body"].read(), answer["ETag"])

    def write(self, name: str, data: bytes, tag: str | None) -> str:
        """See `Store`."""
        from botocore.exceptions import ClientError

        condition = {"IfNoneMatch": "*"} if tag is None else {"IfMatch": tag}
        with self._words():
            try:
                answer = self.client.put_object(Bucket=self.bucket, Key=self.prefix + name, Body=data, **condition)
            except ClientError as error:
                if _code(error) in _MOVED_ON or (tag is not None and _code(error) in _MISSING):
                    raise MovedOnError(name) from None
                raise
            return str(answer["ETag"])

    def delete(self, name: str) -> None:
        """See `Store`."""
        with self._words():
            self.client.delete_object(Bucket=self.bucket, Key=self.prefix + name)

    def names(self, prefix: str) -> list[str]:
        """See `Store`."""
        found: list[str] = []
        with self._words():
            pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix + prefix)
            for page in pages:
                found += [listed["Key"].removeprefix(self.prefix) for listed in page.get("Contents", [])]
        return sorted(found)

    @contextmanager
    def _words(self) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError, HTTPClientError

        try:
            yield
        except (BotoCoreError, ClientError, HTTPClientError) as error:
            raise StateUnreachableError(f"state in {self.place} can't be used: {error}") from None


def _code(error: Any) -> str:
    return str(error.response.get("Error", {}).get("Code", ""))
