"""Where files lie: a local folder or an S3 prefix, behind the same few verbs.

Here belongs moving bytes, whole and atomically. What the bytes mean does not.
"""

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
"""Tries of a download that breaks off in its middle, which botocore does not try again."""


class Storage(Protocol):
    """A folder-like place; keys are relative paths with forward slashes."""

    def address(self, key: str) -> str:
        """Return the full path or URL of `key`, for people."""
        ...

    def read(self, key: str) -> bytes | None:
        """Return the bytes under `key`, None where there are none.

        Raises:
            TableError: the place cannot be read.
        """
        ...

    def write(self, key: str, content: bytes) -> None:
        """Put `content` under `key`: readers see the old bytes or the new, never a part.

        Raises:
            TableError: the place cannot be written.
        """
        ...

    def write_folder(self, key: str, files: Mapping[str, bytes]) -> None:
        """Make a folder that is not there yet; nobody takes it for complete before it is.

        Args:
            key: the folder.
            files: path below it -> content. The last one is written last: a folder without it
                is incomplete.

        Raises:
            TableError: the place cannot be written, or the folder is there already.
        """
        ...

    def keys(self, key: str) -> list[str]:
        """Return the keys of all files below the folder `key`, sorted; none where it is missing.

        Raises:
            TableError: the place cannot be read.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove the file under `key`, where there is one.

        Raises:
            TableError: the place cannot be written.
        """
        ...


@contextmanager
def drafted(path: Path, named_by: str) -> Iterator[Path]:
    """Hand out a file beside `path`, which takes its name once all is written.

    Args:
        path: where the file goes; folders are made. What is there stays where anything fails.
        named_by: the setting or option that names it, for the error.

    Raises:
        TableError: it cannot be written.
    """
    # `.` has no name to put one beside.
    path = path.absolute()
    # One name per target, so that what a killed run leaves is overwritten by the next.
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
    """Write a whole file or nothing.

    Args:
        path: where it goes; folders are made.
        content: its bytes.
        named_by: the setting or option that names it, for the error.

    Raises:
        TableError: it cannot be written.
    """
    with drafted(path, named_by) as draft:
        draft.write_bytes(content)


