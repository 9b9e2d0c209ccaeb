"""Worlds over HTTP: revisions, undo, redo and invalid requests."""

from pathlib import Path
from typing import Any

import pytest

from infgen.serve.storage import Storage
from infgen.serve.worlds.store import WorldStore
from infgen.world.world import World
from tests.serve.client import Client, if_match

LAYOUT = {
    "schema": 1,
    "styles": [{"name": "a", "seed": 1}, {"name": "b", "seed": 2}],
    "centres": [{"style": "a", "x": -300, "y": 0}, {"style": "b", "x": 300, "y": 0}],
    "transition": 65,
}


def put(client: Client, record: dict[str, Any], **world: Any) -> dict[str, Any]:
    answer = client.ask("PUT", f"/worlds/{record['id']}", json={"world": world}, headers=if_match(record))
    assert answer.status_code == 200, answer.text
    changed: dict[str, Any] = answer.json()
    return changed


def step(client: Client, record: dict[str, Any], what: str) -> dict[str, Any]:
    answer = client.post(f"/worlds/{record['id']}/{what}", headers=if_match(record))
    assert answer.status_code == 200, answer.text
    stepped: dict[str, Any] = answer.json()
    return stepped


def test_a_new_world_is_read_back_with_its_document(client: Client) -> None:
    record = client.new_world(seed=2**64 - 1, layout=LAYOUT)
    assert client.get(f"/worlds/{record['id']}").json() == record
    assert World.create(**record["world"]).seed == 2**64 - 1


def test_the_list_has_the_last_changed_world_first(client: Client) -> None:
    first, second = client.new_world(seed=1), client.new_world(seed=2)
    put(client, first, seed=3)
    assert [entry["id"] for entry in client.get("/worlds").json()][:2] == [first["id"], second["id"]]


def test_a_world_without_a_name_is_called_after_its_seed(client: Client) -> None:
    assert client.new_world(seed=-5)["name"] == "World -5"


def test_equal_documents_have_equal_revisions(client: Client) -> None:
    assert client.new_world(seed=4)["revision"] == client.new_world(seed=4)["revision"]


def test_the_etag_of_an_answer_is_the_revision(client: Client) -> None:
    record = client.new_world()
    assert client.get(f"/worlds/{record['id']}").headers["ETag"] == f'"{record["revision"]}"'


def test_a_change_without_if_match_is_refused(client: Client) -> None:
    record = client.new_world()
    assert client.ask("PUT", f"/worlds/{record['id']}", json={"world": {}}).status_code == 428


def test_a_change_of_an_older_revision_is_refused(client: Client) -> None:
    record = client.new_world(seed=1)
    put(client, record, seed=2)
    stale = client.ask("PUT", f"/worlds/{record['id']}", json={"world": {}}, headers=if_match(record))
    assert (stale.status_code, "is at revision" in stale.json()["error"]) == (412, True)


def test_undo_and_redo_go_along_the_revisions(client: Client) -> None:
    first = client.new_world(seed=1)
    second = put(client, first, seed=2)
    undone = step(client, second, "undo")
    assert (undone["revision"], undone["can_undo"], undone["can_redo"]) == (first["revision"], False, True)
    assert step(client, undone, "redo")["revision"] == second["revision"]


def test_a_change_after_undo_removes_the_undone_revisions(client: Client) -> None:
    first = client.new_world(seed=1)
    undone = step(client, put(client, first, seed=2), "undo")
    assert put(client, undone, seed=3)["can_redo"] is False


def test_the_same_document_again_is_no_change(client: Client) -> None:
    record = client.new_world(seed=1)
    assert put(client, record, seed=1)["can_undo"] is False


@pytest.mark.parametrize("what", ["undo", "redo"])
def test_where_nothing_can_be_undone_or_redone_that_is_said(client: Client, what: str) -> None:
    record = client.new_world()
    answer = client.post(f"/worlds/{record['id']}/{what}", headers=if_match(record))
    assert (answer.status_code, f"nothing to {what}" in answer.json()["error"]) == (409, True)


