"""The files that a review pack can become."""

from __future__ import annotations

from collections.abc import Callable

from dashboard.pack import Pack, html, zipped
from dashboard.slides import pptx

WRITERS: dict[str, Callable[[Pack], bytes]] = {".html": html, ".pptx": pptx, ".zip": zipped}
MIME = {
    ".html": "text/html",
    ".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
    ".zip": "application/zip",
}
