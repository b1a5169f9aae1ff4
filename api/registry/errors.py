"""The errors that a client of the registry sees, with their status and code (OCI distribution spec 1.1, "Error codes")."""

from collections.abc import Mapping
from typing import ClassVar


class RegistryError(Exception):
    """Base of all: `message` is shown to the client; `headers` go with the answer."""

    status: ClassVar[int]
    code: ClassVar[str]

    def __init__(self, message: str, *, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.headers = dict(headers or {})

    def body(self) -> dict[str, list[dict[str, str]]]:
        """The error as the spec writes it in JSON."""
        return {"errors": [{"code": self.code, "message": self.message}]}


class BlobUnknownError(RegistryError):
    """The repository doesn't have this blob."""

    status, code = 404, "BLOB_UNKNOWN"


class UploadInvalidError(RegistryError):
    """The request doesn't fit the upload as it is."""

    status, code = 400, "BLOB_UPLOAD_INVALID"


class UploadBusyError(RegistryError):
    """Another request is writing to this upload."""

    status, code = 409, "BLOB_UPLOAD_INVALID"


class UploadOutOfOrderError(RegistryError):
    """The chunk doesn't begin where the upload ends."""

    status, code = 416, "BLOB_UPLOAD_INVALID"


class UploadUnknownError(RegistryError):
    """There is no such upload: it ended, was given up, or the registry was restarted."""

    status, code = 404, "BLOB_UPLOAD_UNKNOWN"


class RangeInvalidError(RegistryError):
    """The range lies outside of the blob."""

    status, code = 416, "SIZE_INVALID"


class DigestInvalidError(RegistryError):
    """The digest isn't well-formed, or isn't that of the content."""

    status, code = 400, "DIGEST_INVALID"


class ManifestInvalidError(RegistryError):
    """The manifest can't be read."""

    status, code = 400, "MANIFEST_INVALID"


class ManifestBlobUnknownError(RegistryError):
    """The manifest lists a blob that the repository doesn't have."""

    status, code = 400, "MANIFEST_BLOB_UNKNOWN"


class ManifestTooLargeError(RegistryError):
    """The manifest is larger than the limit."""

    status, code = 413, "SIZE_INVALID"


class ManifestUnknownError(RegistryError):
    """The repository doesn't have this manifest."""

    status, code = 404, "MANIFEST_UNKNOWN"


class NameInvalidError(RegistryError):
    """The repository's name isn't well-formed."""

    status, code = 400, "NAME_INVALID"


class NameUnknownError(RegistryError):
    """There is no such repository."""

    status, code = 404, "NAME_UNKNOWN"


class TagInvalidError(RegistryError):
    """The tag isn't well-formed."""

    status, code = 400, "TAG_INVALID"


class TagMovedError(RegistryError):
    """The tag doesn't name what the request's `If-Match` or `If-None-Match` says (RFC 9110, section 13.1)."""

    status, code = 412, "TAG_INVALID"


class MethodUnsupportedError(RegistryError):
    """The path exists, but not with this method. `Allow` says which there are."""

    status, code = 405, "UNSUPPORTED"


class QueryInvalidError(RegistryError):
    """A query parameter can't be used."""

    status, code = 400, "UNSUPPORTED"


class UnauthorizedError(RegistryError):
    """No token, one that doesn't hold, or one without this right. `WWW-Authenticate` says where to get one."""

    status, code = 401, "UNAUTHORIZED"


class DeniedError(RegistryError):
    """The token holds, but not for this content; another token of the same credential wouldn't either."""

    status, code = 403, "DENIED"


class QuotaExceededError(RegistryError):
    """The blob doesn't fit into what the operator allows. Not retried by clients: it fits no better a second later."""

    status, code = 403, "DENIED"


class ReadOnlyError(RegistryError):
    """The registry takes no writes at the moment, because its operator says so."""

    status, code = 405, "UNSUPPORTED"


class TooManyRequestsError(RegistryError):
    """Too many calls; `Retry-After` says when to come back."""

    status, code = 429, "TOOMANYREQUESTS"


class StorageFullError(RegistryError):
    """The disk is full."""

    status, code = 507, "UNKNOWN"


class ContentsUnavailableError(RegistryError):
    """The place where blobs lie doesn't answer; it may later."""

    status, code = 503, "UNAVAILABLE"


class VendorRegistryError(RegistryError):
    """Another registry, or the cloud that has it, doesn't do what the IMS asks of it. Trying again may help."""

    status, code = 502, "UNAVAILABLE"
