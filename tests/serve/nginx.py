"""A real nginx with TLS in front of a server, with the configuration of docs/examples/nginx.conf."""

import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.patience import until

NGINX = shutil.which("nginx") or shutil.which("/usr/sbin/nginx")
OPENSSL = shutil.which("openssl")
EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "nginx.conf"
NAME = "canvas.example.org"
_MAIN = """daemon off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/canvas.conf;
}}
"""


def free_port() -> int:
    """Return a port that nothing listens on."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


def configuration(folder: Path, *, port: int, upstream: str) -> str:
    """Return the example of the docs with the ports and files of a test. Fails if the example lacks one of them."""
    text = EXAMPLE.read_text()
    for there, here in (
        ("listen 443 ssl", f"listen 127.0.0.1:{port} ssl"),
        ("/etc/ssl/certs/canvas.example.org.pem", str(folder / "cert.pem")),
        ("/etc/ssl/private/canvas.example.org.key", str(folder / "key.pem")),
        ("http://127.0.0.1:8600", upstream.rstrip("/")),
    ):
        assert text.count(there) == 1, there
        text = text.replace(there, here)
    return text


@contextmanager
def proxying(folder: Path, upstream: str, *changes: tuple[str, str]) -> Iterator[tuple[int, Path]]:
    """Run nginx in front of ``upstream``. Yields its port and the file of its certificate.

    ``changes``: pairs of texts, to replace parts of the configuration.
    """
    assert NGINX is not None
    assert OPENSSL is not None
    names = ["-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}"]
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run(
        [OPENSSL, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", *names, *files],
        check=True,
        capture_output=True,
    )
    port = free_port()
    text = configuration(folder, port=port, upstream=upstream)
    for before, after in changes:
        assert before in text
        text = text.replace(before, after)
    (folder / "canvas.conf").write_text(text)
    (folder / "nginx.conf").write_text(_MAIN.format(folder=folder))
    nginx = subprocess.Popen([NGINX, "-p", str(folder), "-c", str(folder / "nginx.conf")], stderr=subprocess.DEVNULL)
    try:
        until(lambda: _answers(port), alive=[nginx])
        yield port, folder / "cert.pem"
    finally:
        nginx.terminate()
        nginx.wait()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port)).close()
    except OSError:
        return False
    return True
