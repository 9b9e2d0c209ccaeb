"""Rectangles of a picture, and the grid of tiles that sinks take one by one."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """A rectangle of a picture: offset in px from its upper left corner, and size in px."""

    x: int
    y: int
    w: int
    h: int

    @property
    def pixels(self) -> int:
        return self.w * self.h


@dataclass(frozen=True)
class Grid:
    """A picture of ``width`` x ``height`` px in tiles of ``step_x`` x ``step_y`` px, numbered row by row.

    The last tiles of rows and columns are cut off at the edge.
    """

    width: int
    height: int
    step_x: int
    step_y: int

    @property
    def columns(self) -> int:
        return -(-self.width // self.step_x)

    @property
    def rows(self) -> int:
        return -(-self.height // self.step_y)

    @property
    def count(self) -> int:
        return self.columns * self.rows

    def box(self, number: int) -> Box:
        """Return the rectangle of tile ``number``."""
        row, column = divmod(number, self.columns)
        x, y = column * self.step_x, row * self.step_y
        return Box(x, y, min(self.step_x, self.width - x), min(self.step_y, self.height - y))
