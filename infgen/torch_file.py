"""Read untrusted files of ``torch.save``: no code is run, and the content is at most as large as the file."""

import zipfile
from pathlib import Path
from typing import Any

import torch

from infgen.errors import InputError

_MAX_PICKLE = 64 * 2**20  # bytes of the list of tensors; that of large models has a few MiB


def load_torch_file(path: Path, *, map_location: str = "cpu") -> Any:
    """Load the tensors and plain values in ``path``. Raises InputError for a file that unpacks to more than its size.

    For other damaged files raises the errors of ``torch.load``.
    """
    if zipfile.is_zipfile(path):
        _check_members(path)
    return torch.load(path, map_location=map_location, weights_only=True)


def _check_members(path: Path) -> None:
    """Raise InputError if a member is compressed, or claims more bytes than the file has. torch stores them as they are."""
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
    packed = [member for member in members if member.compress_type != zipfile.ZIP_STORED]
    if packed or sum(member.file_size for member in members) > size:
        raise InputError(f"{path} holds compressed data, which torch.save never writes; get the original file")
    if any(member.filename.endswith("data.pkl") and member.file_size > _MAX_PICKLE for member in members):
        raise InputError(f"{path} lists more than {_MAX_PICKLE >> 20} MiB of names; get the original file")
