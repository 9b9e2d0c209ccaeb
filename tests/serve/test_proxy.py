"""Prefixes and X-Forwarded-* headers, without a proxy. test_nginx.py has a real one."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from infgen.errors import InputError
from infgen.serve import create_app
from infgen.serve.guard import LOOPBACK_NAMES
from infgen.serve.proxy import check_prefix, parse_networks
from tests.serve.client import Client, client_of

NAME = "canvas.example.org"
TOKEN = "0123456789abcdef"


@pytest.fixture(scope="module")
def site(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A server below /canvas that trusts no proxy."""
    data = tmp_path_factory.mktemp("data")
    app = create_app(data, model=tiny_model, token=TOKEN, hosts=(*LOOPBACK_NAMES, NAME), root_path="/canvas/")
    with client_of(app) as client:
        client.http.headers["Authorization"] = f"Bearer {TOKEN}"
        yield client


def from_peer(client: Client, address: str) -> httpx.AsyncClient:
    """A client of the same server whose connections come from ``address``."""
    transport = httpx.ASGITransport(client.app, client=(address, 1))
    return httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1", headers=client.http.headers)


@pytest.mark.parametrize(
    "path", ["//canvas/", "//", "//canvas/api/v1/info", "//api/v1/info", "//canvas/static/js/app.js"]
)
def test_a_prefix_may_be_kept_or_removed_by_the_proxy(site: Client, path: str) -> None:
    assert site.get(path).status_code == 200


@pytest.mark.parametrize(("root", "place"), [("/canvas", "./?z=1"), ("/canvas/api/v1/info", "./info?z=1")])
def test_signing_in_stays_below_the_prefix(site: Client, root: str, place: str) -> None:
    path = f"{root}/" if root == "/canvas" else root
    assert site.get(f"/{path}?token={TOKEN}&z=1").headers["Location"] == place


def test_the_prefix_alone_leads_to_the_page(site: Client) -> None:
    answer = site.get("//canvas?z=1")
    assert (answer.status_code, answer.headers["Location"]) == (308, "./canvas/?z=1")


def test_an_address_with_another_slash_names_no_host(site: Client) -> None:
    assert site.get("/worlds/").status_code == 404


@pytest.mark.parametrize("host", [NAME, f"{NAME}:8443", "127.0.0.1:8600"])
def test_a_page_of_an_allowed_name_may_change_things_under_any_host_header(site: Client, host: str) -> None:
    answer = site.post("/worlds", json={}, headers={"Host": host, "Origin": f"https://{NAME}:8443"})
    assert answer.status_code == 201


@pytest.mark.parametrize("origin", ["http://localhost:3000", "https://evil.example", f"https://{NAME}.evil.example"])
def test_a_page_of_another_name_may_not(site: Client, origin: str) -> None:
    assert site.post("/worlds", json={}, headers={"Host": "localhost:8600", "Origin": origin}).status_code == 403


FORWARDED = {
    "X-Forwarded-Host": "evil.example",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-For": "192.0.2.7",
    "X-Forwarded-Prefix": "/elsewhere",
}


def test_headers_of_a_stranger_do_not_count(tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    app = create_app(tmp_path, model=tiny_model, token=TOKEN, proxies=["192.0.2.1"])
    with client_of(app) as client, caplog.at_level("INFO", "infgen.serve.access"):
        cookie = client.get(f"//?token={TOKEN}", headers=FORWARDED).headers["Set-Cookie"]
    assert ("Secure" in cookie, "Path=/elsewhere" in cookie, "192.0.2.7" in caplog.text) == (False, False, False)


def test_headers_of_a_trusted_proxy_count(tiny_model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    hosts = (*LOOPBACK_NAMES, NAME)
    app = create_app(tmp_path, model=tiny_model, token=TOKEN, proxies=["192.0.2.0/24"], hosts=hosts)

    async def visit(client: Client, **changes: str) -> httpx.Response:
        async with from_peer(client, "192.0.2.1") as proxy:
            headers: dict[str, Any] = FORWARDED | {"X-Forwarded-Host": NAME} | changes
            return await proxy.get(f"/?token={TOKEN}", headers=headers)

    with client_of(app) as client, caplog.at_level("INFO", "infgen.serve.access"):
        cookie = client.wait(visit(client)).headers["Set-Cookie"]
        assert client.wait(visit(client, **{"X-Forwarded-Host": "evil.example"})).status_code == 403
    assert ("Secure" in cookie, "Path=/elsewhere" in cookie, "192.0.2.7" in caplog.text) == (True, True, True)


@pytest.mark.parametrize("prefix", ["canvas", "//evil.example", "/a b", "/..", "/a/../b", "/a?b", "http://a"])
def test_a_prefix_that_is_none_is_refused(prefix: str) -> None:
    with pytest.raises(InputError, match="root path"):
        check_prefix(prefix)


@pytest.mark.parametrize("address", ["*", "localhost", "", "10.0.0.0/99", "evil.example"])
def test_a_proxy_that_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(InputError, match="proxy"):
        parse_networks([address])
