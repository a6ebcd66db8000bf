"""Time the label warp against one-hot + grid_sample + argmax at 1024 x 2048 with 19 classes.

It is also compared with a copy of what it reads, 16 MiB of flow and 2 MiB of labels. With one thread these
are CPU seconds, so that other programs disturb little; each is the least of several runs.

Example: python benchmarks/label_warp.py --threads 1
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from functools import partial

import numba
import torch
from torch import Tensor
from torch.nn import functional

from warprefine.core.tensors import VOID
from warprefine.ops.label_vote import vote_labels, vote_labels_torch, warp_labels
from warprefine.ops.warp import backward_warp


def one_hot_warp(labels_a: Tensor, flow_ba: Tensor, *, class_count: int) -> Tensor:
    """Warp one plane per class and one for VOID, and take the largest."""
    positions = labels_a.long().masked_fill(labels_a == VOID, class_count)
    planes = functional.one_hot(positions, class_count + 1).permute(0, 3, 1, 2).float()
    winner = backward_warp(planes, flow_ba).argmax(dim=1)
    return winner.masked_fill(winner == class_count, VOID).to(torch.uint8)


def milliseconds(call: Callable[[], object], *, times: int, clock: Callable[[], float]) -> float:
    """Return the shortest of several runs."""
    call()
    spans = []
    for _ in range(times):
        begin = clock()
        call()
        spans.append(clock() - begin)
    return 1000 * min(spans)


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--times", type=int, default=7)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    torch.set_num_threads(given.threads)
    numba.set_num_threads(given.threads)
    h, w, class_count = 1024, 2048, 19
    generator = torch.Generator().manual_seed(0)
    blobs = torch.randint(0, class_count, (1, 1, h // 32, w // 32), generator=generator).float()
    labels = functional.interpolate(blobs, size=(h, w), mode="nearest")[:, 0].to(torch.uint8).to(given.device)
    coarse = 8 * torch.randn(1, 2, h // 64, w // 64, generator=generator)
    flow = functional.interpolate(coarse, size=(h, w), mode="bilinear", align_corners=True).to(given.device)
    alone = given.threads == 1 and given.device == "cpu"
    taken = partial(milliseconds, times=given.times, clock=time.process_time if alone else time.perf_counter)
    targets = torch.empty_like(flow), torch.empty_like(labels)
    copied = taken(lambda: [target.copy_(of) for target, of in zip(targets, (flow, labels), strict=True)])
    one_hot = taken(lambda: one_hot_warp(labels, flow, class_count=class_count))
    print(f"one-hot + grid_sample + argmax  {one_hot:8.1f} ms")
    print(f"copy of flow and labels         {copied:8.1f} ms")
    ways: dict[str, Callable[[Tensor, Tensor], object]] = {
        "vote with shares, torch": vote_labels_torch,
        "vote with shares": vote_labels,
        "vote": warp_labels,
    }
    for name, call in ways.items():
        span = taken(partial(call, labels, flow))
        print(f"{name:<31} {span:8.1f} ms   {one_hot / span:5.1f} x faster   {span / copied:5.1f} copies")
    agree = vote_labels(labels, flow, outside="replicate")[0] == one_hot_warp(
        labels, flow, class_count=class_count
    )
    print(f"pixels that agree: {100 * agree.float().mean():.4f} %")


if __name__ == "__main__":
    main()
