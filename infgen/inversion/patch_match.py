"""Find, for each patch of a picture's unknown part, a similar patch of its known part (Barnes et al., "PatchMatch", 2009).

Patches are compared by descriptors: the principal components of their pixels, and any further features. Places are flat
indices, row * width + column.
"""

from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor

RADIUS = 3
SIDE = 2 * RADIUS + 1  # of a patch, px
USE_PENALTY = 0.5  # cost of a patch used as often as the mean, as a share of the mean distance (Kaspar et al., 2015)
VOTING_DISTANCE = 0.1  # standard deviation squared of the weights in a vote, as a share of the mean distance
_LEAST_WEIGHT = 1e-3
_COMPONENTS = 16
_SAMPLED = 4096  # patches that stand for all known ones
_BATCH = 128
_VOTED_PX = 1 << 18
_BINOMIAL = (1.0, 4.0, 6.0, 4.0, 1.0)
_JUMPS = (4, 2, 1)  # px between neighbours that exchange matches
_RADII = (32, 8, 2)  # px of the random search


class Level:
    """One level of the pyramid: ``pixels`` (h * w, 3) uint8, and which of them are ``known`` (h, w) bool.

    ``targets``: places of patches with unknown pixels; each has a match, the place of a patch among the ``sources``.
    ``cyclic``: the right edge continues at the left edge. Elsewhere, edge pixels continue outside.
    """

    def __init__(self, pixels: Tensor, known: Tensor, *, cyclic: bool) -> None:
        self.pixels, self.known, self.cyclic = pixels, known, cyclic
        self.height, self.width = known.shape
        near = F.max_pool2d(self._pad((~known).float()[None]), SIDE, 1).flatten() > 0
        self.targets, self.sources = (torch.nonzero(part)[:, 0] for part in (near, ~near))
        self._is_source = ~near
        self._order = torch.full((self.height * self.width,), -1, dtype=torch.int32)
        self._order[self.targets] = torch.arange(len(self.targets), dtype=torch.int32)

    @property
    def image(self) -> Tensor:
        """The picture (3, h, w), 0 to 1."""
        return self.pixels.view(self.height, self.width, 3).permute(2, 0, 1).float() / 255

    def halve(self) -> Self:
        """Return the level of half the size. A pixel is known if all that it covers are."""
        image, known = (
            F.pad(part[None], (0, self.width % 2, 0, self.height % 2), "replicate")
            for part in (self.image, self.known.float()[None])
        )
        pixels = (F.avg_pool2d(image, 2)[0] * 255).round().byte()
        small = F.avg_pool2d(known, 2)[0, 0] == 1
        return type(self)(pixels.permute(1, 2, 0).reshape(-1, 3), small, cyclic=self.cyclic)

    def describe(self, features: Tensor, *, components: bool = True) -> Tensor:
        """Return descriptors (h * w, D) of all patches: their principal components, and ``features`` (D', h, w)."""
        parts = [features]
        if components:
            parts.insert(0, F.conv2d(self._pad(self.image), self._components())[0])
        return torch.cat(parts).flatten(1).T.contiguous()

    def find(self, descriptors: Tensor, random: torch.Generator) -> Tensor:
        """Return the most similar source of each target; sources used often cost more."""
        pick = torch.randperm(len(self.sources), generator=random)[:_SAMPLED]
        sources = self.sources[pick]
        known, used = descriptors[sources], torch.zeros(self.height * self.width)
        matches, scale = torch.empty_like(self.targets), 0.0
        for part in torch.split(torch.randperm(len(self.targets), generator=random), _BATCH):
            cost = torch.cdist(descriptors[self.targets[part]], known).square()
            scale = scale or float(cost.amin(1).mean())
            cost += USE_PENALTY * scale * self._use(used)[sources]
            matches[part] = sources[cost.argmin(1)]
            used.index_add_(0, matches[part], torch.ones(len(part)))
        return matches

    def improve(self, descriptors: Tensor, matches: Tensor, random: torch.Generator, *, rounds: int) -> Tensor:
        """Improve ``matches`` by those of neighbours, and by random places around them."""
        search = _Search(self, descriptors, matches)
        for step in range(rounds):
            for jump in _JUMPS if step == 0 else _JUMPS[-1:]:
                for dy, dx in ((0, jump), (0, -jump), (jump, 0), (-jump, 0)):
                    search.attempt(self._shift(self._matches_at(search.matches, dy, dx), -dy, -dx))
            for radius in _RADII:
                off = torch.randint(-radius, radius + 1, (2, len(matches)), generator=random)
                search.attempt(self._shift(search.matches, off[0], off[1]))
        return search.matches

    def inherit(self, coarse: "Level", matches: Tensor) -> Tensor:
        """Return the ``matches`` of the level of half the size at this one."""
        y, x = self.targets // self.width, self.targets % self.width
        parents = coarse._order[y // 2 * coarse.width + x // 2].long()
        found = matches[parents]
        rows, columns = found // coarse.width * 2 + y % 2, found % coarse.width * 2 + x % 2
        return rows.clamp_max(self.height - 1) * self.width + columns.clamp_max(self.width - 1)

    def weigh(self, descriptors: Tensor, matches: Tensor) -> Tensor:
        """Return the weight of each match in a vote, 0 to 1: it falls with the distance of the two patches."""
        distance = (descriptors[matches] - descriptors[self.targets]).square().sum(1)
        scale = 2 * VOTING_DISTANCE * distance.mean().clamp_min(1e-12)
        return torch.exp(-distance / scale).clamp_min(_LEAST_WEIGHT)

    def vote(self, matches: Tensor, *, weights: Tensor | None = None, step: int | None = None) -> None:
        """Set each unknown pixel to the mean of those that the patches around it copy there.

        ``weights``: of the matches; None: equal.
        ``step``: of the centres of these patches in px, 5 x 5 of them with falling weight; None: all whose patch covers
        the pixel, with equal weight.
        """
        taps = [(d, 1.0) for d in range(-RADIUS, RADIUS + 1)]
        if step is not None:
            taps = [((i - 2) * step, weight) for i, weight in enumerate(_BINOMIAL)]
        pixels = self.pixels.clone()
        for places in torch.split(torch.nonzero(~self.known.flatten())[:, 0], _VOTED_PX):
            total, sum_of_weights = torch.zeros(len(places), 3), torch.zeros(len(places), 1)
            for dy, down in taps:
                for dx, across in taps:
                    centre = self._shift(places, -dy, -dx)
                    order = self._order[centre.clamp_min(0)].long()
                    weight = ((centre >= 0) & (order >= 0))[:, None] * (down * across)
                    if weights is not None:
                        weight = weight * weights[order.clamp_min(0)][:, None]
                    copied = self._shift(matches[order.clamp_min(0)], dy, dx, clamp=True)
                    total += self.pixels[copied] * weight
                    sum_of_weights += weight
            pixels[places] = (total / sum_of_weights).round().byte()
        self.pixels = pixels

    def _use(self, counts: Tensor) -> Tensor:
        """Return how often 3 x 3 px around each place are used, relative to the mean."""
        mean = len(self.targets) / len(self.sources)
        return F.avg_pool2d(counts.view(1, 1, self.height, self.width), 3, 1, 1).flatten() / mean

    def _matches_at(self, matches: Tensor, dy: int, dx: int) -> Tensor:
        """Return the match of the target ``dy``, ``dx`` px away from each; -1: there is none."""
        neighbours = self._shift(self.targets, dy, dx)
        order = self._order[neighbours.clamp_min(0)].long()
        return torch.where((neighbours >= 0) & (order >= 0), matches[order.clamp_min(0)], -1)

    def _shift(self, places: Tensor, dy: int | Tensor, dx: int | Tensor, *, clamp: bool = False) -> Tensor:
        """Shift places; those outside become -1, or the nearest edge."""
        y, x = places // self.width + dy, places % self.width + dx
        if self.cyclic:
            x = x % self.width
        if clamp:
            return y.clamp(0, self.height - 1) * self.width + x.clamp(0, self.width - 1)
        inside = (places >= 0) & (y >= 0) & (y < self.height) & (x >= 0) & (x < self.width)
        return torch.where(inside, y * self.width + x, -1)

    def _pad(self, part: Tensor) -> Tensor:
        """Continue (C, h, w) by the radius of a patch: (1, C, H, W)."""
        wide = F.pad(part[None], (RADIUS, RADIUS, 0, 0), "circular" if self.cyclic else "replicate")
        return F.pad(wide, (0, 0, RADIUS, RADIUS), "replicate")

    def _components(self) -> Tensor:
        """Return the principal components of known patches, (K, 3, SIDE, SIDE)."""
        step = max(1, len(self.sources) // _SAMPLED)
        chosen = self.sources[::step]
        padded = self._pad(self.image)[0]
        y, x, run = chosen // self.width, chosen % self.width, torch.arange(SIDE)
        patches = padded[:, y[:, None, None] + run[:, None], x[:, None, None] + run].transpose(0, 1).flatten(1)
        _, directions = torch.linalg.eigh((patches - patches.mean(0)).T.double().cov())
        return directions[:, -_COMPONENTS:].T.float().reshape(-1, 3, SIDE, SIDE)


class _Search:
    """The best ``matches`` so far."""

    def __init__(self, level: Level, descriptors: Tensor, matches: Tensor) -> None:
        self.matches = matches
        own, known = descriptors[level.targets], level._is_source
        distance = (descriptors[matches] - own).square().sum(1)
        counts = torch.zeros(level.height * level.width).index_add_(0, matches, torch.ones(len(matches)))
        use = level._use(counts) * (USE_PENALTY * float(distance.mean()))

        def cost(places: Tensor) -> Tensor:
            return (descriptors[places] - own).square().sum(1) + use[places]

        self._known, self._cost = known, cost
        self._best = cost(matches)

    def attempt(self, places: Tensor) -> None:
        """Take ``places`` where they are sources and cost less."""
        allowed = (places >= 0) & self._known[places.clamp_min(0)]
        places = torch.where(allowed, places, self.matches)
        cost = self._cost(places)
        better = cost < self._best
        self.matches, self._best = torch.where(better, places, self.matches), torch.where(better, cost, self._best)
