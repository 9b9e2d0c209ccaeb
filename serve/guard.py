"""Check every request before its route (host, origin, token, size), and add security headers to every response."""

import asyncio
import hmac
import time
from collections.abc import Collection
from http.cookies import CookieError, SimpleCookie
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from fastapi import HTTPException
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from infgen.errors import InfgenError
from infgen.limits import KIB, MAX_INBETWEEN_PHOTOS, MAX_UPLOAD_MB, MAX_WORLD_KB, MIB, REQUEST_SECONDS
from infgen.serve.errors import ForbiddenError, UnauthorizedError, error_response, one_line
from infgen.serve.metrics import Metrics

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
COOKIE = "infgen_token"
OPEN_PATHS = ("/health/live", "/health/ready")  # monitoring needs no token
_FORM_OVERHEAD = 64 * KIB  # form fields and boundaries, without the photographs
_SAFE = ("GET", "HEAD", "OPTIONS")
_METHODS = (*_SAFE, "POST", "PUT", "DELETE")
HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' blob: data:; object-src 'none'; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


class Guard:
    """ASGI middleware. ``token``: None disables the check. ``hosts``: allowed Host names; None allows any."""

    def __init__(self, app: ASGIApp, *, token: str | None, hosts: Collection[str] | None, metrics: Metrics) -> None:
        self._app, self._token, self._metrics = app, token, metrics
        self._hosts = None if hosts is None else frozenset(host.lower() for host in hosts)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reject the request, or pass it to the application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status = time.monotonic(), 500

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _add_headers(message)
            await send(message)

        try:
            refusal = self._refusal(scope)
            if refusal is None:
                await self._app(scope, _limit_body(receive, _limit(scope)), send_with_headers)
            else:
                await refusal(scope, receive, send_with_headers)
        finally:
            route = getattr(scope.get("route"), "path", "other")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.request(method, route, status=status, seconds=time.monotonic() - start)

    def _refusal(self, scope: Scope) -> Response | None:
        """Return the response that rejects the request, or None to accept it."""
        headers = Headers(scope=scope)
        try:
            self._check_host(headers)
            _check_origin(scope, headers)
            if (redirect := self._sign_in(scope)) is not None:
                return redirect
            self._check_token(scope, headers)
        except InfgenError as error:
            return error_response(error)
        length, limit = headers.get("content-length", "0"), _limit(scope)
        if not (length.isascii() and length.isdigit()) or int(length[:20]) > limit:
            return _too_large(limit)
        return None

    def _check_host(self, headers: Headers) -> None:
        """Reject unknown Host headers. This stops DNS rebinding, where the header still has the attacker's name."""
        name = host_name(headers.get("host", ""))
        if self._hosts is not None and name not in self._hosts:
            raise ForbiddenError(f"host name {name[:60]!r} is not allowed; use {min(self._hosts)}")

    def _sign_in(self, scope: Scope) -> Response | None:
        """For ?token=..., set the cookie and redirect to the same address without the token."""
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = [value for name, value in query if name == "token"]
        if self._token is None or not given or scope["method"] != "GET":
            return None
        if not _equal(given[-1], self._token):
            raise UnauthorizedError("the token in the address is wrong; use the address that infgen serve prints")
        rest = urlencode([(name, value) for name, value in query if name != "token"])
        answer = RedirectResponse(quote(scope["path"]) + (f"?{rest}" if rest else ""), 303)
        root = scope.get("root_path", "") or "/"
        answer.set_cookie(
            COOKIE, self._token, path=root, httponly=True, samesite="strict", secure=scope["scheme"] == "https"
        )
        return answer

    def _check_token(self, scope: Scope, headers: Headers) -> None:
        if self._token is None or scope["path"].removeprefix(scope.get("root_path", "")) in OPEN_PATHS:
            return
        given = [headers.get("authorization", "").removeprefix("Bearer ").strip(), _cookie(headers)]
        if not any(_equal(value, self._token) for value in given):
            raise UnauthorizedError(
                "this server requires a token; open the address with ?token=... that infgen serve prints, or send the header "
                "Authorization: Bearer ..."
            )


def host_name(header: str) -> str:
    """Return the lower-case name in a Host header, without the port."""
    try:
        return (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return ""


def _check_origin(scope: Scope, headers: Headers) -> None:
    """Reject requests from pages of other sites that would change data (CSRF)."""
    origin = headers.get("origin")
    if scope["method"] in _SAFE or origin is None:
        return
    if urlsplit(origin).netloc.lower() != headers.get("host", "").lower():
        raise ForbiddenError(f"requests from pages of {origin[:60]!r} cannot change data; use this server's own page")


def _equal(given: str, token: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(given.encode(), token.encode())


def _cookie(headers: Headers) -> str:
    try:
        cookies = SimpleCookie(headers.get("cookie", ""))
    except CookieError:
        return ""
    return cookies[COOKIE].value if COOKIE in cookies else ""


def _limit(scope: Scope) -> int:
    """Maximum body size in bytes."""
    last = scope["path"].rpartition("/")[2]
    if last in ("outpaint", "inbetween"):
        photographs = 1 if last == "outpaint" else MAX_INBETWEEN_PHOTOS.value()
        return photographs * MAX_UPLOAD_MB.value() * MIB + _FORM_OVERHEAD
    return MAX_WORLD_KB.value() * KIB


def _too_large_line(limit: int) -> str:
    return f"the request has more than {limit} bytes, the maximum for this address; send less"


def _too_large(limit: int) -> Response:
    return one_line(413, _too_large_line(limit))


def _limit_body(receive: Receive, limit: int) -> Receive:
    """Wrap ``receive`` to reject a body over ``limit`` bytes (413) or a stalled one (408)."""
    seen, whole = 0, False

    async def receive_part() -> Message:
        nonlocal seen, whole
        if whole:  # from here on it only reports a disconnect, so no timeout
            return await receive()
        seconds = REQUEST_SECONDS.value()
        try:
            async with asyncio.timeout(seconds):
                message = await receive()
        except TimeoutError:
            raise HTTPException(408, f"no part of the request arrived for {seconds} s; send it again") from None
        seen += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        if seen > limit:
            raise HTTPException(413, _too_large_line(limit))
        return message

    return receive_part


def _add_headers(message: Message) -> None:
    headers = MutableHeaders(raw=message["headers"])
    for name, value in HEADERS.items():
        headers.setdefault(name, value)
    headers.setdefault("Cache-Control", "no-cache")
