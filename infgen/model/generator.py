"""The generator: mapping network, structure synthesizer and texture synthesizer as one module.

It is independent of files, worlds and tiles: its inputs are windows of latents, coordinates and noises.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import torch
from torch import Tensor, nn

from infgen.model.checkpoint import read_model, resolve, write_model
from infgen.model.config import GeneratorConfig
from infgen.model.layers import StyleWeights
from infgen.model.repository import push_model, write_folder
from infgen.model.structure import build_structure
from infgen.model.texture import MappingNetwork, TextureSynthesizer, mix_styles

MEAN_STYLE_SAMPLES = 10_000


@dataclass(frozen=True)
class Style:
    """Latents of a style: ``z_g`` (B, D) modulates the structure, ``w_plus`` (B, rows, D) the texture."""

    z_g: Tensor
    w_plus: Tensor


class Generator(nn.Module):
    """InfinityGAN's generator (paper Section 3). ``config`` defines all sizes.

    >>> from infgen import Generator, GeneratorConfig
    >>> generator = Generator(GeneratorConfig((8, 8, 4, 4), local_channels=4, global_channels=8))
    >>> generator.save_pretrained("model.safetensors")
    >>> Generator.from_pretrained("model.safetensors").config.cell_px
    4
    """

    def __init__(self, config: GeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.mapping = MappingNetwork(config.global_channels)
        self.structure = build_structure(config)
        self.texture = TextureSynthesizer(config)
        self.mean_style: Tensor
        self.register_buffer("mean_style", torch.zeros(config.global_channels))

    def forward(
        self,
        z_l: Tensor,
        coordinates: Tensor,
        style: Style,
        noises: Sequence[Tensor],
        weights: StyleWeights | None = None,
    ) -> Tensor:
        """z_l (B, C, n+24, m+24), coordinates (B, K, n+24, m+24), noises[i] (B, 1, h_i, w_i) -> RGB (B, 3, H, W).

        ``config.noise_shapes`` gives the sizes of noises, ``infgen.geometry.tile_px`` those of RGB.
        RGB is float32, about [-1, 1], not clipped. ``weights`` mix K styles over space, z_g (B, K, D) and w_plus
        (B, K, rows, D). Raises ValueError if a noise has another size than its layer.
        """
        cells, lattices = (None, ()) if weights is None else (weights.structure, weights.texture)
        return self.texture(self.structure(z_l, coordinates, style.z_g, cells), style.w_plus, noises, lattices)

    def coarser(self, halvings: int) -> Self:
        """Return the generator of the first levels, which renders worlds at scale 1 / 2**halvings and shares the weights.

        Its pixel j lies on px j * 2**halvings of the world. Raises InputError if that level has no trained RGB output.
        """
        if not halvings:
            return self
        config = self.config.coarser(halvings)
        with torch.device("meta"):
            first = type(self)(config)
        first.mapping, first.structure, first.mean_style = self.mapping, self.structure, self.mean_style
        first.texture.convs = self.texture.convs[: len(config.texture_channels)]
        first.texture.to_rgbs = self.texture.to_rgbs[: config.levels]
        return first.train(self.training)

    def style(
        self,
        z_g: Tensor,
        *,
        mix: Tensor | None = None,
        crossover: int | None = None,
        truncation: float = 1.0,
    ) -> Style:
        """Map latents ``z_g`` (B, D) to a style.

        ``mix`` (B, D) and ``crossover``: texture rows from ``crossover`` on use the second latent (style mixing).
        ``truncation``: 1 keeps styles, 0 gives the mean style; z_g is scaled by it, because its mean is zero.
        """
        w = self.mapping(z_g)
        other = None if mix is None else self.mapping(mix)
        w_plus = mix_styles(w, rows=self.config.style_layers, other=other, crossover=crossover)
        return self.truncate(Style(z_g, w_plus), truncation)

    def truncate(self, style: Style, truncation: float) -> Style:
        """Interpolate ``style`` towards the mean style: 1 keeps it, 0 gives the mean; the mean of z_g is zero."""
        if truncation == 1.0:
            return style
        w_plus = torch.lerp(self.mean_style.expand_as(style.w_plus), style.w_plus, truncation)
        return Style(style.z_g * truncation, w_plus)

    @torch.no_grad()
    def update_mean_style(self) -> None:
        """Set ``mean_style`` to the mean of mapped latents over 10,000 fixed draws."""
        parameter = self.mean_style
        draws = torch.randn(MEAN_STYLE_SAMPLES, self.config.global_channels, generator=torch.Generator().manual_seed(0))
        parameter.copy_(self.mapping(draws.to(parameter)).mean(0))

    @classmethod
    def from_pretrained(
        cls,
        source: str | Path,
        *,
        device: torch.device | str = "cpu",
        revision: str | None = None,
        token: str | None = None,
    ) -> Self:
        """Load the generator of ``source`` in float32 and evaluation mode: a shipped model's name, a file or a hub id.

        ``revision``: branch, tag or commit of a hub id. ``token``: for a private one; None: that of ``hf auth login``.

        Raises ModelFileError for a file that is damaged, of another kind, or whose tensors do not match its configuration;
        InputError for a missing one; MissingExtraError for a hub id without ``huggingface_hub``.
        """
        config, tensors = read_model(resolve(source, revision=revision, token=token), shapes=tensor_shapes)
        with torch.device("meta"):
            generator = cls(config)
        generator.load_state_dict(tensors, assign=True)
        return generator.to(device).eval().requires_grad_(False)

    def save_pretrained(self, path: str | Path, *, dtype: torch.dtype = torch.float32) -> None:
        """Write one ``.safetensors`` file atomically, with the configuration in its metadata and tensors as ``dtype``.

        Another name is a folder, as for the hub: it gets ``model.safetensors``, ``config.json`` and a model card. Equal
        models give equal files. Raises InputError if ``dtype`` cannot represent a value.
        """
        write = write_model if Path(path).suffix.lower() == ".safetensors" else write_folder
        write(Path(path), self.config, self.state_dict(), dtype=dtype)

    def push_to_hub(
        self,
        repository: str,
        *,
        token: str | None = None,
        revision: str | None = None,
        private: bool | None = None,
        message: str = "Upload a model of infgen",
    ) -> str:
        """Upload the model to the Hugging Face hub as "owner/name". Returns the address of the commit.

        ``revision``: branch to write. ``private``: for a new repository. Raises InputError if the hub refuses,
        MissingExtraError without ``huggingface_hub``.
        """
        return push_model(
            repository,
            self.config,
            self.state_dict(),
            token=token,
            revision=revision,
            private=private,
            message=message,
        )


def tensor_shapes(config: GeneratorConfig) -> dict[str, tuple[int, ...]]:
    """Return name and shape of every tensor of a generator with ``config``. Allocates nothing."""
    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in Generator(config).state_dict().items()}
