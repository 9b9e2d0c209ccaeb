"""Zoomed-out tiles from the first levels of the texture synthesizer: a half, a quarter, an eighth of the size."""

import hashlib

import torch
from torch import Tensor

from infgen.engines.base import TileBatch, to_pixels
from infgen.model.folded import FoldedGenerator, fold
from infgen.model.fused import FusedGenerator, fuse, mixers
from infgen.model.generator import Generator, Style
from infgen.model.skips import Readout, ShallowMix, pixel_grid, shallow
from infgen.rendering.render import Pixels, Scene
from infgen.serve.coarse_inputs import Square, coarse_batch, inside
from infgen.serve.recent import Recent
from infgen.world.styles import Palette
from infgen.world.tile_inputs import tile_batch
from infgen.world.world import World

MOST_HALVINGS = 3  # an eighth: beyond that a readout has too little to go by
PROBE_PX = 512  # side of the window that readouts are fitted on, around the horizon: sky, ground and what lies between
KEPT_READOUTS, KEPT_NETWORKS, KEPT_FUSED = 256, 32, 2


class CoarseArtist:
    """Draws squares of a world at 1 / 2**halvings of their size. For one thread at a time.

    Readouts of a style are fitted when it is first met, and kept for every world that has it.
    """

    def __init__(self, generator: Generator) -> None:
        self._generator = generator
        self._readouts: Recent[str, tuple[Readout, ...]] = Recent(KEPT_READOUTS)
        self._single: Recent[tuple[str, int], FoldedGenerator] = Recent(KEPT_NETWORKS)
        self._mixed: Recent[tuple[str, int], ShallowMix] = Recent(KEPT_NETWORKS)
        self._fused: Recent[float, FusedGenerator] = Recent(KEPT_FUSED)

    @property
    def most_halvings(self) -> int:
        """How often the picture can be halved: 0 for a model of one level."""
        return min(MOST_HALVINGS, self._generator.config.levels - 1)

    @torch.inference_mode()
    def draw(self, scene: Scene, x: int, y: int, *, halvings: int, side: int) -> Pixels:
        """The square of ``side`` x ``side`` pixels, (side, side, 3) uint8; ``x``, ``y``: its corner, in units of such pixels.

        A pixel shows 2**halvings px of the world across and down; ``halvings`` is at least 1.
        """
        config = self._generator.config
        square = Square(x, y, side + 1, depth=config.levels - halvings)
        batch = coarse_batch(scene, square, config=config, device=self._generator.mean_style.device)
        rgb = inside(self._rgb(batch, halvings)[0], square)
        return to_pixels(pixel_grid(rgb, 1 << halvings)[None])[0].cpu().numpy()

    def _rgb(self, batch: TileBatch, halvings: int) -> Tensor:
        strength, style = batch.noise_strength, batch.style
        parts = [Style(style.z_g[i : i + 1], style.w_plus[i : i + 1]) for i in range(len(style.z_g))]
        key = " ".join(_name(part, strength) for part in parts), halvings
        if batch.weights is None:
            network = self._single.get(key, lambda: self._shallow(style, strength, halvings))
            return network(batch.z_l, batch.coordinates, batch.noises)
        mix = self._mixed.get(key, lambda: self._shallow_mix(style, parts, strength, halvings))
        return mix(batch.z_l, batch.coordinates, batch.noises, batch.weights)

    def _shallow(self, style: Style, strength: float, halvings: int) -> FoldedGenerator:
        network = fold(self._generator, style, noise_strength=strength, dtype=torch.float32)
        depth = self._generator.config.levels - halvings
        return shallow(network, depth=depth, readout=self._readout(style, strength, halvings))

    def _shallow_mix(self, styles: Style, parts: list[Style], strength: float, halvings: int) -> ShallowMix:
        def fused() -> FusedGenerator:
            return fuse(self._generator, noise_strength=strength, dtype=torch.float32)

        return ShallowMix.of(
            self._fused.get(strength, fused),
            mixers(self._generator, styles),
            depth=self._generator.config.levels - halvings,
            readouts=[self._readout(part, strength, halvings) for part in parts],
        )

    def _readout(self, style: Style, strength: float, halvings: int) -> Readout:
        def fitted() -> tuple[Readout, ...]:
            return fit_readouts(self._generator, style, strength=strength, most_halvings=self.most_halvings)

        return self._readouts.get(_name(style, strength), fitted)[halvings - 1]


def _name(style: Style, strength: float) -> str:
    """What tells styles apart: a hash of their values."""
    values = [style.z_g.cpu().numpy().tobytes(), style.w_plus.cpu().numpy().tobytes(), repr(strength).encode()]
    return hashlib.blake2b(b"".join(values), digest_size=16).hexdigest()


@torch.inference_mode()
def fit_readouts(generator: Generator, style: Style, *, strength: float, most_halvings: int) -> tuple[Readout, ...]:
    """Readouts for 1, 2 ... halvings, from one window of world 0: its features against its mean colours.

    ``style``: a batch of one. ``strength`` multiplies the learnt strengths of noise.
    """
    levels, device = generator.config.levels, generator.mean_style.device
    network = fold(generator, style, noise_strength=strength, dtype=torch.float32)
    # One position more than are compared lies beyond each edge, on the coarsest lattice, too.
    whole = Square(0, -PROBE_PX // 2, PROBE_PX + (1 << most_halvings), depth=levels)
    batch = tile_batch(
        World(noise=strength),
        [whole.position],
        cells=whole.cells,
        config=generator.config,
        palette=Palette(style),
        device=device,
    )
    picture = inside(network(batch.z_l, batch.coordinates, batch.noises)[0], whole)[:, :PROBE_PX, :PROBE_PX]
    readouts = []
    for halvings in range(1, most_halvings + 1):
        depth, factor = levels - halvings, 1 << halvings
        everything = Readout.of_features(generator.config.texture_channels[2 * depth - 1], device)
        layers = shallow(network, depth=depth, readout=everything)
        values = layers(batch.z_l, batch.coordinates, batch.noises)[0]
        part = Square(0, whole.y // factor, PROBE_PX // factor + 1, depth=depth)
        features = pixel_grid(inside(values, part, window=whole), factor)
        means = torch.nn.functional.avg_pool2d(picture.clamp(-1, 1), factor)
        readouts.append(Readout.fitted(features.flatten(1), means.flatten(1)))
    return tuple(readouts)
