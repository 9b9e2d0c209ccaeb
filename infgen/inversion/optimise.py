"""Invert pictures to latents by gradient descent through the generator (paper Section 4.3, Appendix K).

The first steps can run at a coarser scale, where they cost least. Adam finds a good region; L-BFGS (Liu and Nocedal 1989)
refines it. The objective is deterministic, so L-BFGS can estimate
its curvature from past gradients.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from infgen.errors import InputError
from infgen.inversion.drift import Drift
from infgen.inversion.network import add_checkpointing, freeze, needs_checkpointing
from infgen.inversion.objective import Objective, Variables
from infgen.inversion.prior import StylePrior
from infgen.inversion.run import COMPOSITION, DETAIL, End, Ended, InversionRun, Step
from infgen.inversion.settings import Settings
from infgen.inversion.window import Cover, Latents, Target
from infgen.model.config import GeneratorConfig
from infgen.model.folded import check_seamless
from infgen.model.generator import Generator
from infgen.perceptual import MIN_PX, Lpips
from infgen.world import fields
from infgen.world.anchors import AnchoredLatents

__all__ = ["Inversion", "Settings", "Step", "Target", "optimise"]


@dataclass(frozen=True, eq=False, kw_only=True)
class Inversion:
    """The best latents of a run. ``reconstruction`` (3, h, w) in [-1, 1]: their picture, on the CPU.

    ``psnr`` (dB) and ``lpips`` compare it with the known pixels of the target. ``end``: the reason why the run ended.
    """

    latents: AnchoredLatents
    reconstruction: Tensor
    psnr: float
    lpips: float
    drift: Drift
    steps: int
    seconds: float
    end: End
    checkpointed: bool

    @property
    def interrupted(self) -> bool:
        """Whether Ctrl-C ended the run."""
        return self.end == "interrupted"


def optimise(
    target: Target,
    generator: Generator,
    *,
    model_sha256: str,
    settings: Settings | None = None,
    period: int | None = None,
    seconds: float | None = None,
    progress: Callable[[Step], None] | None = None,
    stop: Callable[[], bool] | None = None,
) -> Inversion:
    """Invert ``target`` with ``generator`` on the device of its weights. Returns the best latents found.

    ``model_sha256``: hash of the generator's file. ``period``: px after which the world repeats along x. ``seconds``: time
    limit, to which the schedule adapts; without it, equal arguments give equal results. ``progress`` is called after every
    step. ``stop`` is called before every step; True or Ctrl-C end the run.

    Raises InputError for an unusable picture, place, period, model or time limit, LimitError if it needs too much memory,
    DivergenceError if a loss term is not finite.
    """
    settings = settings or Settings()
    if seconds is not None and not seconds > 0:
        raise InputError(f"seconds {seconds} is out of range; allowed are numbers above 0")
    check_seamless(generator.config)
    cover = Cover.of(target, generator.config, period=period)
    device = generator.mean_style.device
    checkpointing = needs_checkpointing(cover, generator.config, settings, device)
    network = freeze(generator)
    with torch.random.fork_rng(devices=[]):  # building layers uses random numbers
        metric = Lpips.load(settings.lpips, settings.lpips_weights).to(device)
    objective = Objective(
        add_checkpointing(network) if checkpointing else network,
        target,
        cover=cover,
        weights=settings.weights,
        metric=metric,
        prior=StylePrior.of(network),
    )
    starts = [_start(objective, cover, settings, index) for index in range(settings.starts)]
    _make_anchor(objective.latents(starts[0]), cover, model_sha256)  # fail before the work
    first, total = None, settings.steps
    if has_coarse_steps(target, network.config, settings):
        coarse, fine = settings.split()
        share = None if seconds is None else seconds * settings.coarse_share
        first = InversionRun(
            objective.coarser(network.coarser(1)),
            coarse,
            seconds=share,
            progress=progress,
            stop=stop,
            checkpointing=False,
            stage=COMPOSITION,
            total=total,
        )
        end, starts = _compose(first, starts)
        settings, seconds = fine, None if seconds is None else max(seconds - first.elapsed, 0.0)
    run = InversionRun(
        objective,
        settings,
        seconds=seconds,
        progress=progress,
        stop=stop,
        checkpointing=checkpointing,
        after=first,
        total=total,
    )
    if first is None or end not in ("stopped", "interrupted"):
        end = _search(run, starts)
    return _result(run, starts[0] if run.best is None else run.best[1], cover, model_sha256=model_sha256, end=end)


def has_coarse_steps(target: Target, config: GeneratorConfig, settings: Settings) -> bool:
    """Whether the run begins at the next coarser scale: the model has one, and the target is large enough for it."""
    large = min(target.picture.shape[1:]) >= 2 * MIN_PX
    return settings.coarse_share > 0 and settings.steps > 1 and config.levels - 1 in config.pictures and large


def _compose(run: InversionRun, starts: list[Variables]) -> tuple[End, list[Variables]]:
    """Run the coarse steps. Returns the reason why they ended, and the start of the fine ones."""
    rows = run.objective.generator.config.style_layers
    coarse = [start.coarser(rows=rows) for start in starts]
    end = _search(run, coarse)
    best = coarse[0] if run.best is None else run.best[1]
    return end, [best.finer(rows=starts[0].rows.shape[1], noises=starts[0].noises)]


def _start(objective: Objective, cover: Cover, settings: Settings, index: int) -> Variables:
    """Start ``index`` 0 at the mean style, others at sampled styles; z_l and noises come from ``settings.seed``."""
    generator = objective.generator
    config, mean = generator.config, generator.mean_style
    z_g, style = mean.new_zeros(1, config.global_channels), mean.new_zeros(1, 1, config.global_channels)
    rows = style.repeat(1, config.style_layers, 1)
    if index:
        z_g = fields.global_latent(settings.seed, channels=config.global_channels, index=index).to(mean).unsqueeze(0)
        style = objective.prior.whiten(generator.mapping(z_g)).unsqueeze(1)
    z_l = cover.local_latent(settings.seed, config, mean.device)
    return Variables(z_l, z_g, style, rows, cover.noises(settings.seed, mean.device)).detach_copy()


class _Descent:
    """Adam on ``variables``, in place."""

    def __init__(self, variables: Variables, settings: Settings) -> None:
        self.variables, self.loss, self._step = variables, float("inf"), 0
        rates = (settings.z_l_rate, settings.z_g_rate, 1.0, settings.row_rate, *(1.0 for _ in variables.noises))
        self._rates = [settings.rate * rate for rate in rates]
        self._ramps = {"ramp_up": settings.ramp_up, "ramp_down": settings.ramp_down}
        self._adam = torch.optim.Adam([{"params": [leaf]} for leaf in variables.all])

    def advance(self, run: InversionRun, to: int) -> None:
        """Run until step ``to`` of the schedule. Raises Ended."""
        leaves = self.variables.all
        while self._step < to and ((over := run.descent_progress(self._step)) < 1 or run.best is None):
            factor = rate_factor(min(over, 1.0), **self._ramps)
            for group, rate in zip(self._adam.param_groups, self._rates, strict=True):
                group["lr"] = rate * factor
            evaluation, gradients = run.evaluate(self.variables, leaves)
            self.loss = float(evaluation.loss.detach())
            for leaf, gradient in zip(leaves, gradients, strict=True):
                leaf.grad = gradient
            self._adam.step()
            self._step += 1


def _search(run: InversionRun, starts: list[Variables]) -> End:
    """Run Adam from all starts, then L-BFGS from the best. Returns the reason why the run ended."""
    try:
        descents = [_Descent(start, run.settings) for start in starts]
        if len(descents) > 1:
            for number, descent in enumerate(descents, 1):
                run.stage = f"start {number}"
                descent.advance(run, min(run.settings.start_steps, run.settings.descent_steps))
            run.stage = DETAIL
        min(descents, key=lambda descent: descent.loss).advance(run, run.settings.descent_steps)
        _refine(run)
    except Ended as ended:
        return ended.end
    except KeyboardInterrupt:
        return "interrupted"
    return "converged" if run.steps < run.settings.steps else "steps"


def _refine(run: InversionRun) -> None:
    """Refine the best variables with L-BFGS for the remaining steps. Raises Ended."""
    left, scale = run.settings.steps - run.steps, run.settings.noise_scale
    if run.best is None or left < 1:
        raise Ended("steps")
    scaled = run.best[1].detach_copy(scale=1 / scale)
    leaves = scaled.all
    optimiser = torch.optim.LBFGS(
        leaves,
        max_iter=left,
        max_eval=left,
        history_size=run.settings.history,
        line_search_fn="strong_wolfe",
        tolerance_grad=0,
        tolerance_change=0,
    )

    def closure() -> Tensor:
        noises = tuple(noise * scale for noise in scaled.noises)
        evaluation, gradients = run.evaluate(replace(scaled, noises=noises), leaves)
        for leaf, gradient in zip(leaves, gradients, strict=True):
            leaf.grad = gradient
        return evaluation.loss.detach()

    optimiser.step(closure)  # type: ignore[no-untyped-call]


def _make_anchor(latents: Latents, cover: Cover, model_sha256: str) -> AnchoredLatents:
    return AnchoredLatents(
        cell_x=cover.x.structure.start,
        cell_y=cover.y.structure.start,
        z_l=latents.z_l[0].detach().cpu(),
        noises=tuple(noise[0].detach().cpu() for noise in latents.noises),
        z_g=latents.z_g[0].detach().cpu(),
        w_plus=latents.w_plus[0].detach().cpu(),
        model_sha256=model_sha256,
        period=cover.period,
        halvings=cover.halvings,
    )


@torch.no_grad()
def _result(run: InversionRun, variables: Variables, cover: Cover, *, model_sha256: str, end: End) -> Inversion:
    objective = run.objective
    latents = objective.latents(variables)
    image = objective.image(latents).clamp(-1, 1)
    return Inversion(
        latents=_make_anchor(latents, cover, model_sha256),
        reconstruction=image[0].cpu(),
        psnr=objective.psnr(image),
        lpips=float(objective.perceptual(image)),
        drift=Drift.of(latents, objective.prior),
        steps=run.all_steps,
        seconds=run.all_seconds,
        end=end,
        checkpointed=run.checkpointing,
    )


def rate_factor(progress: float, *, ramp_up: float, ramp_down: float) -> float:
    """Return the learning rate factor at ``progress`` (0 start, 1 end of the run; StyleGAN2, Appendix D).

    Linear warm-up over the first ``ramp_up`` of the run, cosine decay over the last ``ramp_down``.
    """
    falling = min(1.0, (1 - progress) / ramp_down) if ramp_down else 1.0
    rising = min(1.0, progress / ramp_up) if ramp_up else 1.0
    return rising * (0.5 - 0.5 * math.cos(math.pi * falling))
