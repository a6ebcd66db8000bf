"""Tell what a file is from its first bytes, where it is something else than its name says."""

from __future__ import annotations

import stat
from pathlib import Path

from warprefine.io.places import at_hand

_FIRST = 512
_TEXTS = {
    "<!doctype html": "a web page, not the file: open the address in a browser and fetch what it links to",
    "<html": "a web page, not the file: open the address in a browser and fetch what it links to",
    "<?xml": "an XML text, such as the message of a server that refuses: fetch the file again",
    "/annex/objects/": "a pointer of git-annex, not the file: run `git annex get` where it comes from",
    "../.git/annex/": "a pointer of git-annex, not the file: run `git annex get` where it comes from",
    "version https://git-lfs": "a pointer of Git LFS, not the file: run `git lfs pull` where it comes from",
}
_BINARIES = {
    b"\x1f\x8b": "an archive of gzip: unpack it",
    b"BZh": "an archive of bzip2: unpack it",
    b"\xfd7zXZ\x00": "an archive of xz: unpack it",
    b"7z\xbc\xaf\x27\x1c": "an archive of 7-Zip: unpack it",
    b"Rar!": "an archive of RAR: unpack it",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file, as Keras and MATLAB write",
    b"\x93NUMPY": "an array of numpy",
    b"%PDF": "a PDF document",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
}


def other_kind(path: Path) -> str | None:
    """Return what a file is, and the cure, if it is a web page, a pointer, an archive or the like.

    Returns:
        A phrase that follows "is", or None where the first bytes show none of these.

    Raises:
        OSError: The file is missing or cannot be read.

    Example:
        >>> import tempfile
        >>> page = Path(tempfile.mkdtemp()) / "weights.pth"
        >>> _ = page.write_text("<html><title>Sign in</title>")
        >>> other_kind(page)
        'a web page, not the file: open the address in a browser and fetch what it links to'
    """
    # Opening a pipe or a device could wait for ever.
    if not stat.S_ISREG(path.stat().st_mode):
        return "a folder; name the file in it" if path.is_dir() else "no regular file; name another"
    with at_hand(path).open("rb") as file:
        start = file.read(_FIRST)
    text = start.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    texts = (told for sign, told in _TEXTS.items() if text.startswith(sign.encode()))
    binaries = (told for sign, told in _BINARIES.items() if start.startswith(sign))
    tar = ["an archive of tar: unpack it"] if start[257:262] == b"ustar" else []
    return next(iter((*texts, *binaries, *tar)), None)
