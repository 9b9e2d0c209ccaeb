"""Jobs that add photographs to a world: outpaint, inbetween, placement, invalid input."""

import base64
import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from infgen.cli.main import main
from infgen.colour import convert_profile
from infgen.model.config import preset
from infgen.serve.worlds.photographs import APART_PX, Placing, Upload, arrange
from infgen.world.world import World
from tests.profiles import profile
from tests.serve.client import Client, if_match, wait_for_job

LAYOUT: dict[str, Any] = {
    "schema": 1,
    "styles": [{"name": "a", "seed": 1}, {"name": "b", "seed": 2}],
    "centres": [{"style": "a", "x": -300, "y": 0}, {"style": "b", "x": 300, "y": 0}],
    "transition": 65,
}


def photograph(width: int = 120, height: int = 80) -> bytes:
    rows, columns = np.mgrid[:height, :width]
    picture = np.stack([rows * 2, columns, 255 - rows * 2], axis=2).clip(0, 255).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def outpaint(client: Client, record: dict[str, Any], photo: bytes, **fields: Any) -> Any:
    fields = {"right": 64, "steps": 2, "scale": "work", **fields}
    files = {"photo": ("my photo.png", photo, "image/png")}
    return client.post(f"/worlds/{record['id']}/outpaint", data=fields, files=files)


def test_a_photograph_becomes_part_of_its_world_and_undo_takes_it_out(client: Client) -> None:
    record = client.new_world(seed=3)
    job = wait_for_job(client, outpaint(client, record, photograph()).json())
    assert (job["state"], job["error"]) == ("done", None)
    now = client.get(f"/worlds/{record['id']}").json()
    assert (job["revision"], len(now["world"]["anchors"])) == (now["revision"], 1)
    assert client.tile(now, 0, 0, 0).status_code == 200
    result = Image.open(io.BytesIO(client.get(f"/{job['result']}").content))
    assert result.size == (job["region"]["w"], job["region"]["h"])
    assert client.get(f"/jobs/{job['id']}/preview.webp").headers["Content-Type"] == "image/webp"
    assert "psnr" in job["terms"]
    undone = client.post(f"/worlds/{record['id']}/undo", headers=if_match(now)).json()
    assert undone["revision"] == record["revision"]


def test_a_second_photograph_is_placed_to_the_right_of_the_first(client: Client) -> None:
    record = client.new_world(seed=3)
    regions = [wait_for_job(client, outpaint(client, record, photograph()).json())["region"] for _ in range(2)]
    assert regions[1]["x"] > regions[0]["x"] + regions[0]["w"]
    world = client.get(f"/worlds/{record['id']}").json()["world"]
    assert len({style["name"] for style in world["layout"]["styles"]}) == 2


@pytest.mark.parametrize(
    ("photo", "fields", "status", "said"),
    [
        (b"GIF89a", {}, 400, "my photo.png"),
        (photograph(3, 3), {}, 400, "too small"),
        (photograph(), {"steps": 100_000}, 413, "INFGEN_MAX_OUTPAINT_STEPS"),
        (photograph(), {"right": -1}, 422, "right"),
        (photograph(), {"right": 2**20, "top": 2**20}, 413, "INFGEN_MAX_JOINED_PIXELS"),
    ],
)
def test_a_photograph_that_cannot_be_used_is_refused_at_once(
    client: Client, photo: bytes, fields: dict[str, Any], status: int, said: str
) -> None:
    answer = outpaint(client, client.new_world(), photo, **fields)
    assert (answer.status_code, said in answer.json()["error"]) == (status, True), answer.text


def test_a_photograph_lies_where_it_is_asked_for(client: Client) -> None:
    job = wait_for_job(client, outpaint(client, client.new_world(), photograph(), x=-5000, right=0).json())
    assert job["region"]["x"] == -5000


def test_of_an_upload_the_world_keeps_the_photograph_and_its_latents(client: Client) -> None:
    record = client.new_world()
    job = wait_for_job(client, outpaint(client, record, photograph()).json())
    folder = client.canvas.jobs.get(job["id"]).folder
    assert sorted(path.name for path in folder.iterdir()) == ["continuation-0.webp", "job.json", "outpaint.png"]
    kept = client.canvas.worlds.folder(record["id"])
    assert [len(list(kept.glob(f"photo.*.{suffix}"))) for suffix in ("safetensors", "png")] == [1, 1]
    client.post(f"/worlds/{record['id']}/undo", headers=if_match(client.get(f"/worlds/{record['id']}").json()))
    now = client.get(f"/worlds/{record['id']}").json()
    client.ask("PUT", f"/worlds/{record['id']}", json={"world": {"seed": 4}}, headers=if_match(now))
    assert not list(kept.glob("photo.*"))  # no revision needs them


