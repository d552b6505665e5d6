"""Write files so that a killed process or a full disk leaves the old file or the new one, whole."""

import errno
import json
import math
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, BinaryIO

from vislab.errors import RunError

NO_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS, errno.EMLINK)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """Open a file that takes the place of `path` only when the block ends without an error.

    The bytes reach the disk before the name changes. Raises RunError when the disk is full or
    the folder cannot be written.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with saying_why(path):
            with partial.open("wb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
    finally:
        with suppress(OSError):  # the folder itself may be what is wrong: that error is on its way
            partial.unlink()


@contextmanager
def saying_why(path: Path) -> Iterator[None]:
    """Turn an error of the disk into a sentence that names the file and the way out."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise RunError(
                f"the disk is full: {path} could not be written, what stood there before is kept; "
                "free some space and continue with `vislab run --resume FOLDER`"
            ) from error
        reason = error.strerror or error
        raise RunError(f"{path} could not be written: {reason}; check the folder") from error


def write_bytes(path: Path, content: bytes) -> None:
    """Write the whole file or nothing."""
    with replacing(path) as file:
        file.write(content)


def write_new(path: Path, content: bytes) -> bool:
    """Write the whole file unless there is one; return whether it was written.

    Of several processes that do so at the same moment one does.
    """
    partial = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        write_bytes(partial, content)
        with saying_why(path):
            try:
                os.link(partial, path)
            except FileExistsError:
                return False
            except OSError as error:
                if error.errno not in NO_LINKS:
                    raise
                return _write_first(path, content)
        return True
    except RunError:
        if path.exists():  # who was first has tidied up: our half file is gone
            return False
        raise
    finally:
        with suppress(OSError):
            partial.unlink()


def _write_first(path: Path, content: bytes) -> bool:
    """Do so where a file cannot have two names, as on FAT; a kill may leave a half there."""
    try:
        with path.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
    except FileExistsError:
        return False
    return True


def write_text(path: Path, content: str) -> None:
    """Write the whole file, as UTF-8, or nothing.

    The bytes of a file name that are no text are written out, as \\udcff.
    """
    write_bytes(path, content.encode(errors="backslashreplace"))


def write_json(path: Path, content: Any) -> None:
    """Write the whole file or nothing; NaN and infinities become null, as JSON has none."""
    write_text(path, json.dumps(finite(content), indent=2, ensure_ascii=False) + "\n")


def finite(value: Any) -> Any:
    """Return `value` with every float that JSON cannot write replaced by None."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {key: finite(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [finite(inner) for inner in value]
    return value
