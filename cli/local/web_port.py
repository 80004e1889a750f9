"""The port of the pages: its requests go to the gateway, and to nothing else of the emulator.

On the emulator's own port every object in a bucket has the same origin as every other answer. A
page must not share its origin with what people upload. On AWS each has a host name of its own.

Standard library only, because the emulator's process has other packages than the project.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

API_ID = "jobyard"  # of the gateway's API at the emulator
_API_PATH = f"/_aws/execute-api/{API_ID}/$default"

Asgi = Callable[[Any, Any, Any], Awaitable[None]]


class WebPort:
    """An ASGI application: `emulator`, whose requests at `port` all go to the gateway's API.

    The emulator also chooses a service by the host name, so only loopback's names pass.
    """

    def __init__(self, emulator: Asgi, port: int) -> None:
        self._emulator = emulator
        self._port = port
        self._hosts = {f"{name}:{port}".encode() for name in ("127.0.0.1", "localhost")}

    async def __call__(self, scope: Mapping[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan" or scope["server"][1] != self._port:
            await self._emulator(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close"})  # the gateway's API has none
        elif {value for name, value in scope["headers"] if name == b"host"} - self._hosts:
            await _refuse(send, 421, f"the pages are at http://127.0.0.1:{self._port}/\n")
        elif not scope["path"].startswith("/"):
            await _refuse(send, 400, "the request has no path\n")
        else:
            path = {
                "path": _API_PATH + scope["path"],
                "raw_path": _API_PATH.encode() + scope["raw_path"],
            }
            await self._emulator({**scope, **path}, receive, send)


async def _refuse(send: Any, status: int, message: str) -> None:
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(message)).encode()),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": message.encode()})
