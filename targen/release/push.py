"""Pushes a release to a dataset repository on the Hugging Face hub."""

import os
import re
from typing import Any, Final

from targen.errors import ReleaseError
from targen.release.manifest import MANIFEST
from targen.release.registry import verify
from targen.tables.storage import Storage

TOKEN: Final = "HF_TOKEN"  # noqa: S105 - the variable's name
ENDPOINT: Final = "HF_ENDPOINT"
_REPO: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")


def push(storage: Storage, repo: str, *, private: bool = False) -> str:
    """Push a release to a dataset repository in one commit, tagged with its version.

    The repository is created if it does not exist. The token is read from HF_TOKEN.

    Args:
        storage: the release's folder.
        repo: owner/name.
        private: make a new repository private.

    Returns:
        The URL of the commit.

    Raises:
        ReleaseError: the release is damaged or withdrawn, the extra or the token is missing, or the
            hub rejects the upload.
        TableError: the folder cannot be read.
    """
    if not _REPO.fullmatch(repo):
        raise ReleaseError(f"{repo!r} is not a repository. Use owner/name.")
    manifest = verify(storage)
    try:
        import huggingface_hub  # noqa: PLC0415 - an optional extra
        from huggingface_hub.errors import HfHubHTTPError  # noqa: PLC0415
    except ImportError:
        raise ReleaseError(
            "Pushing needs the package huggingface-hub. Run: pip install huggingface-hub"
        ) from None
    token = os.environ.get(TOKEN)
    if not token:
        raise ReleaseError(f"Set {TOKEN} to a token with write access to {repo}.")
    api = huggingface_hub.HfApi(
        endpoint=os.environ.get(ENDPOINT) or None, token=token, library_name="targen"
    )
    try:
        return _send(api, storage, repo, manifest, private)
    except HfHubHTTPError as error:
        raise ReleaseError(f"{repo} rejected the release: {_message(error, token)}") from None
    # The package raises the exceptions of its HTTP client, which differ between its releases.
    except Exception as error:
        raise ReleaseError(
            f"{repo} could not be pushed to the hub at {api.endpoint}: {_message(error, token)}. "
            f"Check the network and {ENDPOINT}, and push again: files that the hub "
            "already has are not sent twice."
        ) from None


def _message(error: Exception, token: str) -> str:
    """Return an error of the library as one line.

    Its errors include URLs and request ids. They do not include the token, but a proxy's response
    might repeat it.
    """
    return " ".join(str(error).replace(token, "…").split())[:500] or type(error).__name__


def _send(api: Any, storage: Storage, repo: str, manifest: dict[str, Any], private: bool) -> str:
    from huggingface_hub import CommitOperationAdd  # noqa: PLC0415 - an optional extra

    version = manifest["version"]
    paths = [*sorted(manifest["files"]), MANIFEST]
    operations = [
        CommitOperationAdd(path_in_repo=path, path_or_fileobj=storage.read(path) or b"")
        for path in paths
    ]
    api.create_repo(repo, repo_type="dataset", private=private, exist_ok=True)
    commit = api.create_commit(
        repo,
        operations,
        repo_type="dataset",
        commit_message=f"{manifest['task']} {version}",
    )
    api.create_tag(repo, repo_type="dataset", tag=version, revision=commit.oid, exist_ok=True)
    return str(commit.commit_url)
