"""How well photographs are continued: the protocol of the paper's Table 2.

Of each photograph the middle square of 256 px is used. The left 128 columns are known, and every method makes the others.
Only these are compared with the photographs' own.
"""

import importlib.util
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from infgen.errors import InputError
from infgen.inversion.arrangement import Extension, outpainting
from infgen.inversion.continuation import Joining, draw_samples, invert_photograph
from infgen.inversion.placing import place
from infgen.inversion.settings import CONTINUING, Settings
from infgen.photo import open_photograph, read_photo
from infgen.pixels import Pixels
from infgen.progress import Phase, silent_phase
from infgen.rendering.studio import Studio
from infgen.train.data.sources import Source, read_picture
from infgen.train.evaluation.comparison import distance
from infgen.train.evaluation.continuations import join_step
from infgen.train.evaluation.distances import MIN_SCORE_PICTURES, inception_score
from infgen.train.evaluation.features import USUAL_FILES, FeatureNetwork, WeightFiles, collect, load_network
from infgen.train.evaluation.metrics import Metric, networks_of
from infgen.train.networks import efficientnet

SIDE_PX, KNOWN_PX = 256, 128
KINDS = ("frechet", "kernel", "inception-score")  # of metrics that compare pictures
ITSELF, OURS, OPENCV = "the photograph itself", "infgen", "OpenCV inpainting"
_RADIUS_PX = 5  # of OpenCV's inpainting
_SCORED = 16  # pictures that pass through the classifier together


def mirror(known: Pixels) -> Pixels:
    """Mirror the known half: (256, 128, 3) -> (256, 256, 3)."""
    return np.concatenate([known, known[:, ::-1]], axis=1)


def inpaint(known: Pixels) -> Pixels:
    """Continue the known half with OpenCV's inpainting (Telea, Journal of Graphics Tools 9, 2004)."""
    import cv2

    wide = np.concatenate([known, np.zeros_like(known)], axis=1)
    mask = np.zeros(wide.shape[:2], np.uint8)
    mask[:, KNOWN_PX:] = 255
    return np.asarray(cv2.inpaint(wide, mask, _RADIUS_PX, cv2.INPAINT_TELEA), np.uint8)


def fill_mean(known: Pixels) -> Pixels:
    """Fill the other half with the mean colour of the known one."""
    return np.concatenate([known, np.broadcast_to(known.mean((0, 1)).round().astype(np.uint8), known.shape)], axis=1)


def baselines() -> Mapping[str, Callable[[Pixels], Pixels]]:
    """Return the methods to compare with. OpenCV's is among them if the package is installed."""
    found = {"the known half, mirrored": mirror, "the mean colour": fill_mean}
    return found | ({OPENCV: inpaint} if importlib.util.find_spec("cv2") else {})


@dataclass(frozen=True)
class OutpaintRequest:
    """What to measure. ``n``: photographs, by name. ``settings``, ``seconds``: of each inversion.

    Raises InputError for a metric that does not compare pictures, and for fewer than two photographs.
    """

    metrics: tuple[Metric, ...]
    _: KW_ONLY
    n: int = 40
    settings: Settings = CONTINUING
    seconds: float | None = None

    def __post_init__(self) -> None:
        for metric in self.metrics:
            if metric.kind not in KINDS:
                raise InputError(
                    f"metric {metric.name} does not compare pictures; give distances such as fd-vgg, or is"
                )
        if self.n < 2:
            raise InputError(f"{self.n} photographs are too few for a distance; give 2 or more")


@dataclass(frozen=True)
class MethodRow:
    """One method. ``distances``: value by label. ``score``: IS-like, None for few pictures. ``join``: mean step at the join."""

    method: str
    distances: Mapping[str, float]
    score: float | None
    join: float


@dataclass(frozen=True)
class Reconstruction:
    """How well the known half of one photograph was inverted."""

    name: str
    psnr: float
    lpips: float
    steps: int


@dataclass(frozen=True)
class OutpaintReport:
    """All methods, the photograph itself first, and the inversions. ``n``: photographs."""

    rows: tuple[MethodRow, ...]
    reconstructions: tuple[Reconstruction, ...]
    n: int
    weights: Mapping[str, str]  # feature network -> hash of its weights


