"""Tests of review/guard.py: nobody but the page of the server is let in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from warprefine.review.app import make_app

TOKEN, PORT = "the-token-of-the-tests", 8765
HOME = f"http://127.0.0.1:{PORT}"
LABELS = "/api/videos/0/frames/5/labels"


@pytest.fixture
def stranger(reviewed: Path) -> TestClient:
    """A browser that has not opened the page."""
    return TestClient(make_app(reviewed, token=TOKEN, redo=False), base_url=HOME, follow_redirects=False)


def test_the_address_with_the_token_lets_in(stranger: Any) -> None:
    """It sets a cookie that no script reads and no other site sends, and leaves the token out."""
    answer = stranger.get("/", params={"token": TOKEN})

    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    assert answer.headers["set-cookie"] == f"warprefine-{PORT}={TOKEN}; HttpOnly; SameSite=Strict; Path=/"
    assert stranger.get("/api/run").status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/api/run", "/main.js", LABELS, "/?token=wrong", "/?token=", "/?token=%ff"]
)
def test_nobody_is_let_in_without_the_token(stranger: Any, path: str) -> None:
    """Every address needs the token, the page itself too."""
    answer = stranger.get(path)

    assert answer.status_code == 401
    assert answer.json()["error"].startswith("the token is")


@pytest.mark.parametrize("cookie", [f"warprefine-{PORT}=wrong", f"warprefine-1={TOKEN}", '";;=', "\xff"])
def test_a_wrong_cookie_is_none(stranger: Any, cookie: str) -> None:
    """The cookie of another server, or of nobody, lets nobody in."""
    assert stranger.get("/api/run", headers={"Cookie": cookie.encode("latin-1")}).status_code == 401


def test_a_program_may_send_the_token_in_a_header(stranger: Any) -> None:
    """It needs no cookie, and no Origin, which a program does not have."""
    headers = {"X-Warprefine-Token": TOKEN}

    assert stranger.get("/api/run", headers=headers).status_code == 200
    assert stranger.delete(LABELS, headers=headers | {"If-Match": '"0"'}).status_code == 422


@pytest.mark.parametrize("host", ["evil.example", f"evil.example:{PORT}", "127.0.0.1", "127.0.0.1:1", ""])
def test_a_foreign_host_is_refused(client: Any, host: str) -> None:
    """A name that leads to this machine is not enough, even with the cookie: DNS can be rebound."""
    answer = client.get("/api/run", headers={"Host": host})

    assert answer.status_code == 403
    assert "answers to its own address alone" in answer.json()["error"]


def test_localhost_is_this_machine(client: Any) -> None:
    """The usual name of this machine is its address."""
    assert client.get("/api/run", headers={"Host": f"localhost:{PORT}"}).status_code == 200


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", f"https://127.0.0.1:{PORT}", f"{HOME}.evil", ""]
)
def test_changes_from_a_foreign_page_are_refused(client: Any, png: Callable[..., bytes], origin: str) -> None:
    """A page elsewhere that makes the browser send the cookie changes nothing."""
    headers = {"Origin": origin, "If-Match": '"0"'}
    for answer in (
        client.put(LABELS, content=png(), headers=headers),
        client.delete(LABELS, headers=headers),
        client.post("/api/videos/0/frames/5/decision", json={"decision": "", "version": 0}, headers=headers),
    ):
        assert answer.status_code == 403
        assert answer.json()["error"] == "changes are taken from the page of this server alone"
    assert client.get(LABELS).headers["ETag"] == '"0"'


@pytest.mark.parametrize("length", ["-1", "x", "1, 2", "٣"])
def test_a_body_has_a_length(client: Any, length: str) -> None:
    """A length that is no number is refused."""
    answer = client.put(LABELS, content=b"", headers={"Content-Length": length.encode()})

    assert answer.status_code == 400


def test_a_body_of_gigabytes_is_refused_unread(client: Any) -> None:
    """The length that is announced is enough to refuse it."""
    answer = client.put(LABELS, content=b"", headers={"Content-Length": "9999999999"})

    assert answer.status_code == 413


def test_a_body_without_a_length_is_refused(client: Any) -> None:
    """What comes in pieces of unknown number is refused."""
    answer = client.put(LABELS, content=iter([b"piece"]), headers={"If-Match": '"0"'})

    assert answer.status_code == 411


@pytest.mark.parametrize("path", ["/api/run", "/api/nothing", f"{LABELS}?method=guess"])
def test_every_answer_forbids_foreign_content(client: Any, path: str) -> None:
    """Policy, no guessing of types, no frames, no referrer, nothing kept: on errors too."""
    headers = client.get(path).headers

    policy = dict(part.split(" ", 1) for part in headers["content-security-policy"].split("; "))
    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == "'self'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert headers["cache-control"] == "no-store"
    assert "access-control-allow-origin" not in headers


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/api", "/api/", "/static", "/tools/"])
def test_nothing_is_listed(client: Any, path: str) -> None:
    """There is no list of addresses or files."""
    assert client.get(path).status_code == 404
