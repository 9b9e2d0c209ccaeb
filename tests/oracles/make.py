"""Cut the compact oracle set out of the full one: python tests/oracles/make.py FOLDER [--out FOLDER]."""

import argparse
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Slices = tuple[slice, ...]

WHOLE: Slices = ()
FIRST: Slices = (slice(0, 1),)
EVERY_2ND = (slice(None), slice(None), slice(None, None, 2), slice(None, None, 2))
EVERY_3RD = (slice(None), slice(None), slice(None, None, 3), slice(None, None, 3))
EVERY_5TH = (slice(None), slice(None), slice(None, None, 5), slice(None, None, 5))
STRUCTURE_CONV = "structure_synthesizer.implicit_model.conv_stack.{}.conv.conv.weight"


def window(start: int, size: int) -> Slices:
    """A square part of arrays (N, C, H, W)."""
    return (slice(None), slice(None), slice(start, start + size), slice(start, start + size))


# The second patch of the second row of the official test-time path, in which all three styles mix.
FUSED_PATCH: tuple[tuple[str, Slices], ...] = (
    *((f"noise_{i}", window(12 << i // 2, size)) for i, size in enumerate((19, 17, 31, 29, 55, 53, 103, 101))),
    *((f"map_ts_{i}", window(6 << (i + 1) // 2, size)) for i, size in enumerate((11, 19, 17, 31, 29, 55, 53, 103))),
    *((name, window(6, 35)) for name in ("map_ss_0", "local_latent", "coords")),
    ("structure_latent", window(6, 11)),
    ("meta_image", window(96, 101)),
    ("map_pixel", EVERY_5TH),
)

# Left out: keys that begin so. Twins of another array, weights of generator_small, and case B of the generator.
DROPPED: dict[str, tuple[str, ...]] = {
    "coords": (),
    "losses": (),
    "inversion": (),
    "discriminator_small": (),
    "generator_small": ("B_", "A_rgb_3", "A_ss_3"),
    "trainstep_small": (),
    "fusion_small_c3_k127": ("sd/", "map_ss_1", "map_ss_2", "map_ss_3"),
}

# Cut: keys that begin so keep this part; the first row that fits counts. Everything else is kept whole.
CUT: dict[str, tuple[tuple[str, Slices], ...]] = {
    "coords": (),
    "inversion": (),
    "losses": (("r1_grad_input", EVERY_3RD),),
    "discriminator_small": (("block_0_sample0", EVERY_3RD), ("block_1_sample0", EVERY_2ND)),
    "generator_small": (("A_feat_7", (slice(0, 1), slice(None), *EVERY_2ND[2:])), ("A_feat_", FIRST), ("A_ss_", FIRST)),
    "trainstep_small": (
        ("fake_image", EVERY_3RD),
        *((f"ggrad/{STRUCTURE_CONV.format(i)}", (slice(None), slice(i, None, 5))) for i in range(4)),
    ),
    "fusion_small_c3_k127": FUSED_PATCH,
}


def rule_of(array: Array, cut: Slices) -> Array:
    """``cut`` as whole numbers (axes, 3): start, stop, step of every axis."""
    padded = cut + (slice(None),) * (array.ndim - len(cut))
    return np.array([s.indices(n) for s, n in zip(padded, array.shape, strict=True)], dtype=np.int32)


def compact(name: str, source: dict[str, Array]) -> dict[str, Array]:
    """The arrays to ship of one oracle file; each cut array ``key`` comes with ``rule/key``."""
    kept: dict[str, Array] = {}
    for key, array in source.items():
        if key.startswith(DROPPED[name]):
            continue
        cut = next((c for prefix, c in CUT[name] if key.startswith(prefix)), WHOLE)
        kept[key] = array[cut]
        if cut:
            kept[f"rule/{key}"] = rule_of(array, cut)
    return kept


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path, help="the full oracle set")
    parser.add_argument("--out", type=Path, default=Path(__file__).resolve().parent, help="where to write")
    arguments = parser.parse_args()
    for name in DROPPED:
        with np.load(arguments.folder / f"{name}.npz", allow_pickle=False) as archive:
            kept = compact(name, {key: archive[key] for key in archive.files})
        path = arguments.out / f"{name}.npz"
        np.savez_compressed(path, allow_pickle=False, **kept)
        cut = sum(key.startswith("rule/") for key in kept)
        print(f"{path.name}: {len(kept) - cut} arrays, {cut} of them cut, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
