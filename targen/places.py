"""Where files lie: a local folder or an S3 prefix, behind the same few verbs.

Here belongs moving bytes, whole and atomically. What the bytes mean does not.
"""

import os
import shutil
import tempfile
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from targen.errors import TableError
from targen.hashing import short_id


class Place(Protocol):
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

    @property
    def lock_folder(self) -> Path:
        """A local folder for the locks of what lies here."""
        ...


class LocalPlace:
    """A folder on this machine."""

    def __init__(self, root: str) -> None:
        self.root = Path(root).expanduser()

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
            raise TableError(_advice("read", self.address(key), error)) from error

    def write(self, key: str, content: bytes) -> None:
        """Write a temporary file beside the target, then replace the target by it."""
        target = self.root / key
        # One name per target, so that what a killed run leaves is overwritten by the next.
        draft = target.with_name(f".{target.name}.tmp")
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            with draft.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(target)
        except OSError as error:
            draft.unlink(missing_ok=True) if target.parent.is_dir() else None
            raise TableError(_advice("write", self.address(key), error)) from error

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
            raise TableError(_advice("write", self.address(key), error)) from error
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
        """Remove the file, and its folder where that is empty then."""
        path = self.root / key
        try:
            path.unlink(missing_ok=True)
            if path.parent != self.root and path.parent.is_dir() and not any(path.parent.iterdir()):
                path.parent.rmdir()
        except OSError as error:
            raise TableError(_advice("delete", self.address(key), error)) from error

    @property
    def lock_folder(self) -> Path:
        """A folder inside the place itself: whoever writes there meets the same locks."""
        return self.root / ".locks"


class S3Place:
    """A prefix in a bucket; keys, region and endpoint come from the environment, as boto3 reads it.

    A put on S3 replaces the object at once or not at all, so no temporary object is needed.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        if not parts.netloc:
            raise TableError(f"The data folder {url!r} names no bucket: write s3://bucket/prefix.")
        self.url = url.rstrip("/")
        self.bucket = parts.netloc
        self.prefix = parts.path.strip("/")

    @cached_property
    def _client(self) -> Any:
        # Costs seconds to import, and most installations keep their data in a folder.
        import boto3  # noqa: PLC0415

        return boto3.client("s3")

    def address(self, key: str) -> str:
        """Return the object's URL."""
        return f"{self.url}/{key}"

    def read(self, key: str) -> bytes | None:
        """Return the object's bytes, None where there is no such object."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        try:
            answer = self._client.get_object(Bucket=self.bucket, Key=self._full(key))
            return bytes(answer["Body"].read())
        except ClientError as error:
            if error.response.get("Error", {}).get("Code") == "NoSuchKey":
                return None
            raise TableError(_advice("read", self.address(key), error)) from error
        except BotoCoreError as error:
            raise TableError(_advice("read", self.address(key), error)) from error

    def write(self, key: str, content: bytes) -> None:
        """Put the object."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        try:
            self._client.put_object(Bucket=self.bucket, Key=self._full(key), Body=content)
        except (ClientError, BotoCoreError) as error:
            raise TableError(_advice("write", self.address(key), error)) from error

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
            raise TableError(_advice("read", self.address(key), error)) from error
        return sorted(found)

    def delete(self, key: str) -> None:
        """Delete the object."""
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415

        try:
            self._client.delete_object(Bucket=self.bucket, Key=self._full(key))
        except (ClientError, BotoCoreError) as error:
            raise TableError(_advice("delete", self.address(key), error)) from error

    @property
    def lock_folder(self) -> Path:
        """A folder of this machine: it keeps apart the runs of one machine, not of several."""
        home = os.environ.get("DAGSTER_HOME") or tempfile.gettempdir()
        return Path(home) / "locks" / short_id(self.url)

    def _full(self, key: str) -> str:
        return f"{self.prefix}/{key}" if self.prefix else key


def place(data_dir: str) -> LocalPlace | S3Place:
    """Return the place that `data_dir` names: a folder, or s3://bucket/prefix.

    Raises:
        TableError: it is a URL of another kind, or of no bucket.
    """
    if data_dir.startswith("s3://"):
        return S3Place(data_dir)
    if "://" in data_dir:
        raise TableError(
            f"The data folder {data_dir!r} is neither a folder nor s3://bucket/prefix: "
            "set TARGEN_DATA_DIR to one of these."
        )
    return LocalPlace(data_dir)


def _advice(verb: str, address: str, error: Exception) -> str:
    cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return (
        f"Cannot {verb} {address}: {cause}. Give this user the right to, or set TARGEN_DATA_DIR "
        "to another place."
    )