def test_colours_are_those_that_the_photograph_shows_without_its_profile(tmp_path: Path) -> None:
    shown = Image.open(io.BytesIO(photograph(90, 197)))
    shown.save(tmp_path / "p3.png", icc_profile=profile("p3"))
    arrangement = arrange([Upload(tmp_path / "p3.png", "p3")], Placing(0), world=World(), config=preset("tiny"))
    assert np.array_equal(arrangement.photographs[0].pixels, np.asarray(convert_profile(shown, profile("p3"))))
    assert arrangement.profile is None


def inbetween(client: Client, record: dict[str, Any], *photos: bytes, **fields: Any) -> Any:
    fields = {"gap": 64, "steps": 2, "scale": "work", **fields}
    files = [("photos", (f"../../my photo {i}.png", photo, "image/png")) for i, photo in enumerate(photos)]
    return client.post(f"/worlds/{record['id']}/inbetween", data=fields, files=files)


@pytest.fixture(scope="module")
def joined_photographs(client: Client) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """A new world, its record with two photographs, and the job that joined them."""
    record = client.new_world(seed=3)
    job = wait_for_job(client, inbetween(client, record, photograph(), photograph(100, 80)).json())
    return record, client.get(f"/worlds/{record['id']}").json(), job


Joined = tuple[dict[str, Any], dict[str, Any], dict[str, Any]]


def test_joined_photographs_equal_those_of_the_command_line(
    client: Client, joined_photographs: Joined, tiny_model: Path, tmp_path: Path
) -> None:
    _, now, job = joined_photographs
    for i, photo in enumerate((photograph(), photograph(100, 80))):
        (tmp_path / f"{i}.png").write_bytes(photo)
    words = [
        "inbetween",
        tmp_path / "0.png",
        tmp_path / "1.png",
        "--gap",
        64,
        "--output-size",
        "work",
        "--candidates",
        1,
        "--inversion-steps",
        2,
        "--seed",
        3,
    ]
    with pytest.raises(SystemExit) as leave:
        main([str(word) for word in (*words, "--model", tiny_model, "--quiet", "-o", tmp_path / "out.png")])
    assert leave.value.code == 0
    found = Image.open(io.BytesIO(client.get(f"/{job['result']}").content))
    assert np.array_equal(np.asarray(found), np.asarray(Image.open(tmp_path / "out.png")))
    world = World.load(tmp_path / "out.world.json").to_dict()
    assert [a["sha256"] for a in now["world"]["anchors"]] == [a["sha256"] for a in world["anchors"]]
    assert now["world"]["layout"]["transition"] == world["layout"]["transition"]


def test_undo_takes_joined_photographs_out_in_one_step(client: Client, joined_photographs: Joined) -> None:
    record, now, job = joined_photographs
    assert (job["kind"], job["state"], job["revision"]) == ("inbetween", "done", now["revision"])
    undone = client.post(f"/worlds/{record['id']}/undo", headers=if_match(now)).json()
    assert (undone["revision"], undone["can_undo"]) == (record["revision"], False)
    client.post(f"/worlds/{record['id']}/redo", headers=if_match(undone))


def test_steps_are_counted_over_all_photographs(joined_photographs: Joined) -> None:
    assert joined_photographs[2]["progress"] == {"done": 4, "total": 4}


def test_joined_photographs_have_styles_called_after_their_files_without_folders(joined_photographs: Joined) -> None:
    styles = joined_photographs[1]["world"]["layout"]["styles"]
    assert [style["name"] for style in styles] == ["my photo 0.png", "my photo 1.png"]


def test_joined_photographs_keep_the_styles_of_earlier_ones(client: Client) -> None:
    record = client.new_world(layout=LAYOUT)
    first = wait_for_job(client, outpaint(client, record, photograph(), right=0).json())["region"]
    second = wait_for_job(client, inbetween(client, record, photograph(), photograph()).json())["region"]
    assert 0 <= second["x"] - (first["x"] + first["w"] + APART_PX) < 16  # whole cells
    layout = client.get(f"/worlds/{record['id']}").json()["world"]["layout"]
    assert [style["name"] for style in layout["styles"]] == [
        "a",
        "b",
        "my photo.png",
        "my photo 0.png",
        "my photo 1.png",
    ]
    assert (len(layout["centres"]), layout["transition"]) == (7, LAYOUT["transition"])


