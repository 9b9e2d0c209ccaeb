"""Weights and outputs of the official discriminator under our names."""

import re
from collections.abc import Mapping

import torch
from torch import Tensor

from infgen.train.networks.discriminator import PaperDiscriminator
from tests import oracle
from tests.model.networks import read_weights

PATCH_PX = 101
_RULES = (
    (r"convs\.0\.0\.weight", "stem.conv.weight"),
    (r"convs\.0\.1\.bias", "stem.bias"),
    (r"convs\.(\d+)\.conv1\.0\.weight", "blocks.{}.conv1.conv.weight"),
    (r"convs\.(\d+)\.conv1\.1\.bias", "blocks.{}.conv1.bias"),
    (r"convs\.(\d+)\.conv2\.1\.weight", "blocks.{}.conv2.conv.weight"),
    (r"convs\.(\d+)\.conv2\.2\.bias", "blocks.{}.conv2.bias"),
    (r"convs\.(\d+)\.skip\.1\.weight", "blocks.{}.skip.weight"),
    (r"final_conv\.0\.weight", "final.conv.weight"),
    (r"final_conv\.1\.bias", "final.bias"),
    (r"final_linear\.(\d)\.(weight|bias)", "logit.{}.{}"),
    (r"coord_linear\.(\d)\.(weight|bias)", "position.{}.{}"),
)


def our_name(official: str) -> str | None:
    """Return our name of an official tensor; None for buffers of filter kernels."""
    for pattern, ours in _RULES:
        if match := re.fullmatch(pattern, official):
            groups = list(match.groups())
            if official.startswith("convs") and groups:
                groups[0] = str(int(groups[0]) - 1)
            return ours.format(*groups)
    return None


def first_output(official: str, value: Tensor) -> Tensor:
    """Return ``value`` without the two untrained outputs of the official auxiliary head."""
    return value[:1] if official.startswith("coord_linear.1.") else value


def rename_tensors(official: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Map official tensors to our names."""
    return {ours: first_output(name, value) for name, value in official.items() if (ours := our_name(name))}


def official_discriminator(*, group: int = 16) -> PaperDiscriminator:
    """Load the reduced discriminator of the official values."""
    discriminator = PaperDiscriminator(PATCH_PX, width=1 / 32, head_channels=16, group=group)
    discriminator.load_state_dict(rename_tensors(read_weights(oracle.load("discriminator_small"))))
    return discriminator


def assert_scaled(computed: Tensor, expected: Tensor, tolerance: float = 1e-3) -> None:
    """Assert that ``computed`` is within ``tolerance`` of ``expected``, relative to its largest entry."""
    torch.testing.assert_close(computed, expected, rtol=0, atol=tolerance * max(float(expected.abs().max()), 1e-12))
