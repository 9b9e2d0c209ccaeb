"""Check every request before its route (host, origin, token, size); log it; add security headers to every response."""

import asyncio
import hmac
import logging
import time
from collections.abc import Collection
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from fastapi import HTTPException
from starlette.datastructures import Headers
from starlette.requests import ClientDisconnect, cookie_parser
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from infgen.errors import InfgenError
from infgen.limits import KIB, MAX_INBETWEEN_PHOTOS, MAX_UPLOAD_MB, MAX_WORLD_KB, MIB, REQUEST_SECONDS
from infgen.serve.errors import (
    BusyError,
    ForbiddenError,
    UnauthorizedError,
    WrongTokenError,
    error_response,
    one_line,
)
from infgen.serve.headers import add_security_headers
from infgen.serve.logs import ACCESS, FIELDS
from infgen.serve.metrics import Metrics
from infgen.serve.proxy import FORWARDED_HOST
from infgen.serve.sessions import LIFETIME, Sessions

logger = logging.getLogger(__name__)
access = logging.getLogger(ACCESS)

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "::1")
COOKIE = "infgen_session"
OPEN_PATHS = ("/health/live", "/health/ready")  # monitoring needs no token
WRONG_TOKEN_SECONDS, WRONG_TOKENS_AT_ONCE = 1.0, 16  # limit the rate of guesses
CLIENT_GONE = 499  # status in logs and metrics only
LEAST_RATE = 4 * KIB  # bytes per second of a body, after INFGEN_REQUEST_SECONDS
_FORM_OVERHEAD = 64 * KIB  # form fields and boundaries, without the photographs
_SAFE = ("GET", "HEAD", "OPTIONS")
_METHODS = (*_SAFE, "POST", "PUT", "DELETE")


