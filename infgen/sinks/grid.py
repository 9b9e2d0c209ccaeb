"""How a picture is cut into tiles that sinks take one by one."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Box:
    """A rectangle of a picture, px from its upper left corner."""

    x: int
    y: int
    w: int
    h: int

    @property
    def pixels(self) -> int:
        """How many they are."""
        return self.w * self.h


@dataclass(frozen=True)
class Grid:
    """A picture of ``width`` x ``height`` px in tiles of ``step_x`` x ``step_y`` px, row by row; the last are cut off."""

    width: int
    height: int
    step_x: int
    step_y: int

    @property
    def columns(self) -> int:
        """Tiles in a row."""
        return -(-self.width // self.step_x)

    @property
    def rows(self) -> int:
        """Rows of tiles."""
        return -(-self.height // self.step_y)

    @property
    def count(self) -> int:
        """Tiles in all."""
        return self.columns * self.rows

    def box(self, number: int) -> Box:
        """The pixels of tile ``number``."""
        row, column = divmod(number, self.columns)
        x, y = column * self.step_x, row * self.step_y
        return Box(x, y, min(self.step_x, self.width - x), min(self.step_y, self.height - y))
