"""Whole inversions with the tiny model."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from infgen.errors import DivergenceError, InfgenError, InputError, LimitError
from infgen.geometry import cell_px
from infgen.inversion import network
from infgen.inversion.drift import Drift
from infgen.inversion.network import add_checkpointing, draw, freeze, memory
from infgen.inversion.objective import Objective
from infgen.inversion.optimise import Inversion, Settings, Step, Target, optimise
from infgen.inversion.prior import StylePrior
from infgen.inversion.run import InversionRun
from infgen.inversion.window import Cover, Latents
from infgen.limits import TILE_MEMORY_MB
from infgen.model.checkpoint import file_hash
from infgen.model.config import preset
from infgen.model.generator import Generator
from infgen.world.world import World
from tests.model.networks import psnr, random_generator

SHA256 = "0" * 64
W, H, X, Y = 44, 37, 100, -20
SEEING = Settings(steps=12, adam_steps=6)
QUICK = replace(SEEING, weights=replace(SEEING.weights, lpips=0))
PAPER = replace(Settings.paper(), lpips="alex")  # the weights of VGG16 are no part of the package
WAYS = {"both": SEEING, "adam": replace(SEEING, adam_steps=None), "paper": replace(PAPER, steps=12)}


@pytest.fixture(scope="module")
def target(tiny_model: Path) -> Target:
    """A window of world 5 as target; its inversion starts from the latents of world 0."""
    pixels = World(seed=5).render(X, Y, W, H, model=tiny_model)
    return Target(torch.from_numpy(pixels).permute(2, 0, 1) / 127.5 - 1, None, X, Y)


def run(target: Target, tiny: Generator, settings: Settings = QUICK, **others: object) -> tuple[Inversion, list[Step]]:
    steps: list[Step] = []
    found = optimise(target, tiny, model_sha256=SHA256, settings=settings, progress=steps.append, **others)  # type: ignore[arg-type]
    return found, steps


def latents_of(found: Inversion) -> list[torch.Tensor]:
    return [found.latents.z_l, found.latents.z_g, found.latents.w_plus, *found.latents.noises]


@pytest.mark.parametrize("settings", WAYS.values(), ids=WAYS)
def test_a_picture_comes_nearer(target: Target, tiny: Generator, settings: Settings) -> None:
    found, steps = run(target, tiny, settings)
    assert found.psnr > steps[0].psnr + 1


@pytest.mark.parametrize("share", [0.0, 0.75])
def test_no_steps_give_the_start_at_once(target: Target, tiny: Generator, share: float) -> None:
    found, steps = run(target, tiny, replace(QUICK, steps=0, coarse_share=share))
    _, first = run(target, tiny, replace(QUICK, steps=1))
    assert (steps, found.steps, found.end) == ([], 0, "steps")
    assert found.psnr == pytest.approx(first[0].psnr, abs=1e-3)


def test_the_result_is_the_best_of_all_steps(target: Target, tiny: Generator) -> None:
    weights = SEEING.weights
    too_fast = replace(SEEING, rate=0.5, adam_steps=None)  # so that the loss also rises
    found, steps = run(target, tiny, too_fast)
    best = min(steps, key=lambda s: weights.pixel * s.terms["pixel"] + weights.lpips * s.terms["lpips"])
    assert found.psnr == pytest.approx(best.psnr, abs=1e-3)


def test_the_gradient_reaches_every_latent(target: Target, tiny: Generator) -> None:
    found, _ = run(target, tiny, replace(QUICK, steps=2, adam_steps=2))
    cover = Cover.of(target, tiny.config, period=None)
    world = [cover.local_latent(0, tiny.config, torch.device("cpu"))[0]]
    noises = [noise[0] for noise in cover.noises(0, torch.device("cpu"))]
    assert not torch.equal(found.latents.z_l, world[0])
    assert bool((found.latents.z_g != 0).any())
    assert bool((found.latents.w_plus != found.latents.w_plus[0]).any())
    assert all(not torch.allclose(a, b, atol=1e-3) for a, b in zip(found.latents.noises, noises, strict=True))


def test_the_world_of_the_latents_draws_the_reconstruction(
    target: Target, tiny: Generator, tiny_model: Path, tmp_path: Path
) -> None:
    found = optimise(target, tiny, model_sha256=file_hash(tiny_model), settings=QUICK)
    found.latents.save(tmp_path / "photo.safetensors")
    world = World.from_inversions([tmp_path / "photo.safetensors"])
    shown = world.render(X, Y, W, H, model=tiny_model)
    expected = found.reconstruction.permute(1, 2, 0).add(1).mul(127.5).numpy()
    assert np.abs(shown - expected).max() < 1


def test_equal_arguments_give_equal_latents(target: Target, tiny: Generator) -> None:
    first, second = run(target, tiny)[0], run(target, tiny)[0]
    assert all(torch.equal(a, b) for a, b in zip(latents_of(first), latents_of(second), strict=True))


def test_another_seed_gives_other_latents(target: Target, tiny: Generator) -> None:
    first, second = run(target, tiny)[0], run(target, tiny, replace(QUICK, seed=1))[0]
    assert not torch.equal(first.latents.z_l, second.latents.z_l)


def test_nothing_outside_is_changed(target: Target, tiny: Generator) -> None:
    before, state = {k: v.clone() for k, v in tiny.state_dict().items()}, torch.get_rng_state()
    run(target, tiny)
    assert all(torch.equal(before[k], v) for k, v in tiny.state_dict().items())
    assert torch.equal(state, torch.get_rng_state())


def test_unknown_pixels_do_not_change_the_result(target: Target, tiny: Generator) -> None:
    mask = torch.ones(H, W, dtype=torch.bool)
    mask[10:, 25:] = False
    other = target.picture.clone()
    other[:, 10:, 25:] = -other[:, 10:, 25:]
    quick = replace(QUICK, steps=4)
    first, second = (run(Target(p, mask, X, Y), tiny, quick)[0] for p in (target.picture, other))
    assert all(torch.equal(a, b) for a, b in zip(latents_of(first), latents_of(second), strict=True))


def test_lpips_sees_no_difference_where_the_picture_is_unknown(target: Target, tiny: Generator) -> None:
    mask = torch.zeros(H, W, dtype=torch.bool)
    mask[:10] = True
    objective = _objective(Target(target.picture, mask, X, Y), tiny)
    image = torch.where(mask, target.picture, torch.zeros(3, 1, 1))[None]
    assert float(objective.perceptual(image)) == pytest.approx(0, abs=1e-6)


def test_psnr_counts_known_pixels(target: Target, tiny: Generator) -> None:
    mask = torch.zeros(H, W, dtype=torch.bool)
    mask[5:30, 3:40] = True
    found, _ = run(Target(target.picture, mask, X, Y), tiny, replace(QUICK, steps=4))
    expected = psnr(found.reconstruction[:, 5:30, 3:40], target.picture[:, 5:30, 3:40])
    assert found.psnr == pytest.approx(expected, abs=1e-3)


def test_the_clock_ends_a_run(target: Target, tiny: Generator) -> None:
    found, _ = run(target, tiny, replace(QUICK, steps=100_000, adam_steps=50_000, patience=100_000), seconds=0.4)
    assert found.end == "seconds"


def test_a_run_without_time_makes_one_step(target: Target, tiny: Generator) -> None:
    found, _ = run(target, tiny, seconds=1e-9)
    assert (found.steps, found.end) == (1, "seconds")


@pytest.mark.parametrize(("elapsed", "over"), [(0.0, 0.025), (1.0, 0.25), (4.0, 1.0)])
def test_adams_schedule_follows_the_clock_where_that_is_faster(
    target: Target, tiny: Generator, monkeypatch: pytest.MonkeyPatch, elapsed: float, over: float
) -> None:
    settings = replace(QUICK, steps=50, adam_steps=20)  # two fifths of ten seconds
    started = InversionRun(
        _objective(target, tiny), settings, seconds=10, progress=None, stop=None, checkpointing=False
    )
    monkeypatch.setattr(InversionRun, "elapsed", elapsed)
    assert started.descent_progress(0) == pytest.approx(over)


def test_adams_schedule_is_over_if_the_coarse_steps_used_all_seconds(target: Target, tiny: Generator) -> None:
    started = InversionRun(_objective(target, tiny), QUICK, seconds=0.0, progress=None, stop=None, checkpointing=False)
    assert started.descent_progress(0) > 1


def test_a_run_that_no_longer_improves_ends(target: Target, tiny: Generator) -> None:
    found, _ = run(target, tiny, replace(QUICK, steps=50, adam_steps=None, rate=1e-12, patience=5))
    assert (found.steps, found.end) == (6, "patience")


def test_the_caller_can_stop_a_run(target: Target, tiny: Generator) -> None:
    asked = iter([False, False, False, True])
    found, _ = run(target, tiny, stop=lambda: next(asked))
    assert (found.steps, found.end) == (3, "stopped")


def _interrupting(step: int) -> Callable[[Step], None]:
    def progress(found: Step) -> None:
        if found.step == step:
            raise KeyboardInterrupt

    return progress


@pytest.mark.parametrize("step", [1, 3, 9])  # 9: within L-BFGS
def test_an_interrupted_run_keeps_its_best_latents(target: Target, tiny: Generator, step: int) -> None:
    found = optimise(target, tiny, model_sha256=SHA256, settings=QUICK, progress=_interrupting(step))
    same, _ = run(target, tiny, stop=_after(step))
    assert found.interrupted
    assert torch.equal(found.latents.z_l, same.latents.z_l)


def _after(steps: int) -> Callable[[], bool]:
    asked = 0

    def stop() -> bool:
        nonlocal asked
        asked += 1
        return asked > steps

    return stop


def test_several_starts_go_on_from_the_best(target: Target, tiny: Generator) -> None:
    settings = replace(QUICK, steps=14, adam_steps=6, starts=3, start_steps=2)
    found, steps = run(target, tiny, settings)
    assert [s.stage for s in steps[:7]] == ["start 1", "start 1", "start 2", "start 2", "start 3", "start 3", "detail"]
    assert found.steps == 14


def test_progress_names_every_loss_term(target: Target, tiny: Generator) -> None:
    _, steps = run(target, tiny, replace(PAPER, steps=1))
    assert set(steps[0].terms) == {"pixel", "lpips", "noise", "z_g", "z_l", "z_g_std", "z_l_std", "style"}


def test_progress_shows_the_picture_so_far(target: Target, tiny: Generator) -> None:
    _, steps = run(target, tiny)
    assert psnr(steps[-1].image.clamp(-1, 1), target.picture) == pytest.approx(steps[-1].psnr, abs=1e-3)


def test_noises_stay_normal(target: Target, tiny: Generator) -> None:
    found, _ = run(target, tiny)
    assert found.drift.noise_mean == pytest.approx(0, abs=1e-5)
    assert found.drift.noise_std == pytest.approx(1, abs=1e-4)


def test_drawn_latents_have_no_drift(tiny: Generator) -> None:
    cover, device = (
        Cover.of(Target(torch.zeros(3, 400, 400), None, 0, 0), tiny.config, period=None),
        torch.device("cpu"),
    )
    z_g = torch.randn(1, 16, generator=torch.Generator().manual_seed(3))
    latents = Latents(cover.local_latent(0, tiny.config, device), z_g, tiny.style(z_g).w_plus, cover.noises(0, device))
    drift = Drift.of(latents, StylePrior.of(tiny))
    assert drift.z_l == pytest.approx(1, abs=0.05)
    assert drift.style == pytest.approx(1, abs=0.5)
    assert drift.noise_mean == pytest.approx(0, abs=0.1)


def test_an_inversion_in_a_cyclic_world_is_of_that_world(target: Target, tiny: Generator) -> None:
    found, _ = run(target, tiny, period=cell_px(4) * 60)
    plain, _ = run(target, tiny)
    assert found.latents.period == 960
    assert not torch.equal(found.latents.z_l, plain.latents.z_l)


@pytest.mark.parametrize("structure", ["implicit", "pointwise", "none"])
def test_ablations_can_be_inverted(structure: str) -> None:
    generator = random_generator(preset("tiny", structure=structure), seed=1)  # type: ignore[arg-type]
    found, steps = run(Target(torch.zeros(3, 40, 40), None, 0, 0), generator)
    assert found.psnr > steps[0].psnr


def test_a_model_with_padding_is_refused() -> None:
    generator = random_generator(preset("tiny", padding=True), seed=1)
    with pytest.raises(InputError, match="padding"):
        run(Target(torch.zeros(3, 40, 40), None, 0, 0), generator)


def test_a_term_that_is_not_finite_is_named(target: Target, tiny: Generator) -> None:
    broken = freeze(tiny)
    broken.texture.convs[3].bias[0] = float("nan")  # type: ignore[index, operator]
    with pytest.raises(DivergenceError, match="step 1: loss term pixel is nan"):
        run(target, broken)


def _objective(target: Target, generator: Generator) -> Objective:
    from infgen.perceptual import Lpips

    return Objective(
        generator,
        target,
        cover=Cover.of(target, generator.config, period=None),
        weights=QUICK.weights,
        metric=Lpips.load(),
        prior=StylePrior.of(generator),
    )


@pytest.mark.parametrize("structure", ["implicit", "none"])
def test_checkpointed_gradients_equal_plain_ones(target: Target, structure: str) -> None:
    generator = freeze(random_generator(preset("tiny", structure=structure), seed=7))  # type: ignore[arg-type]
    cover, device = Cover.of(target, generator.config, period=None), torch.device("cpu")
    leaves = [cover.local_latent(0, generator.config, device), torch.randn(1, 16), torch.randn(1, 9, 16)]
    leaves = [leaf.requires_grad_() for leaf in (*leaves, *cover.noises(0, device))]
    latents = Latents(leaves[0], leaves[1], leaves[2], tuple(leaves[3:]))
    plain, spared = (
        torch.autograd.grad(
            draw(g, latents, cover.coordinates(generator.config, device)).square().sum(),
            leaves,
            materialize_grads=True,
        )
        for g in (generator, add_checkpointing(generator))
    )
    for a, b in zip(plain, spared, strict=True):
        torch.testing.assert_close(a, b, atol=1e-5 * float(a.abs().max()), rtol=1e-5)


def test_a_window_is_checkpointed_where_memory_asks_for_it(
    target: Target, tiny: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells = Cover.of(target, tiny.config, period=None).cells
    least, plain = (memory(cells, tiny.config, QUICK, checkpointed=kept) for kept in (True, False))
    monkeypatch.setattr(network, "tile_memory", lambda device: (least + plain) // 2)
    found, _ = run(target, tiny)
    assert found.checkpointed


def test_a_picture_too_large_for_the_memory_is_refused(
    target: Target, tiny: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(TILE_MEMORY_MB.name, "1")
    with pytest.raises(LimitError, match="over the limit of 1 MiB"):
        run(target, tiny)


def test_without_memory_it_goes_on_checkpointed(
    target: Target, tiny: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    _starve(monkeypatch, times=1)
    found, _ = run(target, tiny)
    assert found.checkpointed


def test_without_any_memory_it_ends_in_a_clear_line(
    target: Target, tiny: Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    _starve(monkeypatch, times=99)
    with pytest.raises(InfgenError, match="not enough memory to invert"):
        run(target, tiny)


def _starve(monkeypatch: pytest.MonkeyPatch, *, times: int) -> None:
    """Make the first ``times`` evaluations fail with PyTorch's out-of-memory error."""
    whole, left = Objective.__call__, times

    def call(self: Objective, *arguments: object) -> object:
        nonlocal left
        left -= 1
        if left >= 0:
            raise RuntimeError(
                "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"
            )
        return whole(self, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(Objective, "__call__", call)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", -1),
        ("adam_steps", 0),
        ("rate", 0.0),
        ("rate", float("nan")),
        ("ramp_up", 2.0),
        ("starts", 0),
        ("patience", 0),
    ],
)
def test_a_setting_out_of_range_is_refused_by_name(name: str, value: float) -> None:
    with pytest.raises(InputError, match=f"{name} {value} is out of range"):
        replace(Settings(), **{name: value})


def test_a_hash_that_is_none_is_refused_before_the_work(target: Target, tiny: Generator) -> None:
    with pytest.raises(InputError, match="model_sha256"):
        optimise(target, tiny, model_sha256="none", progress=_interrupting(1))
