"""Let nobody but the page of this server in: token, Host, Origin, size of bodies, security headers."""

from __future__ import annotations

import json
import secrets
from http.cookies import CookieError, SimpleCookie
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

HEADER = "x-warprefine-token"
LARGEST_BODY = 1 << 27
"""Bytes; a label map of the largest picture that can be read is smaller."""
_SAFE = ("GET", "HEAD")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' blob: data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_HEADERS = (
    (b"content-security-policy", _POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


class Guard:
    """Answers all requests that are none of the page, before the application sees them.

    - The Host must be this server by its address, so that no foreign name leads here (DNS rebinding).
    - The address with `?token=` is opened once: it sets a cookie, which every other request needs.
    - What changes anything must come from the page itself (Origin), or bear the token in a header.
    - A body has a length, and a limit.

    Args:
        app: The application.
        token: The token.
    """

    def __init__(self, app: ASGIApp, *, token: str) -> None:
        self._app, self._token = app, token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, or pass it on."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        headers: dict[str, list[str]] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), []).append(value.decode("latin-1"))
        port = (scope.get("server") or ("", 0))[1]
        hosts = {f"127.0.0.1:{port}", f"localhost:{port}"}
        refusal = self._refusal(scope, headers, hosts, f"warprefine-{port}")

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                present = {name.lower() for name, _ in message["headers"]}
                added = [*_HEADERS, (b"cache-control", b"no-store")]
                message["headers"] = [
                    *message["headers"],
                    *((name, value) for name, value in added if name not in present),
                ]
            await send(message)

        if refusal is not None:
            await _answer(guarded, *refusal)
        else:
            await self._app(scope, _limited(receive), guarded)

    def _refusal(
        self, scope: Scope, headers: dict[str, list[str]], hosts: set[str], cookie: str
    ) -> tuple[int, str, list[tuple[bytes, bytes]]] | None:
        """Return status, message and headers of the answer to a request that is not passed on."""
        host = headers.get("host", [])
        if len(host) != 1 or host[0] not in hosts:
            return 403, "this server answers to its own address alone; open the one that it printed", []
        if scope["path"] == "/" and scope["method"] in _SAFE and b"token=" in scope["query_string"]:
            return self._enter(scope, cookie)
        by_header = self._is_token(headers.get(HEADER, []))
        if not by_header and not self._is_token(_cookies(headers, cookie)):
            return 401, "the token is missing or wrong; open the address that `warprefine review` printed", []
        if scope["method"] not in _SAFE:
            origin = headers.get("origin", [])
            if origin != [f"http://{host[0]}"] and not (by_header and not origin):
                return 403, "changes are taken from the page of this server alone", []
        return _refused_length(headers)

    def _enter(self, scope: Scope, cookie: str) -> tuple[int, str, list[tuple[bytes, bytes]]]:
        """Answer the address with the token: set the cookie, and leave the token out of the address."""
        try:
            given = parse_qs(scope["query_string"].decode("ascii"), max_num_fields=8).get("token", [])
        except ValueError:
            given = []
        if not self._is_token(given):
            return 401, "the token is wrong; open the address that `warprefine review` printed", []
        value = f"{cookie}={self._token}; HttpOnly; SameSite=Strict; Path=/".encode()
        return 303, "", [(b"location", b"/"), (b"set-cookie", value)]

    def _is_token(self, given: list[str]) -> bool:
        return any(secrets.compare_digest(one.encode(), self._token.encode()) for one in given)


def _refused_length(headers: dict[str, list[str]]) -> tuple[int, str, list[tuple[bytes, bytes]]] | None:
    """Return the answer to a request whose body has no length, or a large one."""
    lengths = headers.get("content-length", ["0"])
    if len(lengths) != 1 or not (lengths[0].isascii() and lengths[0].isdecimal()):
        return 400, "the length of the body is no number", []
    if len(lengths[0]) > 12 or int(lengths[0]) > LARGEST_BODY:
        return 413, f"the body is too large; expected at most {LARGEST_BODY} bytes", []
    if "transfer-encoding" in headers and "content-length" not in headers:
        return 411, "the length of the body is not given; expected Content-Length", []
    return None


def _cookies(headers: dict[str, list[str]], name: str) -> list[str]:
    found = []
    for line in headers.get("cookie", []):
        try:
            jar = SimpleCookie(line)
        except CookieError:
            continue
        if name in jar:
            found.append(jar[name].value)
    return found


def _limited(receive: Receive) -> Receive:
    """Return what receives a body and ends it at the limit, whatever its length was said to be."""
    total = 0

    async def limited() -> Message:
        nonlocal total
        message = await receive()
        total += len(message.get("body", b""))
        return {"type": "http.disconnect"} if total > LARGEST_BODY else message

    return limited


async def _answer(send: Send, status: int, message: str, headers: list[tuple[bytes, bytes]]) -> None:
    body = json.dumps({"error": message}).encode() if message else b""
    start = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode()), *headers]
    await send({"type": "http.response.start", "status": status, "headers": start})
    await send({"type": "http.response.body", "body": body})
