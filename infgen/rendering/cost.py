"""Count the floating-point operations and the memory of a tile from the layers."""

from collections.abc import Iterator
from dataclasses import KW_ONLY, dataclass

from infgen.geometry import STRUCTURE_HALO
from infgen.model.config import GeneratorConfig
from infgen.model.structure import KERNEL, LAYERS

Shape = tuple[int, int]  # rows, columns


@dataclass(frozen=True)
class LayerCost:
    """Cost of one convolution on one tile. ``read``, ``written``: windows; ``flops``: two per multiply-add."""

    name: str
    _: KW_ONLY
    in_channels: int
    out_channels: int
    read: Shape
    written: Shape
    flops: int


def layer_costs(config: GeneratorConfig, cells: Shape) -> Iterator[LayerCost]:
    """Yield the cost of every convolution for a tile of ``cells`` (rows, columns), in order, with blurs and 1x1 RGB."""
    yield from _structure_costs(config, cells)
    yield from _texture_costs(config, cells)


def _structure_costs(config: GeneratorConfig, cells: Shape) -> Iterator[LayerCost]:
    local, inputs = config.local_channels, config.local_channels + config.coordinate_channels
    if config.structure == "none":
        yield LayerCost(
            "structure.0",
            in_channels=inputs,
            out_channels=local,
            read=cells,
            written=cells,
            flops=_conv_flops(cells, inputs, local, 1),
        )
        return
    pointwise = config.structure == "pointwise"
    taps = 1 if pointwise else KERNEL * KERNEL
    read = (cells[0] + 2 * STRUCTURE_HALO, cells[1] + 2 * STRUCTURE_HALO)
    for i in range(LAYERS):
        written = (read[0] - KERNEL + 1, read[1] - KERNEL + 1)
        flops = _conv_flops(written, inputs, local, taps)
        yield LayerCost(
            f"structure.{i}",
            in_channels=inputs,
            out_channels=local,
            read=written if pointwise else read,
            written=written,
            flops=flops,
        )
        read = written


def _texture_costs(config: GeneratorConfig, cells: Shape) -> Iterator[LayerCost]:
    read, channels = (config.texture_cells(cells[0]), config.texture_cells(cells[1])), config.local_channels
    blur_taps = 16 if config.padding else 9
    for i, (out, written) in enumerate(zip(config.texture_channels, config.noise_shapes(cells), strict=True)):
        up = i % 2 == 0
        # A transposed convolution multiplies each input by all nine taps. The blur adds its taps per output value.
        flops = _conv_flops(read if up else written, channels, out, 9)
        flops += _conv_flops(written, 1, out, blur_taps) if up else 0
        yield LayerCost(f"texture.{i}", in_channels=channels, out_channels=out, read=read, written=written, flops=flops)
        read, channels = written, out
        if not up:
            yield LayerCost(
                f"rgb.{i // 2}",
                in_channels=out,
                out_channels=3,
                read=read,
                written=read,
                flops=_conv_flops(read, out, 3, 1),
            )


def _conv_flops(positions: Shape, in_channels: int, out_channels: int, taps: int) -> int:
    return 2 * positions[0] * positions[1] * in_channels * out_channels * taps


def tile_flops(config: GeneratorConfig, cells: Shape) -> int:
    """Return the number of floating-point operations for one tile."""
    return sum(layer.flops for layer in layer_costs(config, cells))


def peak_bytes(config: GeneratorConfig, cells: Shape, *, bytes_per_value: int) -> int:
    """Return the peak bytes of one tile: input and output of the largest layer, its buffer before the blur, RGB and noises.

    RGB and noises are counted in float32.
    """
    worst = 0
    pixels = 0
    for layer in layer_costs(config, cells):
        positions_in, pixels = layer.read[0] * layer.read[1], layer.written[0] * layer.written[1]
        outputs = (
            2 if layer.read < layer.written else 1
        )  # an upsampling layer holds its output before and after the blur
        worst = max(worst, bytes_per_value * (positions_in * layer.in_channels + outputs * pixels * layer.out_channels))
    return worst + pixels * 4 * (6 + 4)  # RGB twice, and noises of all layers: 2 * (1 + 1/4 + ...) values per pixel
