"""A gateway before one application: tags requests by tenant, refuses those without one, strips a prefix."""

from __future__ import annotations

import os

from fastgate import Gateway, Request, Response


def make(app: str) -> Gateway:
    """The gateway before the application at this URL."""
    gateway = Gateway().listener("public", bind="127.0.0.1:8000")
    gateway.route("ping", match={"path": "/ping"}, respond={"status": 200, "body": "pong\n"})
    gateway.route("api", match={"prefix": "/api"}, to=app, rewrite={"strip_prefix": "/api"})

    @gateway.on_request(routes=["api"])
    def tenant(request: Request) -> Response | None:
        """Takes the tenant from the host's first label: acme.example.com."""
        name, _, rest = request.host.partition(".")
        if not rest:
            return Response.json({"title": "no tenant"}, status=403)
        request.headers["x-tenant"] = name
        return None

    return gateway


gateway = make(os.environ.get("APP_URL", "http://127.0.0.1:9000"))
