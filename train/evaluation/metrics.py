"""The names of all metrics, what each one needs, and what a list of names comes to."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from infgen.errors import InputError

Kind = Literal[
    "frechet",
    "scaleinv",
    "strip",
    "fused-strip",
    "kernel",
    "precision",
    "recall",
    "inception-score",
    "diversity",
    "seam",
    "repetition",
]


@dataclass(frozen=True)
class Metric:
    """One metric. ``network``: the feature network it looks through. ``label``: its name for people."""

    name: str
    label: str
    kind: Kind
    network: str | None = None
    better: Literal["lower", "higher", "near 1"] = "lower"


_MANIFOLD_KINDS: tuple[Kind, ...] = ("precision", "recall")


def _of_network(network: str, name: str, label: str, kernel: tuple[str, str]) -> tuple[Metric, ...]:
    suffix = "" if network == "inception" else f"-{network}"
    return (
        Metric(name, label, "frechet", network),
        Metric(f"scaleinv-{name}", f"ScaleInv {label}", "scaleinv", network),
        Metric(f"inf-{name}", f"inf-{label}", "strip", network),
        Metric(f"inf-fused-{name}", f"fused inf-{label}", "fused-strip", network),
        Metric(*kernel, "kernel", network),
        *(
            Metric(f"{kind}{suffix}", f"{kind}{suffix.upper().replace('-', ' ')}", kind, network, better="higher")
            for kind in _MANIFOLD_KINDS
        ),
    )


# Only distances through the standard Inception network bear its established names.
METRICS: tuple[Metric, ...] = (
    *_of_network("vgg", "fd-vgg", "FD-VGG", ("kd-vgg", "KD-VGG")),
    *_of_network("effnet", "fd-effnet", "FD-EffNet", ("kd-effnet", "KD-EffNet")),
    *_of_network("inception", "fid", "FID", ("kid", "KID")),
    Metric("is", "IS", "inception-score", "inception", better="higher"),
    Metric("diversity", "diversity", "diversity", better="higher"),
    Metric("seam", "seam", "seam", better="near 1"),
    Metric("repetition", "repetition", "repetition"),
)

EFFNET_NOTE = (
    "the projected discriminator sees features of EfficientNet-Lite0, too: a model trained with it is not judged by "
    "FD-EffNet but by FD-VGG"
)
SMALL_NOTE = "Frechet distances grow as N gets smaller; compare only values of equal N and the same photographs"


def metrics_named(names: Sequence[str]) -> tuple[Metric, ...]:
    """The metrics called ``names``, in that order, each once. Raises InputError for an unknown name or none at all."""
    known = {metric.name: metric for metric in METRICS}
    for name in names:
        if name not in known:
            raise InputError(f"metric {name!r} is unknown; choose from {', '.join(known)}")
    if not names:
        raise InputError(f"no metric was named; choose from {', '.join(known)}")
    return tuple(known[name] for name in dict.fromkeys(names))


def networks_of(metrics: Sequence[Metric]) -> tuple[str, ...]:
    """Names of the feature networks that ``metrics`` look through, each once."""
    return tuple(dict.fromkeys(m.network for m in metrics if m.network is not None))


def notes_for(metrics: Sequence[Metric]) -> tuple[str, ...]:
    """What a reader of the values must know."""
    notes = []
    if any(m.kind in ("frechet", "scaleinv", "strip", "fused-strip") for m in metrics):
        notes.append(SMALL_NOTE)
    if "effnet" in networks_of(metrics):
        notes.append(EFFNET_NOTE)
    return tuple(notes)
