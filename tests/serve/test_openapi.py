"""The OpenAPI document: complete, correct, and without requests that make the server fail."""

from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from infgen.serve import create_app
from infgen.serve.app import API
from infgen.serve.routes import schemas
from tests.serve.client import Client, client_of, tile_path

schemathesis = pytest.importorskip("schemathesis", reason="schemathesis is not installed")
NO_SHRINKING: dict[str, Any] = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


@pytest.fixture(scope="module")
def document(client: Client) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/openapi.json").json()
    return found


def test_every_route_and_entry_is_explained(document: dict[str, Any]) -> None:
    bare = [f"{m} {path}" for path, way in document["paths"].items() for m, op in way.items() if not op["description"]]
    ours = [name for name in document["components"]["schemas"] if hasattr(schemas, name)]
    bare += [
        f"{name}.{entry}"
        for name in ours
        for entry, described in document["components"]["schemas"][name].get("properties", {}).items()
        if "description" not in described
    ]
    assert bare == []


def test_examples_are_accepted(client: Client) -> None:
    for kind in (schemas.NewWorld, schemas.ChangedWorld, schemas.Resampling, schemas.Export, schemas.WorldRecord):
        extra = kind.model_config["json_schema_extra"]
        assert isinstance(extra, dict)
        for example in extra["examples"]:  # type: ignore[union-attr]
            kind.model_validate(example)


def test_errors_are_described_as_one_line(document: dict[str, Any]) -> None:
    answers = [a for way in document["paths"].values() for op in way.values() for a in op["responses"].items()]
    refused = [described for status, described in answers if int(status) >= 400]
    names = {d["content"]["application/json"]["schema"]["title"] for d in refused}
    assert names == {"ErrorBody"}


@pytest.fixture(scope="module")
def api(client: Client) -> Any:
    """The schema as loaded by schemathesis."""
    return schemathesis.openapi.from_dict(client.get("/openapi.json").json())


CHEAP = ("/worlds", "/info", "/health", "/jobs/{job_id}")


def test_no_request_makes_the_server_fail(client: Client, api: Any) -> None:
    for result in api.get_all_operations():
        operation = result.ok()
        if not operation.path.removeprefix(API).startswith(CHEAP) or operation.path.endswith("{suffix}"):
            continue
        given(case=operation.as_strategy())(settings(max_examples=8, **NO_SHRINKING)(asker(client, operation)))()


def asker(client: Client, operation: Any) -> Any:
    known = {int(status) for status in operation.definition.raw["responses"]}

    def check(case: Any) -> None:
        arguments = case.as_transport_kwargs(base_url="http://127.0.0.1")
        arguments.pop("cookies", None)
        path = arguments.pop("url").removeprefix("http://127.0.0.1")
        answer = client.ask(arguments.pop("method"), "/" + path, **arguments)
        assert answer.status_code in known, (case, answer.text)
        if answer.status_code >= 400:
            assert list(answer.json()) == ["error"]

    return check


@given(
    z=st.one_of(st.integers(), st.text(max_size=8)),
    x=st.one_of(st.integers(), st.text(max_size=8)),
    y=st.one_of(st.integers(), st.text(max_size=8)),
    suffix=st.sampled_from(["webp", "png", "gif", "..", "webp/../x"]),
)
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_address_of_a_tile_makes_the_server_fail(client: Client, z: Any, x: Any, y: Any, suffix: str) -> None:
    record = {"id": "0" * 12, "revision": "0" * 20}
    parts = [quote(str(part), safe="") for part in (z, x, y)]
    answer = client.get(tile_path(record, *parts, suffix))  # type: ignore[arg-type]
    assert answer.status_code in (404, 422)
    assert list(answer.json()) == ["error"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
ENTRIES = ["schema", "seed", "style", "layout", "truncation", "noise", "period", "anchors", "edits"]


@given(world=st.dictionaries(st.sampled_from(ENTRIES), JSON | st.integers(-3, 1000), max_size=4))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_world_makes_the_server_fail(client: Client, world: dict[str, Any]) -> None:
    answer = client.post("/worlds", json={"world": world})
    assert answer.status_code in (201, 400, 413, 422)
    if answer.status_code == 201:
        client.ask("DELETE", f"/worlds/{answer.json()['id']}")


def test_the_server_works_inside_another_application(tiny_model: Path, tmp_path: Path) -> None:
    from contextlib import asynccontextmanager

    from fastapi import FastAPI

    inner = create_app(tmp_path / "data", model=tiny_model)

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> Any:
        async with inner.router.lifespan_context(inner):
            yield

    outer = FastAPI(lifespan=lifespan)
    outer.mount("/canvas", inner)
    outer.state.canvas = inner.state.canvas
    with client_of(outer) as client:
        assert client.get(f"//canvas{API}/info").status_code == 200
        assert client.get("//canvas/").status_code == 200
        record = client.ask("POST", f"//canvas{API}/worlds", json={}).json()
        assert client.get(f"//canvas{API}{tile_path(record, 0, 0, 0)}").status_code == 200
        assert client.get("//canvas/health/ready").status_code == 200


@pytest.fixture(autouse=True)
def many_worlds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("INFGEN_MAX_WORLDS", "100000")
