"""Estimate the time of an inversion and of composing its picture, from measured forward passes."""

import math
import time

import torch

from infgen.inversion.arrangement import Arrangement
from infgen.inversion.network import draw
from infgen.inversion.optimise import has_coarse_steps
from infgen.inversion.patches import SEARCHED_PX
from infgen.inversion.placing import Placed, working_scale
from infgen.inversion.settings import Settings
from infgen.inversion.window import Cover, Latents
from infgen.model.generator import Generator

# Measured on an AMD EPYC server with AVX2, in forward passes of the window.
STEP_FORWARDS = 2.8  # a step: forward, backward and LPIPS
SETUP_FORWARDS = 12  # loading LPIPS, and the prior of the styles
# Seconds per px of composing and encoding at FLOPS_PER_SECOND, the speed of the network on that machine.
FLOPS_PER_SECOND = 1e11
OUTPUT_SECONDS, COPIED_SECONDS, SEARCHED_SECONDS, RENDERED_SECONDS = 0.3e-6, 1.4e-6, 38e-6, 0.1e-6


def estimate_inversion(photo: Placed, generator: Generator, settings: Settings, *, period: int | None) -> float:
    """Return the seconds of one inversion, from one forward pass at each of its scales.

    ``generator``: of the whole model. ``period``: as for ``optimise``. Raises InputError if the window is longer than the
    period.
    """
    network = generator.coarser(working_scale(generator.config).halvings)
    target = photo.target()
    cover = Cover.of(target, network.config, period=period)
    fine = _forward(network, cover)
    if not has_coarse_steps(target, network.config, settings):
        return fine * (SETUP_FORWARDS + STEP_FORWARDS * settings.steps)
    coarse = _forward(network.coarser(1), cover.coarser(target.coarser()))
    first, second = settings.split()
    return fine * SETUP_FORWARDS + STEP_FORWARDS * (coarse * first.steps + fine * second.steps)


def estimate_composing(arrangement: Arrangement, *, flops_per_second: float) -> float:
    """Return the seconds of composing and encoding one picture on a machine of this speed."""
    width, height = arrangement.size
    known = 0
    for photo in arrangement.photographs:
        known += int(photo.known.mean() * photo.photograph.image.width * photo.photograph.image.height)
    generated = max(0, width * height - known)
    halvings = max(0, math.ceil(math.log2(min(width, height) / SEARCHED_PX)))
    seconds = OUTPUT_SECONDS * width * height + COPIED_SECONDS * generated + SEARCHED_SECONDS * generated / 4**halvings
    seconds += RENDERED_SECONDS * arrangement.rendered_region.pixels
    return seconds * FLOPS_PER_SECOND / flops_per_second


@torch.no_grad()
def _forward(network: Generator, cover: Cover) -> float:
    """Time a forward pass of the window, after one that warms up."""
    config, mean = network.config, network.mean_style
    z_g = mean.new_zeros(1, config.global_channels)
    w_plus = mean.expand(1, config.style_layers, -1)
    latents = Latents(cover.local_latent(0, config, mean.device), z_g, w_plus, cover.noises(0, mean.device))
    coordinates = cover.coordinates(config, mean.device)
    seconds = 0.0
    for _ in range(2):
        start = time.perf_counter()
        float(draw(network, latents, coordinates).sum())  # waits for a GPU
        seconds = time.perf_counter() - start
    return seconds
