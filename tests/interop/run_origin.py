"""Runs one real HTTP server over a listening socket handed down: `run_origin.py NAME FD`.

Each counts the requests it parsed to their ends. `GET /__seen` answers `["METHOD BODY-LENGTH", …]` since the last time
it was asked; everything else answers 200 with an `X-Origin` header and `METHOD BODY-LENGTH` as its body.
"""

from __future__ import annotations

import asyncio
import json
import socket
import sys
import threading
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

SEEN: list[str] = []
_LOCK = threading.Lock()


def answer(name: str, path: str, method: str, size: int) -> bytes:
    """What to answer; counts the request unless it asks for the count."""
    with _LOCK:
        if path == "/__seen":
            body = json.dumps(SEEN).encode()
            SEEN.clear()
            return body
        line = f"{method} {size}"
        SEEN.append(line)
        return line.encode()


def wsgi(name: str) -> Callable[..., Iterable[bytes]]:
    def app(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        data = environ["wsgi.input"].read()
        expected = environ.get("CONTENT_LENGTH")
        if expected and len(data) != int(expected):
            raise ValueError("half a body")
        body = answer(name, environ["PATH_INFO"], environ["REQUEST_METHOD"], len(data))
        start_response(
            "200 OK", [("Content-Type", "text/plain"), ("Content-Length", str(len(body))), ("X-Origin", name)]
        )
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [body]

    return app


def asgi(name: str) -> Callable[..., Awaitable[None]]:
    async def app(
        scope: dict[str, Any], receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]
    ) -> None:
        if scope["type"] != "http":
            raise RuntimeError("only HTTP")
        size = 0
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            size += len(message.get("body", b""))
            if not message.get("more_body"):
                break
        body = answer(name, scope["path"], scope["method"], size)
        headers = [(b"content-length", str(len(body)).encode()), (b"x-origin", name.encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})

    return app


def run_gunicorn(fd: int) -> None:
    from gunicorn.app.base import BaseApplication

    class Application(BaseApplication):  # type: ignore[misc]
        def load_config(self) -> None:
            options = {
                "bind": f"fd://{fd}",
                "worker_class": "gthread",
                "threads": 8,
                "keepalive": 30,
                "loglevel": "error",
            }
            for key, value in options.items():
                self.cfg.set(key, value)

        def load(self) -> object:
            return wsgi("gunicorn")

    sys.argv = ["gunicorn"]
    Application().run()


def run_waitress(fd: int) -> None:
    from waitress import serve

    serve(wsgi("waitress"), sockets=[socket.socket(fileno=fd)], threads=8, _quiet=True)


def run_uvicorn(fd: int) -> None:
    import uvicorn

    uvicorn.run(asgi("uvicorn"), fd=fd, log_level="error", timeout_keep_alive=30, lifespan="off")


def run_hypercorn(fd: int) -> None:
    from hypercorn.asyncio import serve
    from hypercorn.config import Config

    config = Config()
    config.bind = [f"fd://{fd}"]
    config.loglevel = "ERROR"
    asyncio.run(serve(asgi("hypercorn"), config))  # type: ignore[arg-type]


def run_aiohttp(fd: int) -> None:
    from aiohttp import web

    async def handle(request: web.BaseRequest) -> web.StreamResponse:
        data = await request.read()
        body = answer("aiohttp", request.path, request.method, len(data))
        return web.Response(body=body, headers={"X-Origin": "aiohttp"})

    async def main() -> None:
        runner = web.ServerRunner(web.Server(handle, access_log=None))
        await runner.setup()
        await web.SockSite(runner, socket.socket(fileno=fd)).start()
        await asyncio.Event().wait()

    asyncio.run(main())


def run_tornado(fd: int) -> None:
    import tornado.httpserver
    import tornado.httputil

    def handle(request: tornado.httputil.HTTPServerRequest) -> None:
        body = answer("tornado", request.path or "", request.method or "", len(request.body))
        headers = tornado.httputil.HTTPHeaders({"Content-Length": str(len(body)), "X-Origin": "tornado"})
        line = tornado.httputil.ResponseStartLine("HTTP/1.1", 200, "OK")
        assert request.connection is not None
        request.connection.write_headers(line, headers, b"" if request.method == "HEAD" else body)
        request.connection.finish()

    async def main() -> None:
        server = tornado.httpserver.HTTPServer(handle)
        listener = socket.socket(fileno=fd)
        listener.setblocking(False)
        server.add_socket(listener)
        await asyncio.Event().wait()

    asyncio.run(main())


if __name__ == "__main__":
    globals()[f"run_{sys.argv[1]}"](int(sys.argv[2]))
