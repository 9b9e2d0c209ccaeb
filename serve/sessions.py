"""Sessions of signed-in browsers: a cookie with a random id and a signature, so that it never holds the token."""

import hashlib
import hmac
import secrets
import time

LIFETIME = 30 * 24 * 3600  # seconds
_PARTS = 3


class Sessions:
    """Issues and checks session ids for one token. They survive restarts, and end with the token.

    An id is "expiry.random.signature". The key is derived from the token by scrypt, so a stolen cookie does not help to
    guess a token.
    """

    def __init__(self, token: str) -> None:
        self._key = hashlib.scrypt(token.encode(), salt=b"infgen session", n=2**14, r=8, p=1, dklen=32)

    def issue(self) -> str:
        head = f"{int(time.time()) + LIFETIME}.{secrets.token_urlsafe(16)}"
        return f"{head}.{self._sign(head)}"

    def valid(self, session: str) -> bool:
        """Return whether ``session`` was issued for this token and has not expired."""
        parts = session.split(".")
        if len(parts) != _PARTS or not (parts[0].isascii() and parts[0].isdigit()):
            return False
        signed = hmac.compare_digest(parts[2].encode(), self._sign(f"{parts[0]}.{parts[1]}").encode())
        return signed and int(parts[0][:12]) > time.time()

    def _sign(self, head: str) -> str:
        return hmac.new(self._key, head.encode(), hashlib.sha256).hexdigest()
