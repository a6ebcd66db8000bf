"""Choose from the whole set of golden numbers the small one that lies in `data/`.

    python tests/golden/choose_subset.py WHOLE_SET

What is large is made smaller without computing anything anew: arrays that are compared element by element are
sampled, some whole arrays are left out, and the numbers in lists of keys have eight significant digits.
"""

from __future__ import annotations

import json
import re
import shutil
import sys
import zlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = dict[str, NDArray[Any]]

COPIED = (
    "cityscapes_eval/trainid_miou.npz",
    "flownet2/ops.npz",
    "optim/optim.json",
    "relaxed_loss/targets.json",
    "relaxed_loss/targets.npz",
    "sdcnet/label_warp.npz",
)
KEYS = (
    "flownet2/keys_flownet2.json",
    "hrnet_mscale/keys_hrnet_mscale_c19.json",
    "ocr_deeplab/keys_ocr_modules.json",
    "ocr_deeplab/keys_ocrnet_resnext50_hybrid.json",
    "sdcnet/keys_recon.json",
    "sdcnet/keys_sdc2d_seq3.json",
)
THINNED = (
    "flownet2/flownet2_b2_64x128.npz",
    "hrnet_mscale/fwd_64x128.npz",
    "ocr_deeplab/ocr_modules.npz",
    "ocr_deeplab/ocrnet_resnext50_hybrid.npz",
    "ocr_deeplab/resize.npz",
    "relaxed_loss/l3_b2_asis.npz",
    "relaxed_loss/l4_b2_batchweights.npz",
    "rmi/b_ignore.npz",
    "rmi/c_ignore_bce_only.npz",
    "rmi/e_odd.npz",
    "rmi/g_one_image_all_ignored.npz",
    "rmi/i_label_above_range.npz",
    "rmi/j_batch1_vs.npz",
    "rmi/k_lambda_way0_w1.npz",
    "rmi/l_radius2_pool2.npz",
    "rmi/m_all_ignored.npz",
    "sdcnet/recon_b1_64x128.npz",
    "sdcnet/sdc2d_seq3_b1_64x64.npz",
)
LEFT_OUT = {
    "ocr_deeplab/ocr_modules.npz": r"block/(feats|aux)64|ocr\d+/(out|context)64",
    "ocr_deeplab/resize.npz": r"(resize|scale_as)2/.*",  # the largest case; others remain
}
UNREAD = re.compile(r".*/(stats64|maxdiff64)|(?!.*grad).*/stats")
SAMPLED = re.compile(r"((?:act/|single/|two_scale/|nscale|grad).*)/(full|pos|val)(64)?")
SAMPLE = 80


def thinned(arrays: Arrays, left_out: str) -> Arrays:
    """Return the arrays that tests read; of the large ones, the same sample at both precisions."""
    kept: Arrays = {}
    for name, values in arrays.items():
        if UNREAD.fullmatch(name) or re.fullmatch(left_out, name):
            continue
        found = SAMPLED.fullmatch(name)
        if not found or values.size <= SAMPLE:
            kept[name] = values
            continue
        base, form, precision = found[1], found[2], found[3] or ""
        random = np.random.default_rng(zlib.crc32(base.encode()))
        chosen = np.sort(random.choice(values.size, SAMPLE, replace=False))
        if form == "full":
            kept[f"{base}/pos"] = chosen
            form = "val"
        kept[f"{base}/{form}{precision}"] = values.ravel()[chosen]
    return kept


def shortened(described: dict[str, Any]) -> str:
    """Write a list of keys, one entry a line, numbers with as many digits as the check of them needs."""
    entries = described.pop("entries")
    for entry in entries:
        if "first3" in entry:
            entry["first3"] = [float(f"{value:.8g}") for value in entry["first3"]]
    lines = ",\n".join(json.dumps(entry, separators=(",", ":")) for entry in entries)
    return f'{json.dumps(described)[:-1]}, "entries": [\n{lines}\n]}}\n'


def choose(whole_set: Path, out: Path) -> None:
    """Write the small set into a folder."""
    for name in (*COPIED, *KEYS, *THINNED):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        shutil.copyfile(whole_set / name, out / name)
    for name in KEYS:
        (out / name).write_text(shortened(json.loads((whole_set / name).read_text())), encoding="utf-8")
    for name in THINNED:
        with np.load(whole_set / name) as arrays:
            np.savez_compressed(out / name, **thinned(dict(arrays), LEFT_OUT.get(name, "")))
    stems = {Path(name).stem for name in THINNED}
    losses = json.loads((whole_set / "relaxed_loss/loss.json").read_text())
    losses = {name: case for name, case in losses.items() if name in stems}
    (out / "relaxed_loss/loss.json").write_text(json.dumps(losses, indent=2) + "\n", encoding="utf-8")


if __name__ == "__main__":
    choose(Path(sys.argv[1]), Path(__file__).parent / "data")
