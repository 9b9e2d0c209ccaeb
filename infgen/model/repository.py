"""A model as a folder, as the Hugging Face hub holds it: weights, ``config.json`` and a card with front matter."""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from infgen.atomic import write_atomically
from infgen.errors import InputError
from infgen.model.checkpoint import FORMAT, HUB_FILE, VERSION, write_model
from infgen.model.config import GeneratorConfig
from infgen.model.hub import upload
from infgen.version import __version__

CONFIG_FILE, CARD_FILE = "config.json", "README.md"
_CARD = """---
library_name: infgen
pipeline_tag: unconditional-image-generation
tags:
- infinitygan
- gan
- infinite-images
---

# A model of infgen

An InfinityGAN generator with {levels} levels and {coordinates} coordinates, for patches of {patch} px.

```
pip install 'infgen[hub]'
infgen render --model hf:OWNER/NAME --w 2048 --h 1024 -o land.png
```

State here what the photographs show, under which licence they are, and what the model cannot do.
"""


def write_folder(
    folder: Path, config: GeneratorConfig, tensors: Mapping[str, Tensor], *, dtype: torch.dtype = torch.float32
) -> None:
    """Write the files of a model into ``folder``, each atomically. An existing card is kept.

    Raises InputError if ``dtype`` cannot represent a value, or if the folder cannot be made.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"model folder {folder} cannot be created ({error.strerror}); give another one") from None
    write_model(folder / HUB_FILE, config, tensors, dtype=dtype)
    document = {"library": "infgen", "infgen": __version__, "format": FORMAT, "version": VERSION, **config.to_dict()}
    _write_text(folder / CONFIG_FILE, json.dumps(document, indent=2) + "\n")
    if not (folder / CARD_FILE).exists():
        card = _CARD.format(levels=config.levels, coordinates=config.coordinates, patch=config.patch_px)
        _write_text(folder / CARD_FILE, card)


def push_model(
    repository: str,
    config: GeneratorConfig,
    tensors: Mapping[str, Tensor],
    *,
    token: str | None = None,
    revision: str | None = None,
    private: bool | None = None,
    message: str = "Upload a model of infgen",
) -> str:
    """Upload a model to the hub, and create the repository if it is missing. Returns the address of the commit.

    Raises InputError if the hub refuses, MissingExtraError without ``huggingface_hub``.
    """
    with tempfile.TemporaryDirectory(prefix="infgen-") as folder:
        write_folder(Path(folder), config, tensors)
        return upload(Path(folder), repository, token=token, revision=revision, private=private, message=message)


def _write_text(path: Path, text: str) -> None:
    with write_atomically(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
