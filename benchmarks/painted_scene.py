"""Paint ten strokes of four styles on the canvas server, and export the scene as the command line renders it.

python -m benchmarks.painted_scene OUT.png [--width 4096 --height 1576]
"""

import argparse
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import httpx
import psutil

from infgen.serve.app import API
from infgen.world.strokes import encode_points
from infgen.world.world import World
from tests.serve.process import serving

# Style seed, radius in px, hardness, line in shares of the picture; None erases.
STROKES: tuple[tuple[int | None, int, float, tuple[tuple[float, float], ...]], ...] = (
    (3, 420, 0.4, ((0.0, 0.15), (0.35, 0.25))),
    (12, 380, 0.5, ((0.3, 0.6), (0.55, 0.5), (0.62, 0.75))),
    (21, 330, 0.3, ((0.7, 0.2), (0.85, 0.35), (1.0, 0.3))),
    (40, 260, 0.6, ((0.05, 0.85), (0.25, 0.9), (0.4, 0.8))),
    (12, 180, 0.8, ((0.1, 0.5), (0.2, 0.55))),
    (21, 240, 0.5, ((0.5, 0.1), (0.58, 0.2))),
    (40, 300, 0.5, ((0.75, 0.8), (0.95, 0.85))),
    (3, 160, 0.9, ((0.45, 0.75), (0.5, 0.9))),
    (None, 140, 0.7, ((0.3, 0.3), (0.36, 0.5))),
    (12, 200, 0.2, ((0.88, 0.55), (0.98, 0.6))),
)


COARSE = -2  # level of the tile: 1024 px of the world, more than most strokes on a screen cover


def paint(
    client: httpx.Client, width: int, height: int, *, server: psutil.Process
) -> tuple[dict, list[tuple[float, float]]]:
    """Paint every stroke as one change, and ask for one coarse tile of it, as the page does.

    Returns the world's record, and (seconds, CPU seconds of the server) of each stroke.
    """
    seeds = sorted({seed for seed, *_ in STROKES if seed is not None})
    record = client.post(f"{API}/worlds", json={"name": "Painted scene", "world": {"seed": 7}}).json()
    styles, seconds = [{"name": "own", "seed": 7}, *({"name": f"style {s}", "seed": s} for s in seeds)], []
    strokes: list[dict] = []
    for seed, radius, hardness, line in STROKES:
        points = [(round(x * width), round((y - 0.5) * height)) for x, y in line]
        style = {} if seed is None else {"style": f"style {seed}"}
        strokes.append({"points": encode_points(points), "radius": radius, "hardness": hardness, **style})
        world = {**record["world"], "layout": {"styles": styles, "transition": 129, "strokes": strokes}}
        start, used = time.perf_counter(), cpu_seconds(server)
        path = f"{API}/worlds/{record['id']}"
        answer = client.put(path, json={"world": world}, headers={"If-Match": f'"{record["revision"]}"'})
        answer.raise_for_status()
        record = answer.json()
        x, y = (value // (256 << -COARSE) for value in points[0])
        client.get(f"{path}/{record['revision']}/tiles/{COARSE}/{x}/{y}.webp").raise_for_status()
        seconds.append((time.perf_counter() - start, cpu_seconds(server) - used))
    return record, seconds


def cpu_seconds(server: psutil.Process) -> float:
    """Return the CPU seconds that the server has used."""
    times = server.cpu_times()
    return times.user + times.system


def export(client: httpx.Client, record: dict, width: int, height: int) -> bytes:
    """Export the scene as PNG, and wait for the file."""
    body = {"x": 0, "y": -(height // 2), "w": width, "h": height, "format": "png"}
    job = client.post(f"{API}/worlds/{record['id']}/exports", json=body).json()
    while (job := client.get(f"{API}/jobs/{job['id']}").json())["state"] not in ("done", "failed", "cancelled"):
        time.sleep(0.5)
    return client.get(f"{API}/{job['result']}").content


def main() -> None:
    """Write the exported picture, and compare it with ``infgen render`` of the downloaded world."""
    parser = argparse.ArgumentParser(description="Paint and export a scene of ten strokes.")
    parser.add_argument("out", type=Path)
    parser.add_argument("--width", type=int, default=4096)
    parser.add_argument("--height", type=int, default=1576)
    options = parser.parse_args()
    w, h = options.width, options.height
    with tempfile.TemporaryDirectory() as folder, serving(Path(folder) / "data") as server:
        with httpx.Client(base_url=server.url, timeout=600) as client:
            record, seconds = paint(client, w, h, server=psutil.Process(server.popen.pid))
            options.out.write_bytes(export(client, record, w, h))
        World.create(**record["world"]).save(Path(folder) / "world.json")
        line = Path(folder) / "line.png"
        window = ["--x", "0", "--y", str(-(h // 2)), "--w", str(w), "--h", str(h), "--quiet"]
        command = [
            sys.executable,
            "-m",
            "infgen",
            "render",
            "--world",
            f"{folder}/world.json",
            *window,
            "-o",
            str(line),
        ]
        subprocess.run(command, check=True)
        equal = line.read_bytes() == options.out.read_bytes()
    print(f"{w} x {h} px, {len(STROKES)} strokes; export and render are {'equal' if equal else 'different'}")
    for what, values in zip(("seconds", "CPU seconds of the server"), zip(*seconds, strict=True), strict=True):
        print(f"{what} from a stroke to its coarse tile: " + ", ".join(f"{value:.2f}" for value in values))


if __name__ == "__main__":
    main()
