"""Read Cityscapes as it is published: street scenes of 50 cities, one labelled frame in each snippet.

Cordts et al., CVPR 2016. With STEM = CITY_SEQUENCE_FRAME, such as aachen_000000_000019:

    ROOT/gtFine/{train,val}/CITY/STEM_gtFine_labelIds.png
    ROOT/gtCoarse/{train,val,train_extra}/CITY/STEM_gtCoarse_labelIds.png
    ROOT/leftImg8bit/{train,val,test,train_extra}/CITY/STEM_leftImg8bit.png
    ROOT/leftImg8bit_sequence/{train,val}/CITY/STEM_leftImg8bit.png    30 frames of each snippet
    ROOT/autolabelled/train_extra/CITY/STEM_leftImg8bit.png            ids, pseudo-labels of Tao et al. (2020)
"""

from __future__ import annotations

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

from warprefine.core.errors import DatasetError, shorten
from warprefine.core.names import nearest_name
from warprefine.core.video import Dataset, Video
from warprefine.datasets.cityscapes_labels import CITYSCAPES_CLASSES
from warprefine.datasets.files import existing_folder, visible
from warprefine.datasets.snippets import REACH, cut_clips, note_unlabelled, pictures_by_name

_PICTURES, _PICTURE_TAIL = "leftImg8bit", "_leftImg8bit"
_SEQUENCES = "leftImg8bit_sequence"
# Of the 30 frames of a snippet, number 19 is labelled.
_BEFORE, _AFTER = 19, 10


class _Labels(NamedTuple):
    """A set of label maps: its folder, the ending of file names, and its parts."""

    folder: str
    tail: str
    parts: tuple[str, ...]

    @property
    def have_neighbours(self) -> bool:
        """Whether the frames around the labelled ones are published."""
        return self.folder == "gtFine"


_FINE = _Labels("gtFine", "_gtFine_labelIds", ("train", "val"))
_COARSE = _Labels("gtCoarse", "_gtCoarse_labelIds", ("train", "val", "train_extra"))
_AUTO = _Labels("autolabelled", _PICTURE_TAIL, ("train_extra",))

_SPLITS = {
    "train": _FINE._replace(parts=("train",)),
    "val": _FINE._replace(parts=("val",)),
    "trainval": _FINE,
    "coarse-train": _COARSE._replace(parts=("train",)),
    "coarse-val": _COARSE._replace(parts=("val",)),
    "coarse-extra": _COARSE._replace(parts=("train_extra",)),
    "auto-extra": _AUTO,
}
_TEST = "test"
_ALL_CITIES = 3  # the fold without held-out cities
_FOLDS = {f"cv{fold}-{part}": (fold, part) for fold in range(_ALL_CITIES + 1) for part in ("train", "val")}


def read_cityscapes(root: Path, split: str) -> Dataset:
    """Read one split of Cityscapes; a video is a labelled frame with up to 10 frames on either side.

    Where leftImg8bit_sequence lacks a snippet, its labelled frame from leftImg8bit is a video of one
    frame. Labelled frames without a picture are `broken`; gaps and pictures without labels are `notes`.

    Args:
        split: "train", "val", "trainval" (gtFine); "cv0-train", "cv0-val" to "cv3-train" (other cities
            of train and val held out, see `validation_cities`; none in cv3). Single frames are
            "coarse-train", "coarse-val", "coarse-extra" (gtCoarse) and "auto-extra" (autolabelled), and
            "test", whose frames have no labels.

    Raises:
        DatasetError: The split does not exist, its folders are missing or empty, or two files have one name.
        KeyFrameError: No label map has a picture.
    """
    existing_folder(root, expected="a folder of Cityscapes with gtFine and leftImg8bit")
    if split == _TEST:
        return _read_test(root)
    if split in _FOLDS:
        fold, part = _FOLDS[split]
        return _read(root, _FINE, only=_cities_of_fold(root, fold, part))
    if split not in _SPLITS:
        raise DatasetError(
            f"no split of Cityscapes is called {split!r}; {nearest_name(split, [*_SPLITS, _TEST, *_FOLDS])}"
        )
    return _read(root, _SPLITS[split])


