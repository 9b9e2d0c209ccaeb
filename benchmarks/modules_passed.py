"""List the modules that a style vector passes from layout to pixel, and a photograph through outpainting.

    python -m benchmarks.modules_passed style
    python -m benchmarks.modules_passed photograph
    PYTHONPATH=/path/to/another/checkout python -m benchmarks.modules_passed style    # of another version

A tiny command runs, and the call stack is read where the value is used: where its file is opened, in every convolution
and linear layer, in every backward pass, and where the picture takes its name. A module on one of these stacks must be
read to follow the value. The command runs twice, and only the second run counts, so that imports do not.
"""

import argparse
import json
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import numpy as np
from PIL import Image

import infgen
from infgen.cli.main import main as run_command

OPERATIONS = {"conv2d", "conv_transpose2d", "linear", "run_backward"}
PACKAGES = ("infgen", "infgen.train", "infgen.export", "infgen.serve")


class Recorder:
    """Collects the modules on the call stack at each use of a value. ``files``: names whose opening is a use."""

    def __init__(self, files: set[str]) -> None:
        self.modules: set[str] = set()
        self.active = False
        self._files = files
        sys.addaudithook(self._audit)

    @contextmanager
    def recording(self) -> Iterator[None]:
        """Record in this thread and in threads started inside."""
        threading.setprofile(self._profile)
        sys.setprofile(self._profile)
        self.active = True
        try:
            yield
        finally:
            self.active = False
            sys.setprofile(None)
            threading.setprofile(None)  # type: ignore[arg-type]

    def _audit(self, event: str, arguments: tuple[object, ...]) -> None:
        places = {"open": arguments[:1], "os.rename": arguments[1:2]}.get(event, ())
        if self.active and any(Path(str(place)).name in self._files for place in places):
            self._add(sys._getframe(1))

    def _profile(self, frame: FrameType, event: str, argument: object) -> None:
        if event == "c_call" and getattr(argument, "__name__", "") in OPERATIONS:
            self._add(frame)

    def _add(self, frame: FrameType | None) -> None:
        while frame is not None:
            name = str(frame.f_globals.get("__name__"))
            if name.split(".")[0] == "infgen":
                self.modules.add(name)
            frame = frame.f_back


def write_layout(folder: Path) -> list[str]:
    """Write a layout of two styles. Returns the words of the command."""
    layout = {
        "schema": 1,
        "styles": {"left": {"seed": 1}, "right": {"seed": 2}},
        "centres": [{"style": "left", "x": 0, "y": 0}, {"style": "right", "x": 64, "y": 0}],
        "transition": 33,
    }
    (folder / "layout.json").write_text(json.dumps(layout))
    return ["render", "--w", "64", "--h", "64", "--styles", str(folder / "layout.json")]


def write_photograph(folder: Path) -> list[str]:
    """Write a photograph of colour gradients. Returns the words of the command."""
    y, x = np.mgrid[0:96, 0:96]
    Image.fromarray(np.stack([2 * x, 2 * y, x + y], -1).astype(np.uint8)).save(folder / "photo.png")
    return ["outpaint", str(folder / "photo.png"), "--right", "32", "--inversion-steps", "2"]


WAYS = {"style": write_layout, "photograph": write_photograph}


def main() -> None:
    """Run one way twice and print the modules of the second run."""
    parser = argparse.ArgumentParser(description="List the modules that a value passes.")
    parser.add_argument("value", choices=WAYS)
    value = parser.parse_args().value
    recorder = Recorder({"layout.json", "photo.png", "second.png"})
    with tempfile.TemporaryDirectory() as name:
        words = [*WAYS[value](Path(name)), "--quiet", "-o"]
        _run([*words, f"{name}/first.png"])
        with recorder.recording():
            _run([*words, f"{name}/second.png"])
    print(f"infgen at {Path(infgen.__file__).parent}")
    print("\n".join(sorted(recorder.modules)))
    rooms = {name.split(".")[1] if name.count(".") > 1 else "base" for name in recorder.modules}
    print(f"{len(recorder.modules)} modules of {len(rooms)} rooms: {', '.join(sorted(rooms))}")


def _run(words: list[str]) -> None:
    try:
        run_command(words)
    except SystemExit as leave:
        if leave.code:
            raise


if __name__ == "__main__":
    main()
