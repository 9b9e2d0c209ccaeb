"""Answer HEAD on every GET route: the same headers without the body."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send


class AnswerHead:
    """ASGI middleware that runs HEAD as GET. The client counts as gone after the headers, so that streams end."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and send nothing but the start of the response."""
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return
        answered = asyncio.Event()

        async def send_start(message: Message) -> None:
            if message["type"] == "http.response.start":
                await send(message)
                await send({"type": "http.response.body", "body": b"", "more_body": False})
                answered.set()

        async def receive_until_answered() -> Message:
            waiting = [asyncio.ensure_future(receive()), asyncio.ensure_future(answered.wait())]
            try:
                await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
                return {"type": "http.disconnect"} if answered.is_set() else waiting[0].result()  # type: ignore[return-value]
            finally:
                for task in waiting:
                    task.cancel()

        await self._app({**scope, "method": "GET"}, receive_until_answered, send_start)
