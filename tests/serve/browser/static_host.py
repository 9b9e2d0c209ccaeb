"""A plain host of static files, and the runtime that pages without a server need."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
RUNTIME = ROOT / "build" / "web" / "node_modules" / "onnxruntime-web"  # from make web


class _Quiet(SimpleHTTPRequestHandler):
    """Serves files, and writes nothing to the console."""

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def hosting(folder: Path) -> Iterator[str]:
    """Serve ``folder`` as any host of static files does. Yields the address, with a slash at its end."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


def runtime() -> Path:
    """The folder of onnxruntime-web. Skips the test where ``make web``, which needs npm, was not run."""
    if not RUNTIME.is_dir():
        pytest.skip("no onnxruntime-web: run make web, which needs npm")
    return RUNTIME