class LocalStorage:
    """A folder on this machine."""

    def __init__(self, root: str, named_by: str = variable("data_dir")) -> None:
        """Name the folder; nothing is looked at or made yet.

        Args:
            root: the folder.
            named_by: the setting or option that names it, for errors.
        """
        self.root = Path(root).expanduser()
        self._named_by = named_by

    def address(self, key: str) -> str:
        """Return the absolute path."""
        return str((self.root / key).absolute())

    def read(self, key: str) -> bytes | None:
        """Return the file's bytes, None where there is no file."""
        try:
            return (self.root / key).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise TableError(_advice("read", self.address(key), error, self._named_by)) from error

    def write(self, key: str, content: bytes) -> None:
        """Write a temporary file beside the target, then replace the target by it."""
        write_file(self.root / key, content, self._named_by)

    def write_folder(self, key: str, files: Mapping[str, bytes]) -> None:
        """Fill a temporary folder beside the target, then give it the target's name."""
        target = self.root / key
        draft = target.with_name(f".{target.name}.tmp")
        try:
            # What a killed run left.
            shutil.rmtree(draft, ignore_errors=True)
            for name, content in files.items():
                self.write(str((draft / name).relative_to(self.root)), content)
            # Renaming onto a folder with files in it fails, and so nothing is ever replaced.
            draft.rename(target)
        except OSError as error:
            raise TableError(_advice("write", self.address(key), error, self._named_by)) from error
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def keys(self, key: str) -> list[str]:
        """Return the files' keys; drafts that a killed run left are none."""
        folder = self.root / key
        found = []
        for path in folder.rglob("*"):
            parts = path.relative_to(folder).parts
            draft = any(part.startswith(".") and part.endswith(".tmp") for part in parts)
            if not draft and path.is_file():
                found.append(path.relative_to(self.root).as_posix())
        return sorted(found)

    def delete(self, key: str) -> None:
        """Remove the file, and the folders that are empty then."""
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
    """A prefix in a bucket; keys, region and endpoint come from the environment, as boto3 reads it.

    A put on S3 replaces the object at once or not at all, so no temporary object is needed. One put
    takes up to 5 GB.
    """

    def __init__(self, url: str, make_client: Callable[[], Any] | None = None) -> None:
        """Name the place; nothing is sent before the first read or write.

        Args:
            url: s3://bucket/prefix.
            make_client: gives a boto3 client for S3; None makes one from the environment.

        Raises:
            TableError: the URL names no bucket.
        """
        parts = urlsplit(url)
        if not parts.netloc:
            raise TableError(f"The data folder {url!r} names no bucket: write s3://bucket/prefix.")
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
        """Return the object's bytes, None where there is no such object."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        for left in reversed(range(_READS)):
            try:
                answer = self._client.get_object(Bucket=self.bucket, Key=self._full(key))
            except ClientError as error:
                # Some servers send no body with it, and then the code is the status.
                if error.response.get("Error", {}).get("Code") in ("NoSuchKey", "404"):
                    return None
                raise TableError(_s3_advice("read", self.address(key), error)) from error
            except BotoCoreError as error:
                raise TableError(_s3_advice("read", self.address(key), error)) from error
            try:
                return bytes(answer["Body"].read())
            except BotoCoreError as error:
                if not left:
                    raise TableError(_s3_advice("read", self.address(key), error)) from error
        raise AssertionError("the last try returns or raises")

    def write(self, key: str, content: bytes) -> None:
        """Put the object."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        try:
            self._client.put_object(Bucket=self.bucket, Key=self._full(key), Body=content)
        except (ClientError, BotoCoreError) as error:
            raise TableError(_s3_advice("write", self.address(key), error)) from error

    def write_folder(self, key: str, files: Mapping[str, bytes]) -> None:
        """Put the objects one after the other; the last one makes the folder complete."""
        last = [*files][-1:]
        if last and self.read(f"{key}/{last[0]}") is not None:
            raise TableError(f"{self.address(key)} is there already; it is not replaced.")
        for name, content in files.items():
            self.write(f"{key}/{name}", content)

    def keys(self, key: str) -> list[str]:
        """Return the objects' keys."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        prefix = self._full(f"{key}/" if key else "")
        cut = len(self.prefix) + 1 if self.prefix else 0
        found: list[str] = []
        try:
            for page in self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self.bucket, Prefix=prefix
            ):
                found += [entry["Key"][cut:] for entry in page.get("Contents", [])]
        except (ClientError, BotoCoreError) as error:
            raise TableError(_s3_advice("read", self.address(key), error)) from error
        return sorted(found)

    def delete(self, key: str) -> None:
        """Delete the object."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        try:
            self._client.delete_object(Bucket=self.bucket, Key=self._full(key))
        except (ClientError, BotoCoreError) as error:
            raise TableError(_s3_advice("delete", self.address(key), error)) from error

    def _full(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key


def place(
    data_dir: str,
    make_client: Callable[[], Any] | None = None,
    named_by: str = variable("data_dir"),
) -> LocalStorage | S3Storage:
    """Return the place that `data_dir` names: a folder, or s3://bucket/prefix.

    Args:
        data_dir: the folder or URL.
        make_client: gives the client for S3; None makes one from the environment.
        named_by: the setting or option that names it, for errors.

    Raises:
        TableError: it is a URL of another kind, or of no bucket.
    """
    if data_dir.startswith("s3://"):
        return S3Storage(data_dir, make_client)
    if "://" in data_dir:
        raise TableError(
            f"{data_dir!r} is neither a folder nor s3://bucket/prefix: name one of these as "
            f"{named_by}."
        )
    return LocalStorage(data_dir, named_by)


def _advice(verb: str, address: str, error: Exception, named_by: str) -> str:
    cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return (
        f"Cannot {verb} {address}: {cause}. Give this user the right to, or name another "
        f"{named_by}."
    )


def _client_from_environment() -> Any:
    # Costs seconds to import, and most installations keep their data in a folder.
    import boto3  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    retries = {"mode": "standard", "max_attempts": s3_attempts()}
    return boto3.Session().client("s3", config=Config(retries=retries))


def _s3_advice(verb: str, address: str, error: Exception) -> str:
    return (
        f"Cannot {verb} {address}: {error}. Nothing is half-written, and what was paid for is "
        "stored: see to the bucket, the credentials or AWS_ENDPOINT_URL, then start the run again."
    )