def test_photographs_of_one_name_get_styles_of_two(client: Client) -> None:
    record = client.new_world()
    files = [("photos", ("a" * 99, photograph(), "image/png"))] * 2
    job = client.post(f"/worlds/{record['id']}/inbetween", data={"gap": 9, "steps": 1}, files=files)
    assert wait_for_job(client, job.json())["state"] == "done"
    world = client.get(f"/worlds/{record['id']}").json()["world"]
    assert [style["name"] for style in world["layout"]["styles"]] == ["a" * 37 + "...", "a" * 37 + "... 2"]


def test_styles_never_fade_wider_than_this_server_takes(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFGEN_MAX_REQUEST_TRANSITION", "8")
    record = client.new_world()
    wait_for_job(client, inbetween(client, record, photograph(), photograph(), steps=1).json())
    assert client.get(f"/worlds/{record['id']}").json()["world"]["layout"]["transition"] == 7


def test_an_inbetween_can_be_cancelled_and_changes_nothing(client: Client) -> None:
    record = client.new_world()
    job = inbetween(client, record, photograph(), photograph(), steps=900).json()
    client.ask("DELETE", f"/jobs/{job['id']}")
    assert wait_for_job(client, job)["state"] == "cancelled"
    assert client.get(f"/worlds/{record['id']}").json()["revision"] == record["revision"]


@pytest.mark.parametrize(
    ("photos", "fields", "status", "said"),
    [
        ([photograph()], {}, 422, "photos"),
        ([photograph()] * 9, {}, 413, "INFGEN_MAX_INBETWEEN_PHOTOS"),
        ([photograph(), b"GIF89a"], {}, 400, "photograph my photo 1.png"),
        ([photograph()] * 2, {"gap": 0}, 422, "gap"),
        ([photograph()] * 2, {"gap": 2**20}, 413, "INFGEN_MAX_JOINED_PIXELS"),
        ([photograph()] * 2, {"x": 2**40}, 413, "leaves the canvas"),
        ([photograph()] * 2, {"steps": 100_000}, 413, "INFGEN_MAX_OUTPAINT_STEPS"),
    ],
)
def test_photographs_that_cannot_be_joined_are_refused_at_once(
    client: Client, photos: list[bytes], fields: dict[str, Any], status: int, said: str
) -> None:
    answer = inbetween(client, client.new_world(), *photos, **fields)
    assert (answer.status_code, said in answer.json()["error"]) == (status, True), answer.text


def test_in_a_cyclic_world_photographs_may_not_reach_around(client: Client) -> None:
    answer = inbetween(client, client.new_world(period=1600), photograph(), photograph(), gap=1100)
    assert (answer.status_code, "smaller gap" in answer.json()["error"]) == (400, True)


def test_a_painted_world_takes_no_photographs(client: Client) -> None:
    png = io.BytesIO()
    Image.fromarray(np.zeros((4, 4), np.uint8)).save(png, "PNG")
    painting = {"x": 0, "y": 0, "w": 64, "h": 64, "png": base64.b64encode(png.getvalue()).decode()}
    layout = {name: value for name, value in LAYOUT.items() if name != "centres"}
    record = client.new_world(layout=layout | {"painting": painting})
    for answer in (outpaint(client, record, photograph()), inbetween(client, record, photograph(), photograph())):
        assert (answer.status_code, "painted" in answer.json()["error"]) == (400, True)


def test_a_world_with_as_many_styles_as_it_may_have_takes_no_photograph(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("INFGEN_MAX_CANVAS_STYLES", "3")
    record = client.new_world(layout=LAYOUT)
    answer = inbetween(client, record, photograph(), photograph())
    assert (answer.status_code, "INFGEN_MAX_CANVAS_STYLES" in answer.json()["error"]) == (413, True)


def test_each_photograph_has_a_limit_of_its_own(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFGEN_MAX_UPLOAD_MB", "1")
    record = client.new_world()
    answer = inbetween(client, record, photograph(), bytes(2**20 + 1))
    assert (answer.status_code, "INFGEN_MAX_UPLOAD_MB" in answer.json()["error"]) == (413, True)
    assert outpaint(client, record, bytes(2 * 2**20)).status_code == 413
    assert inbetween(client, record, bytes(8 * 2**20), bytes(2**20)).json()["error"].startswith("the request has more")


def test_refused_uploads_leave_nothing(client: Client) -> None:
    before = set((jobs := client.canvas.jobs._folder).iterdir())
    inbetween(client, client.new_world(), photograph(), b"GIF89a")
    assert set(jobs.iterdir()) == before


def test_a_photograph_lies_in_its_world_with_its_own_pixels(client: Client) -> None:
    record = client.new_world(seed=3)
    job = wait_for_job(client, outpaint(client, record, photograph(320, 197), right=0, x=0, y=-100, steps=1).json())
    now = client.get(f"/worlds/{record['id']}").json()
    drawn = np.asarray(Image.open(io.BytesIO(client.tile(now, 0, 0, 0).content)))[:97]
    sent = np.asarray(Image.open(io.BytesIO(photograph(320, 197))))[100:, :256]
    assert np.array_equal(drawn, sent)
    assert job["region"] == {"x": 0, "y": -100, "w": 320, "h": 197}
    model = client.get(f"/worlds/{record['id']}/{now['revision']}/tiles/0/0/0.png?photographs=false").content
    assert not np.array_equal(np.asarray(Image.open(io.BytesIO(model)))[:97], sent)


@pytest.fixture(scope="module")
def continued(client: Client) -> tuple[dict[str, Any], dict[str, Any]]:
    """A world with a photograph of 240 x 160 px, and its job, which has three continuations."""
    record = client.new_world(seed=3)
    job = outpaint(client, record, photograph(240, 160), right=90, scale="source", samples=3, x=32, y=-70)
    done = wait_for_job(client, job.json())
    return client.get(f"/worlds/{record['id']}").json(), done


def test_continuations_are_pictures_that_differ_and_their_seeds(client: Client, continued: Any) -> None:
    _, job = continued
    pictures = [client.get(f"/{each['picture']}").content for each in job["continuations"]]
    assert len(set(pictures)) == 3
    assert job["continuations"][0]["seed"] == 3
    assert client.get(f"/jobs/{job['id']}/continuations/3.webp").status_code == 404


def test_a_chosen_continuation_is_an_edit_of_the_world(client: Client, continued: Any) -> None:
    now, job = continued
    seed = job["continuations"][2]["seed"]
    anchors = [{**anchor, "seed": seed} for anchor in now["world"]["anchors"]]
    assert [anchor["file"] for anchor in anchors] == job["anchors"]
    body = {"world": {**now["world"], "anchors": anchors}}
    chosen = client.ask("PUT", f"/worlds/{now['id']}", json=body, headers=if_match(now)).json()
    assert chosen["revision"] != now["revision"]
    undone = client.post(f"/worlds/{now['id']}/undo", headers=if_match(chosen)).json()
    assert undone["revision"] == now["revision"]


def test_the_picture_of_a_photograph_equals_that_of_the_command_line(
    client: Client, continued: Any, tiny_model: Path, tmp_path: Path
) -> None:
    now, job = continued
    anchor = job["anchors"][0]
    again = client.post(f"/worlds/{now['id']}/pictures", json={"anchor": anchor, "right": 90}).json()
    result = client.get(f"/{wait_for_job(client, again)['result']}").content
    assert result == client.get(f"/{job['result']}").content
    assert Image.open(io.BytesIO(result)).size == (330, 160)
    (tmp_path / "photo.png").write_bytes(photograph(240, 160))
    file = client.canvas.worlds.folder(now["id"]) / anchor
    options = ["--seed", 3, "--candidates", 1, "--latents", file, "--model", tiny_model, "--right", 90, "--quiet"]
    options += ["--x", 32, "--horizon", 70 / 197, "-o", tmp_path / "out.png"]
    with pytest.raises(SystemExit) as leave:
        main([str(word) for word in ("outpaint", tmp_path / "photo.png", *options)])
    assert leave.value.code == 0
    shown = np.asarray(Image.open(io.BytesIO(result)))
    assert np.array_equal(shown, np.asarray(Image.open(tmp_path / "out.png")))
    assert np.array_equal(shown[:, :240], np.asarray(Image.open(tmp_path / "photo.png")))


def test_a_picture_of_a_photograph_that_is_not_there_is_refused(client: Client, continued: Any) -> None:
    answer = client.post(f"/worlds/{continued[0]['id']}/pictures", json={"anchor": "other.safetensors", "right": 9})
    assert (answer.status_code, "no photograph" in answer.json()["error"]) == (400, True)