def test_a_resampled_rectangle_becomes_an_edit(client: Client) -> None:
    record = client.new_world(seed=1)
    body = {"x": 0, "y": -64, "w": 64, "h": 64, "seed": 9, "like": {"x": 256, "y": 0, "w": 64, "h": 64}}
    answer = client.post(f"/worlds/{record['id']}/resample", json=body, headers=if_match(record)).json()
    (edit,) = answer["world"]["edits"]
    assert (edit["x"], edit["y"], edit["seed"], len(edit["mean"])) == (0, -64, 9, 6)


def test_a_rectangle_is_drawn_again_from_a_new_seed_each_time(client: Client) -> None:
    record, seeds = client.new_world(seed=1), []
    for _ in range(2):
        body = {"x": 0, "y": 0, "w": 64, "h": 64}
        record = client.post(f"/worlds/{record['id']}/resample", json=body, headers=if_match(record)).json()
        seeds.append(record["world"]["edits"][-1]["seed"])
    assert seeds[0] != seeds[1]


def test_the_same_rectangle_and_seed_give_the_same_revision_again(client: Client) -> None:
    record, revisions = client.new_world(seed=1), []
    look = {"x": -64, "y": -64, "w": 256, "h": 256}  # contains the rectangle itself
    for seed in (5, 6, 5):
        body = {"x": 0, "y": 0, "w": 64, "h": 64, "seed": seed, "like": look}
        record = client.post(f"/worlds/{record['id']}/resample", json=body, headers=if_match(record)).json()
        revisions.append(record["revision"])
    assert revisions[0] == revisions[2] != revisions[1]


def test_a_deleted_world_is_gone(client: Client) -> None:
    record = client.new_world()
    assert client.ask("DELETE", f"/worlds/{record['id']}").status_code == 204
    assert client.get(f"/worlds/{record['id']}").status_code == 404


ANCHOR = {"file": "a.safetensors", "sha256": "0" * 64, "cell_x": 0, "cell_y": 0}


@pytest.mark.parametrize(
    ("world", "status", "said"),
    [
        ({"seed": 2**64}, 422, "seed"),
        ({"sead": 1}, 422, "unknown entry"),
        ({"period": 17}, 400, "not a multiple"),
        ({"anchors": [ANCHOR]}, 400, "leave them out"),
        ({"layout": LAYOUT | {"painting": {"image": "/etc/passwd", "colours": {}}}}, 422, "painting"),
        ({"layout": LAYOUT | {"styles": [{"name": "a", "latent": "file:///x"}]}}, 422, "latent"),
        ({"layout": LAYOUT | {"transition": 4095}}, 413, "transition"),
        ({"layout": LAYOUT | {"centres": [{"style": "a", "x": i, "y": 0} for i in range(1025)]}}, 413, "centres"),
    ],
)
def test_a_world_that_cannot_be_drawn_is_refused_in_one_line(
    client: Client, world: dict[str, Any], status: int, said: str
) -> None:
    answer = client.post("/worlds", json={"world": world})
    assert answer.status_code == status
    line = answer.json()["error"]
    assert said in line
    assert "\n" not in line


def test_a_world_takes_no_photograph_that_it_does_not_have(client: Client) -> None:
    record = client.new_world()
    body = {"world": {"anchors": [ANCHOR]}}
    answer = client.ask("PUT", f"/worlds/{record['id']}", json=body, headers=if_match(record))
    assert (answer.status_code, "has no photograph" in answer.json()["error"]) == (400, True)


def test_a_renamed_world_keeps_its_revision_and_its_favourites(client: Client) -> None:
    record = client.new_world(seed=7)
    path = f"/worlds/{record['id']}"
    kept = [{"seed": 2**63, "name": "Fog"}, {"seed": 4}]
    assert client.ask("PATCH", path, json={"favourites": kept}).status_code == 200
    renamed = client.ask("PATCH", path, json={"name": "Blue hills"}).json()
    assert (renamed["name"], renamed["favourites"]) == ("Blue hills", kept)
    assert renamed["revision"] == record["revision"]
    assert client.ask("PATCH", path, json={"name": "a\nb"}).status_code == 422


