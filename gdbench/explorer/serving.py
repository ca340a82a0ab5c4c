"""The explorer's page on the loopback interface, with an endpoint that renders what the page cannot draw itself."""

from __future__ import annotations

import json
import math
import secrets
import threading
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from gdbench.errors import GdbenchError
from gdbench.explorer.frames import TAUS, moved, pixels
from gdbench.explorer.latents import BITS

if TYPE_CHECKING:
    from gdbench.explorer.making import Made
    from gdbench.explorer.subject import Subject

HOST = "127.0.0.1"
LONGEST = 1 << 16
"""Bytes of a request at most."""
HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Frame-Options": "DENY",
}


@dataclass(frozen=True)
class Wish:
    """An image that a page asks for: a run, a latent by number, a class or None, and direction -> visible change."""

    run: int
    latent: int
    label: int | None
    taus: dict[int, float]


def wish_of(body: bytes, subject: Subject, order: list[int]) -> Wish:
    """The wish in the body of a request. order: which run of the subject the page's n-th is.

    Raises ValueError, which says what is wrong.
    """
    try:
        told = json.loads(body)
        run, latent, label = order[_whole(told["run"], len(order) - 1)], _whole(told["latent"], BITS), told["label"]
        taus = {int(k): float(tau) for k, tau in dict(told["taus"]).items()}
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ValueError(f"not a wish for an image: {error}") from None
    count = len(subject.runs[run].directions)
    if any(not 0 <= k < count or not math.isfinite(tau) or abs(tau) > max(TAUS) for k, tau in taus.items()):
        raise ValueError(f"directions are 0 to {count - 1}, visible changes within {max(TAUS)}")
    program = subject.programs.get(subject.runs[run].directions.space)
    classes = program.classes if program else 0
    return Wish(run, latent, _whole(int(label), classes - 1) if classes and str(label) else None, taus)


def _whole(value: object, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= most:
        raise ValueError(f"{value!r} is no number from 0 to {most}")
    return value


@torch.no_grad()
def image_of(wish: Wish, subject: Subject) -> bytes:
    """RGBA bytes of the image, row by row."""
    run = subject.runs[wish.run]
    space = run.directions.space
    codes = subject.code(space, wish.latent, wish.label)
    for k, tau in wish.taus.items():
        codes = moved(run, codes, torch.tensor([k]), torch.tensor([tau]))
    rgb = pixels(subject.generator.render(codes))[0]
    return np.dstack([rgb, np.full(rgb.shape[:2], 255, np.uint8)]).tobytes()


class Server(ThreadingHTTPServer):
    """Serves one page at an address that nobody can guess, to this machine alone; one image is rendered at a time."""

    daemon_threads = True

    def __init__(self, made: Made, port: int = 0) -> None:
        self.made, self.token, self.turn = made, secrets.token_urlsafe(24), threading.Lock()
        self.order = made.order
        try:
            super().__init__((HOST, port), Handler)
        except OSError as error:
            raise GdbenchError(f"port {port}: {error.strerror}; choose another --port, or 0 for a free one") from None

    @property
    def address(self) -> str:
        """Where the page is."""
        return f"http://{HOST}:{self.server_port}/{self.token}/"


class Handler(BaseHTTPRequestHandler):
    """Answers requests for the page and for images."""

    server: Server
    timeout = 30

    def do_GET(self) -> None:
        """The page."""
        if self._asked_for(""):
            self._answer(HTTPStatus.OK, "text/html; charset=utf-8", self.server.made.text.encode())

    def do_POST(self) -> None:
        """An image."""
        if not self._asked_for("render"):
            return
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or int(length) > LONGEST:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"a wish has {LONGEST} bytes at most")
            return
        subject = self.server.made.subject
        try:
            wish = wish_of(self.rfile.read(int(length)), subject, self.server.order)
            with self.server.turn:
                image = image_of(wish, subject)
        except ValueError as error:
            self._refuse(HTTPStatus.BAD_REQUEST, str(error))
            return
        self._answer(HTTPStatus.OK, "application/octet-stream", image)

    def _asked_for(self, what: str) -> bool:
        """Whether the request is for ``what`` below the token, by this machine's own name; others are refused."""
        here = {f"{name}:{self.server.server_port}" for name in (HOST, "localhost")}
        wanted = f"/{self.server.token}/{what}".encode()
        if self.headers.get("Host") in here and secrets.compare_digest(self.path.encode(), wanted):
            return True
        self._refuse(HTTPStatus.NOT_FOUND, "nothing is here")
        return False

    def _refuse(self, status: HTTPStatus, why: str) -> None:
        self._answer(status, "text/plain; charset=utf-8", why.encode(errors="replace"))

    def _answer(self, status: HTTPStatus, kind: str, body: bytes) -> None:
        self.send_response(status)
        for name, value in {**HEADERS, "Content-Type": kind, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing: addresses hold the token."""
