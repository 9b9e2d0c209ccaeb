"""Serve behind a reverse proxy: an address prefix, and the X-Forwarded-* headers of trusted proxies only."""

import ipaddress
import re
from collections.abc import Collection, Sequence
from typing import Any, cast
from urllib.parse import quote

from starlette.datastructures import Headers
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from infgen.errors import InputError

FORWARDED_HOST = "infgen.forwarded_host"  # entry of the scope: the Host that a trusted proxy received
_PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)*")
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class Proxied:
    """ASGI middleware. Puts the prefix into the scope, whether or not the proxy has removed it from the path.

    ``root_path``: from ``check_prefix``. ``networks``: the proxies whose X-Forwarded-For, -Proto, -Host and -Prefix are used.
    """

    def __init__(self, app: ASGIApp, *, root_path: str, networks: Sequence[Network]) -> None:
        self._root, self._networks = root_path, networks
        self._app: Any = app
        if networks:  # uvicorn's types of ASGI differ from Starlette's
            self._app = ProxyHeadersMiddleware(cast(Any, app), trusted_hosts=[str(network) for network in networks])

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request to the application with its real prefix, host, scheme and client."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        root, host = self._root, None
        if self._trusts(scope):
            headers = Headers(scope=scope)
            host = headers.get("x-forwarded-host")
            prefix = headers.get("x-forwarded-prefix", "").rstrip("/")
            root = prefix if not root and _PREFIX.fullmatch(prefix) else root
        scope = {**scope, FORWARDED_HOST: host}
        if root:
            if scope["path"] == root:
                await _to_folder(scope)(scope, receive, send)
                return
            scope |= _with_prefix(scope, root)
        await self._app(scope, receive, send)

    def _trusts(self, scope: Scope) -> bool:
        try:
            peer = ipaddress.ip_address((scope.get("client") or ("",))[0])
        except ValueError:
            return False
        return any(peer in network for network in self._networks)


def check_prefix(root_path: str) -> str:
    """Return a prefix without its last slash. Raises InputError unless it is like "/canvas"."""
    prefix = root_path.rstrip("/")
    if not _PREFIX.fullmatch(prefix) or any(part in (".", "..") for part in prefix.split("/")):
        raise InputError(
            f"root path {root_path[:60]!r} is not a prefix; give one like /canvas, of letters, digits and ._~-"
        )
    return prefix


def parse_networks(proxies: Collection[str]) -> list[Network]:
    """Parse addresses and networks of proxies. Raises InputError for anything else, such as a host name."""
    networks: list[Network] = []
    for address in proxies:
        try:
            networks.append(ipaddress.ip_network(address, strict=False))
        except ValueError:
            line = f"proxy {address[:60]!r} is not an address; give one like 127.0.0.1, ::1 or 10.0.0.0/8"
            raise InputError(line) from None
    return networks


def _with_prefix(scope: Scope, root: str) -> Scope:
    """Return the entries of the scope for an application below ``root``."""
    path, raw = scope["path"], scope.get("raw_path") or quote(scope["path"]).encode()
    outer = scope.get("root_path", "")
    if not path.startswith(f"{outer}{root}/"):
        path, raw = (
            f"{outer}{root}{path.removeprefix(outer)}",
            f"{outer}{root}".encode() + raw.removeprefix(outer.encode()),
        )
    return {"root_path": outer + root, "path": path, "raw_path": raw}


def _to_folder(scope: Scope) -> RedirectResponse:
    """Redirect from "/canvas" to "/canvas/", relative, because the proxy may have another scheme or host."""
    query = scope["query_string"].decode("latin-1")
    return RedirectResponse(f"./{scope['path'].rpartition('/')[2]}/" + (f"?{query}" if query else ""), 308)