class Guard:
    """ASGI middleware. ``token``: None disables the check. ``hosts``: allowed Host names; None allows any.

    Pages of an allowed host other than this machine may send changes, also if a proxy rewrites the Host header.
    """

    def __init__(self, app: ASGIApp, *, token: str | None, hosts: Collection[str] | None, metrics: Metrics) -> None:
        self._app, self._token, self._metrics = app, token, metrics
        self._hosts = None if hosts is None else frozenset(host.lower() for host in hosts)
        self._sessions = None if token is None else Sessions(token)
        self._guesses = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Reject the request, or pass it to the application."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        start, status, size = time.monotonic(), 0, 0

        async def send_and_note(message: Message) -> None:
            nonlocal status, size
            if message["type"] == "http.response.start":
                status = message["status"]
                add_security_headers(message)
            size += len(message.get("body", b""))
            await send(message)

        try:
            refusal = await self._refusal(scope)
            if refusal is None:
                await self._app(scope, _limit_body(receive, _limit(scope)), send_and_note)
            else:
                await refusal(scope, receive, send_and_note)
        except ClientDisconnect:
            status = status or CLIENT_GONE
        except Exception as error:
            logger.exception("%s %s failed", scope["method"], scope["path"])
            if not status:
                await error_response(error)(scope, receive, send_and_note)
        finally:
            self._note(scope, status=status or 500, size=size, seconds=time.monotonic() - start)

    def _note(self, scope: Scope, *, status: int, size: int, seconds: float) -> None:
        """Count and log an answered request. The query is left out, because it may hold the token."""
        route = getattr(scope.get("route"), "path", "other")
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self._metrics.request(method, route, status=status, seconds=seconds)
        fields = {
            "client": (scope.get("client") or ("-",))[0],
            "method": scope["method"],
            "path": quote(scope["path"]),
            "status": status,
            "bytes": size,
            "ms": round(1000 * seconds, 1),
        }
        access.info("%(client)s %(method)s %(path)s %(status)d %(bytes)d B %(ms).1f ms", fields, extra={FIELDS: fields})

    async def _refusal(self, scope: Scope) -> Response | None:
        """Return the response that rejects the request, or None to accept it."""
        headers = Headers(scope=scope)
        try:
            self._check_host(scope, headers)
            self._check_origin(scope, headers)
            if (redirect := self._sign_in(scope)) is not None:
                return redirect
            self._check_token(scope, headers)
        except WrongTokenError as error:
            return await self._answer_guess(error)
        except InfgenError as error:
            return error_response(error)
        length, limit = headers.get("content-length", "0"), _limit(scope)
        if not (length.isascii() and length.isdigit()) or int(length[:20]) > limit:
            return _too_large(limit)
        return None

    async def _answer_guess(self, error: WrongTokenError) -> Response:
        """Delay the answer to a wrong token. Too many wrong ones at a time are rejected at once."""
        if self._guesses >= WRONG_TOKENS_AT_ONCE:
            return error_response(BusyError("too many wrong tokens; try again later", retry_after=5))
        self._guesses += 1
        try:
            await asyncio.sleep(WRONG_TOKEN_SECONDS)
        finally:
            self._guesses -= 1
        return error_response(error)

    def _check_host(self, scope: Scope, headers: Headers) -> None:
        """Reject unknown Host headers. This stops DNS rebinding, where the header still has the attacker's name."""
        for header in (headers.get("host", ""), scope.get(FORWARDED_HOST)):
            if self._hosts is not None and header is not None and (name := host_name(header)) not in self._hosts:
                raise ForbiddenError(
                    f"host name {name[:60]!r} is not allowed; use {min(self._hosts)}, or start the server with --allow-host"
                )

    def _check_origin(self, scope: Scope, headers: Headers) -> None:
        """Reject requests from pages of other sites that would change data (CSRF)."""
        origin = headers.get("origin")
        if scope["method"] in _SAFE or origin is None:
            return
        place = origin.partition("://")[2].lower()
        if place and place in (headers.get("host", "").lower(), (scope.get(FORWARDED_HOST) or "").lower()):
            return
        if self._hosts is None or host_name(place) not in self._hosts.difference(LOOPBACK_NAMES):
            raise ForbiddenError(
                f"requests from pages of {origin[:60]!r} cannot change data; use this server's own page"
            )

    def _sign_in(self, scope: Scope) -> Response | None:
        """For ?token=..., set the cookie and redirect to the same address without the token.

        The redirect is relative, so it stays below a proxy's prefix and cannot lead to another site.
        """
        if self._token is None or self._sessions is None or scope["method"] not in ("GET", "HEAD"):
            return None
        query = parse_qsl(scope["query_string"].decode("latin-1"), keep_blank_values=True)
        given = [value for name, value in query if name == "token"]
        if not given:
            return None
        if not _equal(given[-1], self._token):
            raise WrongTokenError("the token in the address is wrong; give the one that infgen serve was started with")
        rest = urlencode([(name, value) for name, value in query if name != "token"])
        last = quote(scope["path"].rpartition("/")[2])
        answer = RedirectResponse(f"./{last}" + (f"?{rest}" if rest else ""), 303)
        answer.set_cookie(
            COOKIE,
            self._sessions.issue(),
            max_age=LIFETIME,
            path=scope.get("root_path", "") or "/",
            httponly=True,
            samesite="strict",
            secure=scope["scheme"] == "https",
        )
        return answer

    def _check_token(self, scope: Scope, headers: Headers) -> None:
        if self._token is None or self._sessions is None:
            return
        if scope["path"].removeprefix(scope.get("root_path", "")) in OPEN_PATHS:
            return
        given = headers.get("authorization", "").removeprefix("Bearer ").strip()
        if _equal(given, self._token) or self._sessions.valid(cookie_parser(headers.get("cookie", "")).get(COOKIE, "")):
            return
        if given:
            raise WrongTokenError("the token in the header Authorization is wrong; give the one of the server")
        raise UnauthorizedError(
            "this server requires a token; open the address with ?token=..., or send the header Authorization: Bearer ..."
        )


def host_name(header: str) -> str:
    """Return the lower-case name in a Host header, without the port."""
    try:
        return (urlsplit(f"//{header}").hostname or "").lower()
    except ValueError:
        return ""


def _equal(given: str, token: str) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(given.encode(), token.encode())


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
    """Wrap ``receive`` to reject a body over ``limit`` bytes (413), or a stalled or very slow one (408)."""
    seen, whole, start = 0, False, time.monotonic()

    async def receive_part() -> Message:
        nonlocal seen, whole
        if whole:  # from here on it only reports a disconnect, so no timeout
            return await receive()
        seconds = REQUEST_SECONDS.value()
        left = start + seconds + seen / LEAST_RATE - time.monotonic()
        try:
            async with asyncio.timeout(min(seconds, left)):
                message = await receive()
        except TimeoutError:
            line = (
                f"the request took too long: {seen} bytes arrived; allowed are {seconds} s without data; send it again"
            )
            raise HTTPException(408, line) from None
        seen += len(message.get("body", b""))
        whole = not message.get("more_body", False)
        if seen > limit:
            raise HTTPException(413, _too_large_line(limit))
        return message

    return receive_part
