"""Storage of files, written atomically: a local folder or an S3 prefix."""

import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from targen.errors import TableError
from targen.settings import s3_attempts, variable

_READS = 5
"""Attempts of a download that breaks off in the middle, which botocore does not retry."""


class Storage(Protocol):
    """A folder or prefix; keys are relative paths with forward slashes.

    All methods but `address` raise TableError if the storage cannot be read or written.
    """

    def address(self, key: str) -> str:
        """Return the full path or URL of `key`, for people."""
        ...

    def read(self, key: str) -> bytes | None:
        """Return the bytes under `key`, or None if the key does not exist."""
        ...

    def write(self, key: str, content: bytes) -> None:
        """Put `content` under `key`; readers see the old bytes or the new, never a part."""
        ...

    def write_folder(self, key: str, files: Mapping[str, bytes]) -> None:
        """Make a new folder; it is an error if the folder exists.

        Args:
            key: the folder.
            files: path below it -> content. The last one is written last: a folder without it
                is incomplete.
        """
        ...

    def keys(self, key: str) -> list[str]:
        """Return the keys of all files below the folder `key`, sorted; none if it is missing."""
        ...

    def delete(self, key: str) -> None:
        """Remove the file under `key`, if it exists."""
        ...


@contextmanager
def drafted(path: Path, named_by: str) -> Iterator[Path]:
    """Yield a draft file that replaces `path` when the block ends without an error.

    Args:
        path: the target; its folders are made.
        named_by: the setting or option that names it, for the error.

    Raises:
        TableError: it cannot be written.
    """
    # `.` has no name to derive the draft's from.
    path = path.absolute()
    # One name per target, so that the next run overwrites the draft of a killed one.
    draft = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            yield draft
            with draft.open("rb") as file:
                os.fsync(file.fileno())
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as error:
        raise TableError(_advice("write", str(path), error, named_by)) from error


def write_file(path: Path, content: bytes, named_by: str) -> None:
    """Write a file atomically; see `drafted`."""
    with drafted(path, named_by) as draft:
        draft.write_bytes(content)


class LocalStorage:
    """A folder on this machine."""

    def __init__(self, root: str, named_by: str = variable("data_dir")) -> None:
        """Take the folder without touching it; `named_by` is its setting, for errors."""
        self.root = Path(root).expanduser()
        self._named_by = named_by

    def address(self, key: str) -> str:
        """Return the absolute path."""
        return str((self.root / key).absolute())

    def read(self, key: str) -> bytes | None:
        """Return the file's bytes, or None if there is no file."""
        try:
            return (self.root / key).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise TableError(_advice("read", self.address(key), error, self._named_by)) from error

    def write(self, key: str, content: bytes) -> None:
        """Write a temporary file beside the target, then move it over the target."""
        write_file(self.root / key, content, self._named_by)

    def write_folder(self, key: str, files: Mapping[str, bytes]) -> None:
        """Fill a temporary folder beside the target, then rename it."""
        target = self.root / key
        draft = target.with_name(f".{target.name}.tmp")
        try:
            # Left by a killed run.
            shutil.rmtree(draft, ignore_errors=True)
            for name, content in files.items():
                self.write(str((draft / name).relative_to(self.root)), content)
            # Renaming onto a folder with files fails, so nothing is ever replaced.
            draft.rename(target)
        except OSError as error:
            raise TableError(_advice("write", self.address(key), error, self._named_by)) from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def keys(self, key: str) -> list[str]:
        """Return the files' keys, without drafts left by a killed run."""
        folder = self.root / key
        found = []
        for path in folder.rglob("*"):
            parts = path.relative_to(folder).parts
            draft = any(part.startswith(".") and part.endswith(".tmp") for part in parts)
            if not draft and path.is_file():
                found.append(path.relative_to(self.root).as_posix())
        return sorted(found)

    def delete(self, key: str) -> None:
        """Remove the file, and the folders that this leaves empty."""
        path = self.root / key
        try:
            path.unlink(missing_ok=True)
            for folder in path.relative_to(self.root).parents[:-1]:
                full = self.root / folder
                if full.is_dir() and not any(full.iterdir()):
                    full.rmdir()
        except OSError as error:
            raise TableError(_advice("delete", self.address(key), error, self._named_by)) from error


