"""Find the picture of a task of Label Studio, and its name in what addresses it."""

from __future__ import annotations

import base64
import binascii
import re
from urllib.parse import parse_qs, unquote, urlsplit

from warprefine.core.errors import shorten
from warprefine.datasets.files import PICTURE_ENDINGS, VIDEO_ENDINGS
from warprefine.interchange.records import Record

_UPLOADED = re.compile(r"(?:^|/)data/upload/(?:.*/)?(?:[0-9a-f]{8}-)?([^/]+)$")
_PREFIX = re.compile(r"^[0-9a-f]{8}-(?=.)")
_USUAL = ("image", "img", "picture", "photo", "frame")


def field_of_picture(task: Record, configured: str | None) -> str:
    """Return what addresses the picture of a task.

    Args:
        task: A task; of JSON-MIN the record with its fields.
        configured: The field that the labelling configuration names.

    Raises:
        DatasetError: There is no picture, there are several, or the task is about a video.
    """
    data = task.record("data") if task.has("data") else task
    if configured is not None and isinstance(data.values.get(configured), str):
        return data.text(configured)
    texts = {key: value for key, value in data.values.items() if isinstance(value, str)}
    found = [key for key, value in texts.items() if _ends(value, PICTURE_ENDINGS)]
    if len(found) > 1:
        found = [key for key in found if key.lower() in _USUAL] or found
    if not found and any(_ends(value, VIDEO_ENDINGS) for value in texts.values()):
        task.refuse(
            "is about a video, on which Label Studio has boxes and spans of time, but no areas; expected a "
            "picture",
            cure="label the frames as pictures",
        )
    if not found:
        found = [key for key in texts if key.lower() in _USUAL]
    if len(found) != 1:
        task.refuse(
            f"has {f'the pictures {shorten(found)}' if found else 'no picture'}; expected one",
            cure="put label_config.xml beside the export if the picture is in another field",
        )
    return data.text(found[0])


def picture_name(text: str) -> tuple[str, tuple[str, ...]]:
    """Return the path of a picture in an address, and further spellings of it.

    Example:
        >>> picture_name("/data/local-files/?d=cam%202/000003.png")
        ('cam 2/000003.png', ())
        >>> picture_name("/data/upload/5/66ad6643-000000.png")
        ('000000.png', ('66ad6643-000000.png',))
    """
    path = _path(text)
    if uploaded := _UPLOADED.search(path):
        name = path.rsplit("/", 1)[-1]
        return uploaded[1], (name,) if name != uploaded[1] else ()
    folder, slash, name = path.rpartition("/")
    bare = _PREFIX.sub("", name)
    return path, (f"{folder}{slash}{bare}",) if bare != name else ()


def _path(text: str) -> str:
    """Return the path in an address: of a file on the server, of a bucket, or of the web."""
    if "://" not in text and not text.startswith(("/data/", "/tasks/", "/projects/")):
        return text.replace("\\", "/")
    try:
        parts = urlsplit(text)
        query = parse_qs(parts.query)
    except ValueError:
        return text
    for value in query.get("d", ()):
        return value.replace("\\", "/")
    for value in query.get("fileuri", ()):
        try:
            return _path(base64.urlsafe_b64decode(value + "=" * (-len(value) % 4)).decode("utf-8"))
        except (binascii.Error, UnicodeDecodeError, RecursionError):
            return unquote(parts.path)
    return unquote(parts.path)


def _ends(text: str, endings: tuple[str, ...] | frozenset[str]) -> bool:
    return any(_path(text).lower().endswith(ending) for ending in endings)
