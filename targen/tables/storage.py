"""Storage of files, written atomically: a local folder or an S3 prefix."""

import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol
from urllib.parse import urlsplit

from targen import files as writer
from targen import reading
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

    def stage(self, files: Mapping[str, bytes]) -> dict[str, str]:
        """Write drafts of files, durably, and return key -> key of its draft."""
        ...

    def promote(self, drafts: Mapping[str, str]) -> None:
        """Let drafts replace the files under their keys; those that already did are skipped."""
        ...

    def discard(self, drafts: Mapping[str, str]) -> None:
        """Remove drafts, as far as that is possible."""
        ...

    def sweep(self, keys: Iterable[str]) -> None:
        """Remove all drafts of these keys; only under a lock that no other writer holds."""
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

    def delete(self, key: str, *, prune: bool = True) -> None:
        """Remove the file under `key`, if it exists.

        Args:
            key: the file.
            prune: also remove the folders that this leaves empty.
        """
        ...


class LocalStorage:
    """A folder on this machine; links below it are not followed."""

    def __init__(self, root: str, named_by: str = variable("data_dir")) -> None:
        """Take the folder without touching it; `named_by` is its setting, for errors."""
        self.root = Path(root).expanduser()
        self.named_by = named_by

    def address(self, key: str) -> str:
        """Return the absolute path."""
        return str((self.root / key).absolute())

    def read(self, key: str) -> bytes | None:
        """Return the file's bytes, or None if there is no file."""
        folder, _, name = key.rpartition("/")
        try:
            with self._opened(folder, make=False) as at, reading.opened(name, at) as file:
                return file.read()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._cannot("read", key, error) from error

    def write(self, key: str, content: bytes) -> None:
        """Write a draft beside the target, then move it over the target."""
        drafts = {key: self._staged(key, content)}
        try:
            self.promote(drafts)
        except BaseException:
            self.discard(drafts)
            raise

    def stage(self, files: Mapping[str, bytes]) -> dict[str, str]:
        """Write drafts beside their targets."""
        made: dict[str, str] = {}
        try:
            for key, content in files.items():
                made[key] = self._staged(key, content)
            self._flush(made)
        except BaseException:
            self.discard(made)
            raise
        return made

    def _staged(self, key: str, content: bytes) -> str:
        folder, _, name = key.rpartition("/")
        try:
            with (
                self._opened(folder) as at,
                writer.drafted_in(at, name) as (draft, file),
            ):
                file.write(content)
        except OSError as error:
            raise self._cannot("write", key, error) from error
        return f"{folder}/{draft}" if folder else draft

    def promote(self, drafts: Mapping[str, str]) -> None:
        """Move drafts over their targets, and flush the folders."""
        for key, draft in drafts.items():
            folder, _, name = key.rpartition("/")
            try:
                with self._opened(folder) as at, suppress(FileNotFoundError):
                    os.replace(draft.rpartition("/")[2], name, src_dir_fd=at, dst_dir_fd=at)
            except OSError as error:
                raise self._cannot("write", key, error) from error
        self._flush(drafts)

    def _flush(self, keys: Iterable[str]) -> None:
        """Flush the folders of these keys to the disk."""
        for folder in sorted({key.rpartition("/")[0] for key in keys}):
            try:
                with self._opened(folder) as at:
                    writer.flush_folder(at)
            except OSError as error:
                raise self._cannot("write", folder, error) from error

    def discard(self, drafts: Mapping[str, str]) -> None:
        """Remove drafts; what cannot be removed stays until `sweep`."""
        for draft in drafts.values():
            folder, _, name = draft.rpartition("/")
            with suppress(OSError), self._opened(folder, make=False) as at:
                os.unlink(name, dir_fd=at)

    def sweep(self, keys: Iterable[str]) -> None:
        """Remove the drafts of these keys that killed processes left."""
        for key in keys:
            folder, _, name = key.rpartition("/")
            with suppress(OSError), self._opened(folder, make=False) as at:
                writer.sweep(at, name)

    def write_folder(self, key: str, files: Mapping[str, bytes]) -> None:
        """Fill a draft folder beside the target, then rename it."""
        above, _, name = key.rpartition("/")
        draft = writer.draft_name(name)
        inside = f"{above}/{draft}" if above else draft
        try:
            with self._opened(above) as at:
                writer.sweep(at, name)
                try:
                    for path, content in files.items():
                        self.write(f"{inside}/{path}", content)
                    # Renaming onto a folder with files fails, so nothing is ever replaced.
                    os.rename(draft, name, src_dir_fd=at, dst_dir_fd=at)
                finally:
                    shutil.rmtree(draft, ignore_errors=True, dir_fd=at)
                writer.flush_folder(at)
        except OSError as error:
            raise self._cannot("write", key, error) from error

    def keys(self, key: str) -> list[str]:
        """Return the files' keys, without drafts left by a killed run."""
        folder = self.root / key
        found = []
        for path in folder.rglob("*"):
            draft = any(writer.is_draft(part) for part in path.relative_to(folder).parts)
            if not draft and path.is_file():
                found.append(path.relative_to(self.root).as_posix())
        return sorted(found)

    def delete(self, key: str, *, prune: bool = True) -> None:
        """Remove the file, and the folders that this leaves empty."""
        path = self.root / key
        folder, _, name = key.rpartition("/")
        try:
            with suppress(FileNotFoundError), self._opened(folder, make=False) as at:
                os.unlink(name, dir_fd=at)
                writer.flush_folder(at)
            for above in path.relative_to(self.root).parents[:-1] if prune else ():
                full = self.root / above
                if full.is_dir() and not any(full.iterdir()):
                    full.rmdir()
        except OSError as error:
            raise self._cannot("delete", key, error) from error

    def _opened(self, folder: str, *, make: bool = True) -> AbstractContextManager[int]:
        return writer.opened(self.root, folder.split("/") if folder else (), make=make)

    def _cannot(self, verb: str, key: str, error: OSError) -> TableError:
        return writer.cannot(verb, self.address(key), error, self.named_by)


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

    def stage(self, files: Mapping[str, bytes]) -> dict[str, str]:
        """Put drafts beside their targets."""
        made: dict[str, str] = {}
        try:
            for key, content in files.items():
                folder, slash, name = key.rpartition("/")
                draft = f"{folder}{slash}{writer.draft_name(name)}"
                self.write(draft, content)
                made[key] = draft
        except BaseException:
            self.discard(made)
            raise
        return made

    def promote(self, drafts: Mapping[str, str]) -> None:
        """Copy drafts over their targets on the server, and delete them."""
        from botocore.exceptions import ClientError  # noqa: PLC0415

        for key, draft in drafts.items():
            source = {"Bucket": self.bucket, "Key": self._full(draft)}
            with _s3_errors("write", self.address(key)):
                try:
                    self._client.copy_object(
                        Bucket=self.bucket, Key=self._full(key), CopySource=source
                    )
                except ClientError as error:
                    if error.response.get("Error", {}).get("Code") not in ("NoSuchKey", "404"):
                        raise
            self.delete(draft)

    def discard(self, drafts: Mapping[str, str]) -> None:
        """Delete drafts."""
        for draft in drafts.values():
            with suppress(TableError):
                self.delete(draft)

    def sweep(self, keys: Iterable[str]) -> None:
        """Do nothing: `keys` leaves drafts out, and listing them costs a call per folder."""

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
            found = [entry["Key"][cut:] for page in pages for entry in page.get("Contents", [])]
            return sorted(
                one for one in found if not any(writer.is_draft(part) for part in one.split("/"))
            )

    def delete(self, key: str, *, prune: bool = True) -> None:
        """Delete the object; there are no folders."""
        del prune
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
