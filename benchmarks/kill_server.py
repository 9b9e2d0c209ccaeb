"""Proof that a killed canvas server loses nothing that it has answered: SIGKILL at random moments, restart, compare.

    python -m benchmarks.kill_server                  # ten kills of a server of the tiny model

Between the kills, clients change worlds, start exports and send photographs, all at once. After each restart, every
answered change must be there, every job must have ended or be gone, every finished export must be readable, and no
temporary or half-received file may be left in the data folder.
"""

import io
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import httpx
import numpy as np
from PIL import Image

from benchmarks.render import console, machine
from infgen.model.config import preset
from infgen.model.generator import Generator
from infgen.serve.app import API
from infgen.serve.jobs.board import ENDED
from tests.serve.process import Process, serving

PATIENCE_S = 120  # for jobs that begin again after a kill


@dataclass
class Record:
    """What the server has answered. ``seeds``: id of a world -> seed of its last answered change."""

    seeds: dict[str, int] = field(default_factory=dict)
    jobs: set[str] = field(default_factory=set)
    counts: Counter[str] = field(default_factory=Counter)


def photograph(seed: int) -> bytes:
    """A photograph of 320 x 240 px of noise."""
    pixels = np.random.default_rng(seed).integers(0, 256, (240, 320, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def change_worlds(client: httpx.Client, record: Record, chance: random.Random) -> None:
    """Create a world, and change its seed for ever."""
    world = client.post(f"{API}/worlds", json={"world": {"seed": 0}}).raise_for_status().json()
    record.seeds[world["id"]] = 0
    for seed in range(1, 10**6):
        headers = {"If-Match": f'"{world["revision"]}"'}
        answer = client.put(f"{API}/worlds/{world['id']}", json={"world": {"seed": seed}}, headers=headers)
        world = answer.raise_for_status().json()
        record.seeds[world["id"]] = seed
        record.counts["changes"] += 1


def export_for_ever(client: httpx.Client, record: Record, chance: random.Random) -> None:
    """Start exports, one after the other."""
    world = client.post(f"{API}/worlds", json={}).raise_for_status().json()["id"]
    while True:
        body = {"x": 0, "y": 0, "w": chance.randrange(64, 2000), "h": 512, "format": chance.choice(["png", "tiff"])}
        answer = client.post(f"{API}/worlds/{world}/exports", json=body)
        if answer.status_code == httpx.codes.ACCEPTED:
            record.jobs.add(answer.json()["id"])
            record.counts["exports"] += 1
        time.sleep(0.05)


def upload_for_ever(client: httpx.Client, record: Record, chance: random.Random) -> None:
    """Send photographs, one after the other."""
    world = client.post(f"{API}/worlds", json={}).raise_for_status().json()["id"]
    while True:
        files = {"photo": ("a.png", photograph(chance.randrange(10**6)), "image/png")}
        answer = client.post(f"{API}/worlds/{world}/outpaint", data={"right": 64, "steps": 2}, files=files)
        if answer.status_code == httpx.codes.ACCEPTED:
            record.jobs.add(answer.json()["id"])
            record.counts["photographs"] += 1
        time.sleep(0.05)


def work(process: Process, record: Record, *, seconds: float, chance: random.Random) -> None:
    """Let clients work for ``seconds``, then kill the server."""

    def run(task: Callable[[httpx.Client, Record, random.Random], None]) -> None:
        with process.client() as client, suppress(httpx.HTTPError):
            task(client, record, random.Random(chance.random()))

    tasks = (change_worlds, change_worlds, export_for_ever, upload_for_ever)
    threads = [threading.Thread(target=run, args=(task,)) for task in tasks]
    for thread in threads:
        thread.start()
    time.sleep(seconds)
    process.kill()
    for thread in threads:
        thread.join()


def wait(client: httpx.Client, id: str) -> Any:
    """Return a job once it has ended; killed jobs begin again. None if it is gone. Gives up after ``PATIENCE_S``."""
    end = time.monotonic() + PATIENCE_S
    while (answer := client.get(f"{API}/jobs/{id}")).status_code != httpx.codes.NOT_FOUND:
        job = answer.json()
        if job["state"] in ENDED or time.monotonic() > end:
            return job
        time.sleep(0.2)
    return None


def check(process: Process, record: Record, data: Path) -> list[str]:
    """Return the faults after a restart, once all jobs have ended."""
    faults: list[str] = []
    with process.client() as client:
        for id, seed in record.seeds.items():
            answer = client.get(f"{API}/worlds/{id}")
            found: Any = answer.json().get("world", {}).get("seed", 0) if answer.status_code == httpx.codes.OK else None
            if found not in (seed, seed + 1):  # the pending change may be stored, too
                faults.append(f"world {id} has seed {found}, not {seed}")
        for id in record.jobs:
            job = wait(client, id)
            if job is None:
                continue
            if job["state"] not in ENDED:
                faults.append(f"job {id} is {job['state']}")
            if job["state"] == "done":
                Image.open(io.BytesIO(client.get(f"{API}/{job['result']}").content)).load()
    return faults + [
        f"{path} is left" for path in data.rglob("*") if path.name.startswith((".infgen-", "upload-", ".going-"))
    ]


@click.command()
@click.option("--kills", type=int, default=10, show_default=True)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the moments.")
def main(kills: int, seed: int) -> None:
    """Kill servers, and exit with 1 if anything was lost or left."""
    console.print(machine())
    chance, record, faults = random.Random(seed), Record(), []
    with TemporaryDirectory() as folder:
        model, data = Path(folder) / "tiny.safetensors", Path(folder) / "data"
        Generator(preset("tiny")).save_pretrained(model)
        for _ in range(kills):
            with serving(data, "--model", model) as process:
                faults += check(process, record, data)
                work(process, record, seconds=chance.uniform(0.3, 4), chance=chance)
        with serving(data, "--model", model) as process:
            faults += check(process, record, data)
    console.print(f"{kills} kills, {len(record.seeds)} worlds, {dict(record.counts)}: {len(faults)} faults")
    for fault in faults:
        console.print(fault)
    raise SystemExit(bool(faults))


if __name__ == "__main__":
    main()
