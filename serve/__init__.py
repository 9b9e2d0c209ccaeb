"""The infinite canvas: a tile server and its web page (installed as ``infgen.serve``)."""

from infgen.extras import require_extra

with require_extra("serve", "the canvas server"):
    import cachetools  # noqa: F401
    import fastapi  # noqa: F401
    import prometheus_client  # noqa: F401
    import python_multipart  # noqa: F401  # FastAPI needs it to parse forms
    import uvicorn  # noqa: F401

from infgen.serve.app import create_app
from infgen.serve.lifecycle import listen, serve

__all__ = ["create_app", "listen", "serve"]
