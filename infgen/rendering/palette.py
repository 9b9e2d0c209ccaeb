"""Compute the styles of a world for one model."""

from dataclasses import dataclass, field

import torch
from torch import Tensor

from infgen.errors import WorldError
from infgen.model.config import GeneratorConfig
from infgen.model.generator import Generator, Style
from infgen.world import fields
from infgen.world.document import Mix
from infgen.world.layout import Latent, ResolvedSource, ResolvedStyle
from infgen.world.world import World


@dataclass(frozen=True)
class Palette:
    """All styles of a world: ``styles``, a batch of K."""

    styles: Style
    _parts: dict[tuple[int, ...], Style] = field(default_factory=dict, init=False, repr=False, compare=False)

    def subset(self, numbers: tuple[int, ...]) -> Style:
        """Return the styles of these numbers. Repeated calls return the same object, because engines cache by identity."""
        if numbers not in self._parts:
            index = torch.tensor(numbers, device=self.styles.z_g.device)
            self._parts[numbers] = Style(self.styles.z_g[index], self.styles.w_plus[index])
        return self._parts[numbers]


def check_world(world: World, config: GeneratorConfig) -> None:
    """Raise WorldError if a model of ``config`` cannot render ``world``, or if its anchors cannot be read."""
    _check_periods(world, config)
    _check_mix(world.style.mix, "style", config)
    _check_fields(world, config)
    if world.layout is None:
        return
    for style in world.layout.styles:
        for source, where in ((style, style.name), (style.texture, f"{style.name}.texture")):
            if source is not None:
                _check_mix(source.mix, f"style {where!r}", config)
                _check_latent(source.latent, f"style {where!r}", config)


def check_anchors(world: World, *, model_sha256: str) -> None:
    """Raise WorldError if an anchor was inverted with another model than ``model_sha256``."""
    for anchor, placed in zip(world.anchors, world.placed_anchors, strict=True):
        if (found := placed.latents.model_sha256) != model_sha256:
            raise WorldError(
                f"anchor {anchor.file} was inverted with model {found[:12]}... and this model is {model_sha256[:12]}...; "
                "give the right one with --model"
            )


def _check_periods(world: World, config: GeneratorConfig) -> None:
    for name, period in (("period", world.period), ("period_y", world.period_y)):
        if period is not None and period % config.cell_px:
            below = period // config.cell_px * config.cell_px
            raise WorldError(
                f"{name} {period} px is not a multiple of this model's cell of {config.cell_px} px; "
                f"nearest are {below or config.cell_px} and {below + config.cell_px}"
            )
    if world.period_y is not None and config.has_horizon:
        raise WorldError(
            f"period_y {world.period_y} px: this model has a horizon, which does not repeat along y; omit it, or give a "
            "model of a land from above, such as planet or atlas"
        )


def _check_mix(mix: Mix | None, where: str, config: GeneratorConfig) -> None:
    if mix is not None and mix.crossover > config.world_style_layers:
        raise WorldError(
            f"{where}: mix.crossover {mix.crossover} is past this model's {config.world_style_layers} style rows; "
            f"allowed are 1 to {config.world_style_layers}"
        )


def _check_latent(latent: Latent | None, where: str, config: GeneratorConfig) -> None:
    if latent is None:
        return
    found, wanted = (len(latent.w_plus), len(latent.z_g)), (config.world_style_layers, config.global_channels)
    if found != wanted:
        raise WorldError(
            f"{where}: its latent has {found[0]} rows of {found[1]} values and this model {wanted[0]} of {wanted[1]}; "
            "give a latent that was made with this model"
        )


def _check_fields(world: World, config: GeneratorConfig) -> None:
    wanted = config.world_levels, config.local_channels
    for anchor, placed in zip(world.anchors, world.placed_anchors, strict=True):
        if (found := (placed.latents.world_levels, placed.latents.local_channels)) != wanted:
            raise WorldError(
                f"anchor {anchor.file} has {found[0]} levels and {found[1]} local channels, and this model {wanted[0]} and "
                f"{wanted[1]}; give the model that it was inverted with"
            )
    for i, edit in enumerate(world.edits):
        if edit.mean is not None and len(edit.mean) != config.local_channels:
            raise WorldError(
                f"edit {i} has statistics of {len(edit.mean)} channels, and this model has {config.local_channels} local "
                "channels; give the model that it was made for"
            )


@torch.inference_mode()
def world_palette(world: World, generator: Generator) -> Palette:
    """Compute the styles of ``world``. Raises WorldError if this model cannot render it."""
    check_world(world, generator.config)
    if world.layout is None:
        return Palette(_seed_style(world.style_seed, world.style.mix, world.truncation, generator))
    parts = [_style(style, world, generator) for style in world.layout.styles]
    return Palette(Style(torch.cat([p.z_g for p in parts]), torch.cat([p.w_plus for p in parts])))


def _style(style: ResolvedStyle, world: World, generator: Generator) -> Style:
    """Take the structure from the style itself, and the texture from its ``texture`` if it has one."""
    structure = _source(style, world, generator)
    if style.texture is None:
        return structure
    return Style(structure.z_g, _source(style.texture, world, generator).w_plus)


def _source(source: ResolvedSource, world: World, generator: Generator) -> Style:
    truncation = world.truncation if source.truncation is None else source.truncation
    if source.seed is not None:
        return _seed_style(source.seed, source.mix, truncation, generator)
    mean = generator.mean_style
    if source.latent is None:
        z_g, w_plus = torch.zeros_like(mean)[None], mean.expand(1, generator.config.style_layers, -1)
    else:
        z_g, w_plus = (mean.new_tensor(values)[None] for values in (source.latent.z_g, source.latent.w_plus))
        w_plus = w_plus[:, : generator.config.style_layers]
    if source.mix is not None:
        other = _seed_style(source.mix.seed, None, 1.0, generator).w_plus
        w_plus = torch.cat([w_plus[:, : source.mix.crossover], other[:, source.mix.crossover :]], dim=1)
    return generator.truncate(Style(z_g, w_plus), truncation)


def _seed_style(seed: int, mix: Mix | None, truncation: float, generator: Generator) -> Style:
    def latent(seed: int) -> Tensor:
        return fields.global_latent(seed, channels=generator.config.global_channels).to(generator.mean_style)[None]

    if mix is None:
        return generator.style(latent(seed), truncation=truncation)
    return generator.style(latent(seed), mix=latent(mix.seed), crossover=mix.crossover, truncation=truncation)
