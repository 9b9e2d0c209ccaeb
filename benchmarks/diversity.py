"""Size and gradient of L_div before training, with both norms of its distances, beside the adversarial loss.

    python -m benchmarks.diversity --preset scenery-101 --width 0.25

Generates one batch of patches with random weights. Prints each loss and the norm of its gradient in the structure
synthesizer.
"""

import click
import torch
from rich.table import Table
from torch import Tensor

from benchmarks.render import console, machine
from infgen.train import losses
from infgen.train.presets import Recipe, find_recipe
from infgen.train.sampling import draw_inputs, generate, step_rng
from infgen.train.state import initial_state
from infgen.train.step import ADVERSARIAL_LOSSES


def measure(recipe: Recipe, *, seed: int) -> dict[str, tuple[float, float]]:
    """Values and gradient norms by loss term, all with weight 1."""
    state = initial_state(recipe, seed=seed, device=torch.device("cpu"))
    scale, generator, discriminator = recipe.trained_scales[-1], state.generator, state.discriminators[-1]
    rng = step_rng(seed, 0, 0)
    inputs = draw_inputs(recipe, scale, recipe.batch, rng, device=torch.device("cpu"), dtype=torch.float32)
    images, z_s, _ = generate(generator.coarser(scale.halvings), inputs)
    terms: dict[str, Tensor] = {
        "adversarial": ADVERSARIAL_LOSSES[recipe.discriminator].generator(discriminator(images).logits),
        "L_div, sum": losses.diversity(inputs.z_l, z_s, norm="sum"),
        "L_div, mean": losses.diversity(inputs.z_l, z_s, norm="mean"),
    }
    weights = list(generator.structure.parameters())
    found = {}
    for name, term in terms.items():
        gradients = torch.autograd.grad(term, weights, retain_graph=True, allow_unused=True)
        norm = torch.stack([g.square().sum() for g in gradients if g is not None]).sum().sqrt()
        found[name] = (float(term.detach()), float(norm))
    return found


@click.command()
@click.option("--preset", default="scenery-101", show_default=True)
@click.option("--width", default=0.25, show_default=True)
@click.option("--discriminator-width", default=0.25, show_default=True)
@click.option("--batch", default=8, show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(preset: str, width: float, discriminator_width: float, batch: int, seed: int) -> None:
    """Measure one batch of PRESET with random weights."""
    changes = {"width": width, "discriminator_width": discriminator_width, "batch": batch}
    table = Table("loss", "value", "gradient in G_S", title=f"{preset}, width {width}, batch {batch}")
    for name, (value, gradient) in measure(find_recipe(preset).with_values(**changes), seed=seed).items():
        table.add_row(name, f"{value:.3g}", f"{gradient:.3g}")
    console.print(machine())
    console.print(table)


if __name__ == "__main__":
    main()
