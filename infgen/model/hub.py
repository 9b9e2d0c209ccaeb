"""Fetch model files from the Hugging Face hub, and upload them. The only module that imports huggingface_hub."""

import os
import re
from pathlib import Path
from typing import Any

from infgen.errors import InputError, one_line
from infgen.extras import require_extra

PREFIX = "hf:"
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}/[A-Za-z0-9][A-Za-z0-9._-]{0,95}")
# The end of a name that is meant as a file, so that a typing error does not go to the internet.
_FILE_ENDINGS = (".safetensors", ".pth", ".pt", ".tar", ".ckpt", ".bin", ".onnx", ".engine", ".plan", ".json", ".zip")
_SECONDS = 5.0  # until the first answer of the hub


def hub_id(source: str) -> str | None:
    """Return the hub id that ``source`` means, or None if it means a file here.

    "hf:owner/name" always is a hub id; "owner/name" is one if no folder ``owner`` is here and it has no file's ending.
    Raises InputError for "hf:" with anything else.
    """
    if source.startswith(PREFIX):
        if not _ID.fullmatch(found := source.removeprefix(PREFIX)):
            raise InputError(f"model {source[:200]} is no hub id; give hf:owner/name")
        return found
    owner = source.partition("/")[0]
    meant = _ID.fullmatch(source) and not source.lower().endswith(_FILE_ENDINGS) and not os.path.lexists(owner)
    return source if meant else None


def fetch(repository: str, file: str, *, revision: str | None = None, token: str | None = None) -> Path:
    """Return the local copy of ``file`` of the hub model ``repository``, downloaded if the hub has a newer one.

    ``revision``: a branch, tag or commit. ``token``: for private models; None: the one of ``hf auth login``.
    Sends one request to the hub. Without an answer it uses an earlier download. Raises InputError if that is missing, too, and
    MissingExtraError without huggingface_hub.
    """
    subject = f"model {repository}: no such file is here; as a hub id it"
    with require_extra("hub", subject, otherwise="give a .safetensors file"):
        from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url
    place: dict[str, Any] = {} if revision is None else {"revision": revision}
    access: dict[str, Any] = {} if token is None else {"token": token}
    try:
        # One request: a download repeats its own.
        get_hf_file_metadata(hf_hub_url(repository, file, **place), timeout=_SECONDS, **access)
        return Path(hf_hub_download(repository, file, etag_timeout=_SECONDS, **place, **access))
    except Exception as error:  # the library of each version has its own kinds
        reason = one_line(error)[:200]
    try:
        return Path(hf_hub_download(repository, file, local_files_only=True, **place))
    except Exception:  # not downloaded before
        raise InputError(
            f"model {repository}: no such file is here, and the hub gave none ({reason}); give an existing .safetensors "
            "file, or hf:owner/name of the hub"
        ) from None


def upload(
    folder: Path, repository: str, *, token: str | None, revision: str | None, private: bool | None, message: str
) -> str:
    """Upload the files of ``folder`` to the hub model ``repository``. Returns the address of the commit.

    Creates the repository and the branch ``revision`` if they are missing. Raises InputError if the hub refuses,
    MissingExtraError without huggingface_hub.
    """
    if not _ID.fullmatch(repository):
        raise InputError(f"model {repository[:200]} is no hub id; give owner/name")
    with require_extra("hub", "uploading a model", otherwise="use save_pretrained with a folder"):
        from huggingface_hub import HfApi
    try:
        api = HfApi(token=token)
        api.create_repo(repository, private=private, exist_ok=True)
        if revision is not None:
            api.create_branch(repository, branch=revision, exist_ok=True)
        commit = api.upload_folder(repo_id=repository, folder_path=folder, revision=revision, commit_message=message)
    except Exception as error:  # the library of each version has its own kinds
        raise InputError(
            f"model {repository} cannot be uploaded ({one_line(error)[:200]}); check the name and the token "
            "(hf auth login)"
        ) from None
    return str(commit)