def test_a_duplicate_has_the_document_without_the_history(client: Client) -> None:
    record = client.new_world(seed=7)
    client.ask("PATCH", f"/worlds/{record['id']}", json={"favourites": [{"seed": 4}]})
    copy = client.post(f"/worlds/{record['id']}/duplicate").json()
    assert copy["id"] != record["id"]
    assert (copy["world"], copy["revision"], copy["can_undo"]) == (record["world"], record["revision"], False)
    assert copy["favourites"] == [{"seed": 4}]


def test_revisions_are_listed_with_the_current_one(client: Client) -> None:
    record = client.new_world(seed=7)
    changed = client.ask("PUT", f"/worlds/{record['id']}", json={"world": {"seed": 8}}, headers=if_match(record)).json()
    client.post(f"/worlds/{record['id']}/undo", headers=if_match(changed))
    assert client.get(f"/worlds/{record['id']}/revisions").json() == [
        {"revision": record["revision"], "current": True},
        {"revision": changed["revision"], "current": False},
    ]


def test_invalid_json_is_refused_in_one_line(client: Client) -> None:
    headers = {"Content-Type": "application/json"}
    for content, status in ((b"{" * 100, 422), (b"{" * 100_000, 413)):  # counted before it is parsed
        answer = client.post("/worlds", content=content, headers=headers)
        assert (answer.status_code, list(answer.json())) == (status, ["error"])


@pytest.fixture
def store(tmp_path: Path) -> WorldStore:
    return WorldStore(Storage(tmp_path), renderer_hash="x")


def change(store: WorldStore, id: str, seed: int) -> str:
    return store.change(id, lambda world: world.replace(seed=seed)).revision


def test_worlds_and_their_history_outlive_the_server(store: WorldStore, tmp_path: Path) -> None:
    record = store.create(World(seed=1), name="one")
    change(store, record.id, 2)
    again = WorldStore(Storage(tmp_path), renderer_hash="x")
    assert again.step(record.id, -1).revision == record.revision


def test_only_so_many_revisions_are_kept(store: WorldStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFGEN_MAX_REVISIONS", "3")
    record = store.create(World(seed=0), name="one")
    for seed in range(1, 6):
        change(store, record.id, seed)
    assert len(list((tmp_path / "worlds" / record.id).glob("*.json"))) == 4  # three documents and the history


def test_every_revision_is_a_world_file(store: WorldStore, tmp_path: Path) -> None:
    record = store.create(World(seed=5), name="one")
    files = [p for p in (tmp_path / "worlds" / record.id).glob("*.json") if p.name != "history.json"]
    assert [World.load(path).seed for path in files] == [5]


def test_another_model_gives_the_same_document_another_revision(store: WorldStore, tmp_path: Path) -> None:
    record = store.create(World(seed=5), name="one")
    assert WorldStore(Storage(tmp_path), renderer_hash="y").get(record.id).revision != record.revision


def test_unfinished_worlds_of_a_crash_are_removed(store: WorldStore, tmp_path: Path) -> None:
    left = [tmp_path / "worlds" / name for name in (".infgen-0123456789ab", ".going-0123456789ab")]
    for path in left:
        path.mkdir()
    assert len(WorldStore(Storage(tmp_path), renderer_hash="x")) == 0
    assert not any(path.exists() for path in left)


def test_a_damaged_history_is_left_aside(store: WorldStore, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    record = store.create(World(), name="one")
    (tmp_path / "worlds" / record.id / "history.json").write_text("{")
    assert len(WorldStore(Storage(tmp_path), renderer_hash="x")) == 0
    assert record.id in caplog.text


def test_no_more_worlds_are_kept_than_allowed(store: WorldStore, monkeypatch: pytest.MonkeyPatch) -> None:
    from infgen.errors import LimitError

    monkeypatch.setenv("INFGEN_MAX_WORLDS", "1")
    store.create(World(), name="one")
    with pytest.raises(LimitError, match="delete one"):
        store.create(World(), name="two")