class S3Storage:
    """A prefix in a bucket; boto3 reads credentials, region and endpoint from the environment.

    S3 replaces an object atomically, so no temporary object is needed. One put takes up to 5 GB.
    """

    def __init__(self, url: str, make_client: Callable[[], Any] | None = None) -> None:
        """Parse the URL; see `open_storage`. The client is made on first use."""
        parts = urlsplit(url)
        if not parts.netloc:
            raise TableError(
                f"The data folder {url!r} has no bucket name. Write it as s3://bucket/prefix."
            )
        self.url = url.rstrip("/")
        self.bucket = parts.netloc
        self.prefix = parts.path.strip("/")
        self._make_client = make_client or _client_from_environment

    @cached_property
    def _client(self) -> Any:
        return self._make_client()

    def address(self, key: str) -> str:
        """Return the object's URL."""
        return f"{self.url}/{key}"

    def read(self, key: str) -> bytes | None:
        """Return the object's bytes, or None if there is no such object."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        with _s3_errors("read", self.address(key)):
            for left in reversed(range(_READS)):
                try:
                    answer = self._client.get_object(Bucket=self.bucket, Key=self._full(key))
                except ClientError as error:
                    # Some servers send no body with it, and then the code is the status.
                    if error.response.get("Error", {}).get("Code") in ("NoSuchKey", "404"):
                        return None
                    raise
                try:
                    return bytes(answer["Body"].read())
                except BotoCoreError:
                    if not left:
                        raise
        raise AssertionError("the last attempt returns or raises")

    def write(self, key: str, content: bytes) -> None:
        """Put the object."""
        with _s3_errors("write", self.address(key)):
            self._client.put_object(Bucket=self.bucket, Key=self._full(key), Body=content)

    def write_folder(self, key: str, files: Mapping[str, bytes]) -> None:
        """Put the objects one after the other; the last one makes the folder complete."""
        last = [*files][-1:]
        if last and self.read(f"{key}/{last[0]}") is not None:
            raise TableError(f"{self.address(key)} already exists and is not replaced.")
        for name, content in files.items():
            self.write(f"{key}/{name}", content)

    def keys(self, key: str) -> list[str]:
        """Return the objects' keys."""
        prefix = self._full(f"{key}/" if key else "")
        cut = len(self.prefix) + 1 if self.prefix else 0
        with _s3_errors("read", self.address(key)):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=prefix
            )
            return sorted(
                entry["Key"][cut:] for page in pages for entry in page.get("Contents", [])
            )

    def delete(self, key: str) -> None:
        """Delete the object."""
        with _s3_errors("delete", self.address(key)):
            self._client.delete_object(Bucket=self.bucket, Key=self._full(key))

    def _full(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key


def open_storage(
    data_dir: str,
    make_client: Callable[[], Any] | None = None,
    named_by: str = variable("data_dir"),
) -> LocalStorage | S3Storage:
    """Return the storage at a folder or URL; nothing is read or written yet.

    Args:
        data_dir: the folder, or s3://bucket/prefix.
        make_client: returns a boto3 client for S3; None makes one from the environment.
        named_by: the setting or option that names it, for errors.

    Raises:
        TableError: the URL is of another kind, or names no bucket.
    """
    if data_dir.startswith("s3://"):
        return S3Storage(data_dir, make_client)
    if "://" in data_dir:
        raise TableError(
            f"{data_dir!r} is neither a folder nor s3://bucket/prefix. Set {named_by} to one of "
            "these."
        )
    return LocalStorage(data_dir, named_by)


def _advice(verb: str, address: str, error: Exception, named_by: str) -> str:
    cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return (
        f"Cannot {verb} {address}: {cause}. Give this user permission, or name another {named_by}."
    )


def _client_from_environment() -> Any:
    # Takes seconds to import, and most installations keep their data in a folder.
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    retries = {"mode": "standard", "max_attempts": s3_attempts()}
    return boto3.Session().client("s3", config=Config(retries=retries))


@contextmanager
def _s3_errors(verb: str, address: str) -> Iterator[None]:
    """Turn boto3's errors into TableError with advice."""
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

    try:
        yield
    except (ClientError, BotoCoreError) as error:
        raise TableError(
            f"Cannot {verb} {address}: {error}. No file is half-written, and paid completions are "
            "stored. Check the bucket, the credentials or AWS_ENDPOINT_URL, then start the run "
            "again."
        ) from error
