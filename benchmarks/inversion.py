"""Recovery: pictures that the shipped model drew, inverted from another world's latents. PSNR over steps and seconds, memory.

    python -m benchmarks.inversion                      # three pictures, 256 x 128 px
    python -m benchmarks.inversion --paper --steps 300  # the paper's settings, cut to 300 steps
    python -m benchmarks.inversion --set steps=80 --set weights.lpips=10 --seed 5
    python -m benchmarks.inversion --split              # what one step spends its time on

The start is seed 0's: mean style, its local latents and noises. Seconds are of processor time: of one thread with --threads 1.
"""

import resource
import sys
import time
from collections.abc import Iterable
from dataclasses import fields, replace

import click
import torch

from benchmarks.render import console, machine
from infgen.inversion.optimise import Settings, Step, Target, optimise
from infgen.model.checkpoint import SHIPPED, file_hash
from infgen.model.generator import Generator
from infgen.perceptual import Lpips
from infgen.world.world import World


def picture(seed: int, *, x: int, y: int, w: int, h: int) -> Target:
    """A window of world ``seed``, 8 bits a channel, as a target at its own place."""
    pixels = torch.from_numpy(World(seed=seed).render(x, y, w, h, threads=torch.get_num_threads()))
    return Target(pixels.permute(2, 0, 1) / 127.5 - 1, None, x, y)


def change_settings(settings: Settings, assignments: Iterable[str]) -> Settings:
    """``settings`` with ``name=value`` and ``weights.name=value`` put in, numbers all."""
    for assignment in assignments:
        name, _, text = assignment.partition("=")
        value = None if text == "None" else float(text) if "." in text or "e" in text else int(text)
        if name.startswith("weights."):
            settings = replace(settings, weights=replace(settings.weights, **{name.removeprefix("weights."): value}))
        else:
            settings = replace(settings, **{name: value})
    return settings


def recover(seed: int, target: Target, generator: Generator, settings: Settings, *, every: int) -> None:
    """Invert ``target``; print the best PSNR so far, the terms and processor seconds every so many steps, then the result."""
    began, best, reached = time.process_time(), 0.0, None

    def progress(step: Step) -> None:
        nonlocal best, reached
        seconds, best = time.process_time() - began, max(best, step.psnr)
        reached = seconds if reached is None and best >= 30 else reached
        if step.step % every == 0 or step.step == settings.steps:
            terms = ", ".join(f"{name} {value:.4g}" for name, value in step.terms.items())
            print(f"{step.step:5} {step.stage:8} {seconds:6.1f} s {best:5.1f} dB  {terms}", flush=True)

    height, width = target.picture.shape[1:]
    print(f"seed {seed}, {width} x {height} px")
    found = optimise(target, generator, model_sha256=file_hash(SHIPPED), settings=settings, progress=progress)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 1024)
    print(
        f"PSNR {found.psnr:.2f} dB, LPIPS {found.lpips:.4f}; 30 dB after "
        f"{'more' if reached is None else f'{reached:.0f} s'}; {found.steps} steps in {found.seconds:.0f} s by the clock, "
        f"ended by {found.end}; peak memory {peak:.0f} MiB\n{found.drift}",
        flush=True,
    )


def split(w: int, h: int, *, repeats: int = 5) -> None:
    """Seconds of the parts of a step."""
    from infgen.inversion.network import draw, freeze
    from infgen.inversion.window import Cover, Latents

    generator, target = freeze(Generator.from_pretrained(SHIPPED)), picture(5, x=0, y=-h // 2, w=w, h=h)
    device, config = generator.mean_style.device, generator.config
    cover = Cover.of(target, config, period=None)
    latents = Latents(
        cover.local_latent(0, config, device).requires_grad_(),
        torch.zeros(1, config.global_channels, requires_grad=True),
        generator.mean_style.expand(1, config.style_layers, -1).clone().requires_grad_(),
        tuple(noise.requires_grad_() for noise in cover.noises(0, device)),
    )
    leaves = [getattr(latents, f.name) for f in fields(latents) if f.name != "noises"] + list(latents.noises)
    metric, coordinates = Lpips.load(), cover.coordinates(config, device)
    features = metric.trunk(target.picture[None])
    parts = {"generator, forward": 0.0, "generator, backward": 0.0, "LPIPS, both": 0.0}
    for _ in range(repeats):
        marks = [time.process_time()]
        image = draw(generator, latents, coordinates)
        marks.append(time.process_time())
        shown = cover.cut(image.detach(), target).requires_grad_()
        metric.between(metric.trunk(shown), features).sum().backward()
        marks.append(time.process_time())
        torch.autograd.grad(image.square().mean(), leaves)
        marks.append(time.process_time())
        for name, seconds in zip(parts, (marks[1] - marks[0], marks[3] - marks[2], marks[2] - marks[1]), strict=True):
            parts[name] += seconds / repeats
    for name, seconds in parts.items():
        console.print(f"{name}: {seconds:.3f} s")


@click.command()
@click.option("--seed", "seeds", type=int, multiple=True, default=(5, 7, 9), show_default=True)
@click.option("--w", default=256, show_default=True)
@click.option("--h", default=128, show_default=True)
@click.option("--paper", is_flag=True, help="Settings.paper().")
@click.option("--steps", type=int)
@click.option("--set", "assignments", multiple=True, help="name=value of Settings, or weights.name=value.")
@click.option("--every", default=20, show_default=True, help="Steps between lines.")
@click.option("--threads", type=int)
@click.option("--split", "only_split", is_flag=True, help="Only what a step spends its time on.")
def main(
    seeds: tuple[int, ...],
    w: int,
    h: int,
    paper: bool,
    steps: int | None,
    assignments: tuple[str, ...],
    every: int,
    threads: int | None,
    only_split: bool,
) -> None:
    """Measure; see the module's docstring."""
    if threads is not None:
        torch.set_num_threads(threads)
    console.print(machine())
    if only_split:
        split(w, h)
        return
    settings = change_settings(Settings.paper() if paper else Settings(), assignments)
    settings = settings if steps is None else replace(settings, steps=steps)
    for seed in seeds:
        recover(
            seed, picture(seed, x=0, y=-h // 2, w=w, h=h), Generator.from_pretrained(SHIPPED), settings, every=every
        )


if __name__ == "__main__":
    main()
