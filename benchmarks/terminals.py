"""Record commands on terminals of 80 columns: with colours, without, and a dumb one. Prints what stands on the screen.

    python -m benchmarks.terminals                 # render, outpaint, an error and a help text
    python -m benchmarks.terminals --only dumb

Each run gets a pseudo-terminal of its own. Fails if a redrawn line is cut or wider than the terminal, if NO_COLOR does not remove
colours, or if a dumb terminal gets an escape sequence.
"""

import fcntl
import os
import pty
import re
import shlex
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

import click

COLUMNS, ROWS = 80, 24
TERMINALS = {
    "colour": {"TERM": "xterm-256color"},
    "no colour": {"TERM": "xterm-256color", "NO_COLOR": "1"},
    "dumb": {"TERM": "dumb"},
}
PHOTO = Path(__file__).parents[1] / "docs" / "examples" / "mountain.jpg"
COMMANDS = (
    "render --w 1400 --h 600 --seed 51 --tile 197 --threads 1",
    f"outpaint {shlex.quote(str(PHOTO))} --right 64 --working-height 96 --output-size work --inversion-steps 6 --threads 1",
    "render --w 0 --h 9",
    "render --help",
)
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_COLOUR = re.compile(r"\x1b\[[0-9;]*(?:3[0-8]|4[0-8]|9[0-7])(?:;[0-9;]*)?m")


def record(command: str, environment: dict[str, str], folder: Path) -> tuple[str, int]:
    """Run ``infgen command`` on a pseudo-terminal. Returns what it wrote, and its exit code."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    kept = {
        name: value for name, value in os.environ.items() if name not in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR")
    }
    words = [sys.executable, "-m", "infgen", *shlex.split(command)]
    with subprocess.Popen(
        words, stdin=slave, stdout=slave, stderr=slave, env={**kept, **environment}, cwd=folder
    ) as process:
        os.close(slave)
        parts = []
        while True:
            try:
                part = os.read(master, 65536)
            except OSError:  # Linux: the other end is closed
                break
            if not part:
                break
            parts.append(part)
    os.close(master)
    return b"".join(parts).decode(), process.returncode


def show_screen(text: str) -> tuple[list[str], set[int]]:
    """Return the lines on the screen after ``text``, and the rows that were redrawn, which cannot be wrapped."""
    lines, row, redrawn = [""], 0, set[int]()
    for token in re.findall(r"\x1b\[[0-9;?]*[A-Za-z]|\r?\n|\r|[^\x1b\r\n]+", text):
        if token in ("\n", "\r\n"):
            row += 1
            lines += [""] * (row + 1 - len(lines))
        elif token == "\r" or token.endswith("K"):
            redrawn |= {row} if lines[row] else set()
            lines[row] = ""
        elif token.startswith("\x1b[") and token.endswith("A"):
            row = max(row - int(token[2:-1] or 1), 0)
        elif not token.startswith("\x1b"):
            lines[row] += token
    return lines, redrawn


def list_faults(name: str, text: str, live: list[str]) -> list[str]:
    """Return what a terminal must not get. ``live``: the lines that were redrawn."""
    found = [f"{len(line)} columns: {line}" for line in live if len(line) > COLUMNS or "…" in line[COLUMNS // 2 :]]
    if name == "no colour" and _COLOUR.search(text):
        found.append(f"colours in spite of NO_COLOR: {_COLOUR.search(text)}")
    if name == "dumb" and _ESCAPE.search(text):
        found.append(f"escape sequences: {_ESCAPE.findall(text)[:3]}")
    return found


@click.command()
@click.option("--only", type=click.Choice(list(TERMINALS)), help="Record this kind of terminal alone.")
def main(only: str | None) -> None:
    """Record all commands on all terminals. Exits with code 1 if one gets what it must not get."""
    failed = False
    for command in COMMANDS:
        for name, environment in TERMINALS.items():
            if only not in (None, name):
                continue
            with tempfile.TemporaryDirectory(prefix="infgen-") as folder:
                text, code = record(command, environment, Path(folder))
            screen, redrawn = show_screen(text)
            print(f"--- {name}: infgen {command}: exit code {code}, {len(_ESCAPE.findall(text))} escape sequences")
            wrapped = [line[i : i + COLUMNS] for line in screen for i in range(0, max(len(line), 1), COLUMNS)]
            print("\n".join(wrapped).rstrip())
            for fault in list_faults(name, text, [screen[row] for row in sorted(redrawn)]):
                failed = True
                print(f"FAULT {fault}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
