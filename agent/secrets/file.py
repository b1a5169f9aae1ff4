"""`ref+file:///path#/json/pointer`: a file below the one folder that the customer gives for this."""

from pathlib import Path

from agent.secrets.reference import SecretReference, UnresolvedError

LIMIT = 1024 * 1024


def from_file(reference: SecretReference, folder: Path) -> str:
    """The file's text without a last line end. The path is below `folder`, or absolute and in it. Raises UnresolvedError."""
    reference.option()
    folder = folder.resolve()
    named = Path("/" + reference.name.lstrip("/"))
    # Resolved first: neither `..` nor a symbolic link leads out of the folder.
    path = (named if named.is_relative_to(folder) else folder / reference.name.lstrip("/")).resolve()
    if not path.is_relative_to(folder):
        raise UnresolvedError(f"it leads out of {folder}", "Put the file into that folder, or give another --secrets-dir.")
    try:
        if path.stat().st_size > LIMIT:
            raise UnresolvedError(f"the file is larger than {LIMIT} bytes", "Give a smaller file.")
        text = path.read_text()
    except OSError as error:
        raise UnresolvedError(
            f"{path} can't be read: {error.strerror}", f"Put the file there, or give another --secrets-dir than {folder}."
        ) from None
    except UnicodeDecodeError:
        raise UnresolvedError(f"{path} isn't UTF-8 text", "Encode it, for example in base64.") from None
    return text.removesuffix("\n").removesuffix("\r")