def evaluate_outpainting(
    studio: Studio,
    source: Source,
    *,
    request: OutpaintRequest,
    files: WeightFiles = USUAL_FILES,
    seed: int = 0,
    keep: Callable[[str, Pixels], None] | None = None,
    phase: Phase = silent_phase,
) -> OutpaintReport:
    """Invert and continue the first photographs of ``source`` with the model of ``studio``, and measure all methods.

    ``seed``: of the worlds around the photographs. ``keep(name, picture)`` gets every continued photograph, (256, 256, 3)
    uint8. Raises InputError for a photograph that is damaged or under 256 px, and for fewer than two.
    """
    pictures = source.pictures[: request.n]
    if len(pictures) < 2:
        raise InputError(f"data {source.title} holds {len(source)} photographs; a distance needs 2 or more")
    networks = {name: load_network(name, files) for name in networks_of(request.metrics)}
    squares = [square(read_photo(read_picture(p), short_px=SIDE_PX).image) for p in pictures]
    settings = replace(request.settings, seed=seed)
    ours, inverted = [], []
    with phase("photographs") as progress:
        for number, (picture, pixels) in enumerate(zip(pictures, squares, strict=True), 1):
            drawn, found = continue_half(studio, pixels, name=picture.name, settings=settings, seconds=request.seconds)
            ours.append(drawn)
            inverted.append(found)
            if keep is not None:
                keep(picture.name, drawn)
            progress(number, len(pictures))
    known = [np.ascontiguousarray(p[:, :KNOWN_PX]) for p in squares]
    methods = {ITSELF: squares, OURS: ours}
    methods |= {name: [method(p) for p in known] for name, method in baselines().items()}
    rows = []
    with phase("methods") as progress:
        for row in _rows(methods, request.metrics, networks):
            rows.append(row)
            progress(len(rows), len(methods))
    return OutpaintReport(
        tuple(rows), tuple(inverted), len(pictures), {n: network.key for n, network in networks.items()}
    )


def square(image: Image.Image) -> Pixels:
    """The middle square of an image whose short side has 256 px, (256, 256, 3) uint8."""
    left, top = (image.width - SIDE_PX) // 2, (image.height - SIDE_PX) // 2
    return np.asarray(image.crop((left, top, left + SIDE_PX, top + SIDE_PX)))


def continue_half(
    studio: Studio, pixels: Pixels, *, name: str, settings: Settings, seconds: float | None = None
) -> tuple[Pixels, Reconstruction]:
    """Continue the left half of a square (256, 256, 3) uint8 to its full width."""
    placed = place(open_photograph(np.ascontiguousarray(pixels[:, :KNOWN_PX])), height=SIDE_PX)
    found = invert_photograph(placed, studio=studio, settings=settings, seconds=seconds)
    arrangement = outpainting(placed, Extension(right=SIDE_PX - KNOWN_PX), scale="work", config=studio.generator.config)
    with tempfile.TemporaryDirectory(prefix="infgen-") as folder:
        file = Path(folder) / "photograph.safetensors"
        found.latents.save(file)
        samples = draw_samples(arrangement, [file], studio=studio, seed=settings.seed, samples=1, joining=Joining())
        picture = next(samples)[1]
    return picture, Reconstruction(name, found.psnr, found.lpips, found.steps)


def _rows(
    methods: Mapping[str, Sequence[Pixels]], metrics: Sequence[Metric], networks: Mapping[str, FeatureNetwork]
) -> Iterator[MethodRow]:
    real = collect_halves(methods[ITSELF], networks)
    for name, pictures in methods.items():
        fake = collect_halves(pictures, networks)
        values = {}
        for metric in metrics:
            network = networks[str(metric.network)]
            values[metric.label] = distance(metric, real[network.name], fake[network.name], network, seed=0)[0]
        join = float(np.mean([join_step(p, KNOWN_PX) for p in pictures]))
        yield MethodRow(name, values, score_halves(pictures), join)


def collect_halves(pictures: Sequence[Pixels], networks: Mapping[str, FeatureNetwork]) -> Mapping[str, Tensor]:
    """Features of the halves that methods make, by network."""
    return collect(iter(halves(pictures)), networks.values(), count=len(pictures))


def halves(pictures: Iterable[Pixels]) -> Tensor:
    """The halves that methods make, (N, 3, 256, 128) uint8."""
    return torch.stack([torch.from_numpy(p[:, KNOWN_PX:].copy()).permute(2, 0, 1) for p in pictures])


@torch.inference_mode()
def score_halves(pictures: Sequence[Pixels]) -> float | None:
    """The Inception Score's formula on the classes of EfficientNet-Lite0; None for fewer than 20 pictures."""
    if len(pictures) < MIN_SCORE_PICTURES:
        return None
    network = efficientnet.load("the IS-like score")
    logits = torch.cat([network((part.float() - 127) / 128) for part in torch.split(halves(pictures), _SCORED)])
    return inception_score(logits).mean