def validation_cities(train: Iterable[str], val: Iterable[str], *, fold: int) -> tuple[str, ...]:
    """Choose the cities that a fold holds out for validation, as many as the official split.

    The cities of val and then those of train, each in order of name, make one list; fold k takes the
    cities from place k · n // 3 on. So fold 0 is the official split, and fold 2 is that of the paper:
    Mönchengladbach, Strasbourg and Stuttgart. The rule is that of Tao, Sapra and Catanzaro (2020).

    Example:
        >>> validation_cities(["aachen", "bochum", "jena", "ulm"], ["lindau", "munster"], fold=1)
        ('aachen', 'bochum')
    """
    held_out = sorted(val)
    cities = held_out + sorted(train)
    start = fold * len(cities) // 3
    return tuple(cities[(start + place) % len(cities)] for place in range(len(held_out)))


def _cities_of_fold(root: Path, fold: int, part: str) -> Collection[str]:
    train, val = ([city.name for city in _city_folders(root / _FINE.folder / part)] for part in _FINE.parts)
    if fold == _ALL_CITIES:
        if part == "val":
            raise DatasetError(
                "fold cv3 trains on all cities and holds none out; expected cv0-val, cv1-val or cv2-val"
            )
        return {*train, *val}
    held_out = {*validation_cities(train, val, fold=fold)}
    return held_out if part == "val" else {*train, *val} - held_out


def _read(root: Path, labels: _Labels, *, only: Collection[str] | None = None) -> Dataset:
    """Read label maps with their pictures, of all cities or, where given, of `only` some."""
    cities = [
        folder.relative_to(root / labels.folder)
        for part in labels.parts
        for folder in _city_folders(root / labels.folder / part)
        if only is None or folder.name in only
    ]
    maps = pictures_by_name(
        (root / labels.folder / city for city in cities), tail=labels.tail, endings=(".png",)
    )
    if not maps:
        raise DatasetError(
            f"{root / labels.folder} holds no label maps in {shorten(cities) or 'any city'}"
            f"{_train_ids(root, labels, cities)}; expected files such as STEM{labels.tail}.png"
        )
    reach, before, after = (REACH, _BEFORE, _AFTER) if labels.have_neighbours else (0, 0, 0)
    pictures = _pictures(root / _PICTURES, cities)
    if labels.have_neighbours:
        # Sequences take precedence, so that all frames of a clip come from one folder and have one size.
        pictures |= _pictures(root / _SEQUENCES, cities)
    clips = cut_clips(maps, pictures, reach=reach, expected=str(root / _PICTURES))
    unlabelled = note_unlabelled(pictures, maps, before=before, after=after)
    return Dataset(
        root=root,
        classes=CITYSCAPES_CLASSES,
        videos=clips.videos,
        broken=clips.broken,
        notes=(*clips.notes, *unlabelled),
    )


def _train_ids(root: Path, labels: _Labels, cities: Iterable[Path]) -> str:
    """Name the label maps of train ids that lie in the place of those of ids, for the message."""
    tail = labels.tail.replace("labelIds", "labelTrainIds")
    found = pictures_by_name((root / labels.folder / city for city in cities), tail=tail)
    return f", only train ids (STEM{tail}.png), which are not read" if found else ""


def _read_test(root: Path) -> Dataset:
    # The label maps that gtFine has for them are dummies.
    folders = _city_folders(root / _PICTURES / _TEST)
    pictures = pictures_by_name(folders, tail=_PICTURE_TAIL)
    if not pictures:
        raise DatasetError(
            f"{root / _PICTURES / _TEST} holds no pictures; expected files such as STEM{_PICTURE_TAIL}.png"
        )
    videos = (Video(name=name, stems=(name,), frame_paths=(path,)) for name, path in pictures.items())
    return Dataset(root=root, classes=CITYSCAPES_CLASSES, videos=tuple(videos))


def _city_folders(folder: Path) -> list[Path]:
    existing_folder(folder, expected="one folder for each city; unpack the archive of that name there")
    return [entry for entry in visible(folder) if entry.is_dir()]


def _pictures(folder: Path, cities: Iterable[Path]) -> dict[str, Path]:
    return pictures_by_name((folder / city for city in cities), tail=_PICTURE_TAIL)
