"""The canvas behind a real nginx with TLS, a prefix, and the configuration in the docs."""

import json
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.serve.nginx import NAME, NGINX, OPENSSL, proxying
from tests.serve.process import serving

pytestmark = pytest.mark.skipif(NGINX is None or OPENSSL is None, reason="nginx or openssl is not installed")

TOKEN = "0123456789abcdef"
OPTIONS = ("--root-path", "/canvas", "--allow-host", NAME, "--trust-proxy", "127.0.0.1", "--access-log")
ROOT = "/canvas/"
API = f"{ROOT}api/v1"


class Site:
    """The canvas as a browser sees it through the proxy."""

    def __init__(self, port: int, certificate: Path) -> None:
        self.origin = f"https://{NAME}:{port}"
        context = ssl.create_default_context(cafile=str(certificate))
        transport = httpx.HTTPTransport(verify=context)
        headers = {"Host": f"{NAME}:{port}", "Origin": self.origin}
        self.http = httpx.Client(
            base_url=f"https://127.0.0.1:{port}", transport=transport, headers=headers, timeout=60, trust_env=False
        )

    def ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send a request with the name of the site in TLS."""
        return self.http.request(method, path, extensions={"sni_hostname": NAME}, **options)


@pytest.fixture(
    scope="module", params=["host and prefix kept", "prefix removed", "host rewritten"], ids=lambda name: name
)
def site(request: pytest.FixtureRequest, tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("nginx")
    with serving(tmp_path_factory.mktemp("data"), "--model", tiny_model, *OPTIONS, INFGEN_TOKEN=TOKEN) as server:
        upstream = server.url.removesuffix(ROOT)
        changes = {
            "host and prefix kept": (),
            "prefix removed": ((f"proxy_pass {upstream};", f"proxy_pass {upstream}/;"),),
            "host rewritten": (("Host $http_host;", f"Host {upstream.removeprefix('http://')};"),),
        }[request.param]
        with proxying(folder, upstream, *changes) as (port, certificate):
            site = Site(port, certificate)
            yield site
            site.http.close()


def signed_in(site: Site) -> Site:
    answer = site.ask("GET", f"{ROOT}?token={TOKEN}&z=-1")
    assert answer.status_code == 303
    place = httpx.URL(f"{site.origin}{ROOT}").join(answer.headers["Location"])
    assert str(place) == f"{site.origin}{ROOT}?z=-1"
    cookie = answer.headers["Set-Cookie"]
    assert TOKEN not in cookie
    assert {"Secure", "HttpOnly", "SameSite=strict", "Path=/canvas"} <= set(cookie.split("; "))
    return site


def test_the_page_is_edited_and_exported_through_the_proxy(site: Site) -> None:
    signed_in(site)
    page = site.ask("GET", ROOT)
    assert (page.status_code, "<html" in page.text) == (200, True)
    assert site.ask("GET", f"{ROOT}static/js/app.js").status_code == 200
    record = site.ask("POST", f"{API}/worlds", json={"world": {"seed": 1}}).json()
    match = {"If-Match": f'"{record["revision"]}"'}
    record = site.ask("PUT", f"{API}/worlds/{record['id']}", json={"world": {"seed": 2}}, headers=match).json()
    tile = site.ask("GET", f"{API}/worlds/{record['id']}/{record['revision']}/tiles/0/0/0.webp")
    assert (tile.status_code, tile.headers["Content-Type"]) == (200, "image/webp")
    body = {"x": 0, "y": 0, "w": 64, "h": 64}
    job = site.ask("POST", f"{API}/worlds/{record['id']}/exports", json=body).json()
    events = site.ask("GET", f"{API}/jobs/{job['id']}/events").text
    assert json.loads(events.strip().rpartition("data: ")[2])["state"] == "done"
    assert site.ask("GET", f"{API}/jobs/{job['id']}/result").status_code == 200


def test_the_prefix_without_a_slash_leads_to_the_page(site: Site) -> None:
    answer = site.ask("GET", "/canvas")
    assert httpx.URL(f"{site.origin}/canvas").join(answer.headers["Location"]) == f"{site.origin}{ROOT}"


def test_pages_of_other_sites_change_nothing_through_the_proxy(site: Site) -> None:
    signed_in(site)
    answer = site.ask("POST", f"{API}/worlds", json={}, headers={"Origin": "https://evil.example"})
    assert answer.status_code == 403


def test_the_document_of_the_api_names_the_prefix(site: Site) -> None:
    signed_in(site)
    assert site.ask("GET", f"{API}/openapi.json").json()["servers"] == [{"url": "/canvas"}]


def test_a_name_that_is_not_allowed_is_refused(site: Site) -> None:
    answer = site.ask("GET", ROOT, headers={"Host": "evil.example", "X-Forwarded-Host": "evil.example"})
    assert answer.status_code == 403
