"""Measure the cost of each network per frame: weights, multiply-adds, time, memory.

    python benchmarks/networks.py
    python benchmarks/networks.py --device cuda --write docs/networks.md

Each network is measured in a process of its own, with random weights, as it labels: one frame (or one
pair of frames) at a time, no gradients. Multiply-adds are those of convolutions and matrix products;
operations without any, such as DIS, have none to count. Memory is what the process needs at its peak
beyond what it needed before the first frame, weights not included.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from warprefine.core.protocols import RefinerInput, Segmentation, channels_last
from warprefine.core.threads import use_threads
from warprefine.motion import MOTIONS
from warprefine.motion.flownet2 import FlowNet2, FlowNet2Flow
from warprefine.motion.raft import RAFT, RAFTFlow
from warprefine.motion.sdcnet import SDCNet
from warprefine.motion.sdcnet_motion import SDCNetMotion
from warprefine.recipe.recipe import RefinerRecipe, SegmenterRecipe
from warprefine.refinement import REFINERS
from warprefine.segmentation import SEGMENTERS

SIZES = ((360, 480), (512, 1024))
CLASSES = 19
THREADS = 2
FEATURES = 64
MOST_RUNS, LONGEST_S = 5, 8
STATUS = Path("/proc/self/status")
BEGIN, END = "<!-- begin {} -->", "<!-- end {} -->"
SEPARATELY = {"huggingface", "timm"}  # whatever model the user names


def motions(device: torch.device) -> dict[str, Callable[[], tuple[Any, nn.Module | None]]]:
    """Return how to make each motion estimator, and the network in it."""

    def of(network: nn.Module, wrap: Callable[[Any], Any]) -> tuple[Any, nn.Module]:
        return wrap(network.to(device)), network

    dis = MOTIONS["dis-medium"]
    return {
        "dis-fine": lambda: (MOTIONS["dis-fine"](), None),
        "dis-medium": lambda: (dis(), None),
        "raft (small), 12 iterations": lambda: of(
            RAFT("small"), lambda raft: RAFTFlow(raft, name="", iterations=12)
        ),
        "raft (large), 12 iterations": lambda: of(
            RAFT("large"), lambda raft: RAFTFlow(raft, name="", iterations=12)
        ),
        "flownet2": lambda: of(FlowNet2(), lambda network: FlowNet2Flow(network, name="")),
        "sdcnet, as released, on DIS": lambda: of(
            SDCNet(2), lambda network: SDCNetMotion(network, dis(), name="")
        ),
        "sdcnet, a quarter as wide, on DIS": lambda: of(
            SDCNet(2, width=0.25), lambda network: SDCNetMotion(network, dis(), name="")
        ),
    }


def names(device: torch.device) -> dict[str, list[str]]:
    """Return the names of the networks that are measured, by group."""
    return {
        "Segmenters": [name for name in SEGMENTERS if name not in SEPARATELY],
        "Motion estimators": list(motions(device)),
        "Refiners": list(REFINERS),
    }


def job(group: str, name: str, size: tuple[int, int], device: torch.device) -> tuple[Any, nn.Module | None]:
    """Return a function that processes one frame, and the network that it runs."""
    h, w = size
    frame, other = (torch.randint(0, 256, (1, 3, h, w), dtype=torch.uint8, device=device) for _ in "ab")
    if group == "Motion estimators":
        estimator, network = motions(device)[name]()
        return (lambda: estimator(frame, other)), network
    if group == "Segmenters":
        network = channels_last(SEGMENTERS[name].from_recipe(SegmenterRecipe(), CLASSES)).to(device).eval()
        return (lambda: network(frame)), network
    network = REFINERS[name].from_recipe(RefinerRecipe(), CLASSES, FEATURES)
    network = channels_last(network).to(device).eval()
    inputs = RefinerInput(
        frame=frame,
        warped_frame=other,
        labels=torch.randint(0, CLASSES, (1, h, w), dtype=torch.uint8, device=device),
        segmentation=Segmentation(
            logits=torch.randn(1, CLASSES, h // 2, w // 2, device=device),
            features=torch.randn(1, FEATURES, h // 4, w // 4, device=device),
        ),
    )
    return (lambda: network(inputs)), network


def measure(group: str, name: str, size: tuple[int, int], device: torch.device) -> dict[str, float]:
    """Measure one network at one size."""
    run, network = job(group, name, size, device)
    autocast = torch.autocast(device.type, torch.bfloat16) if group != "Motion estimators" else None

    def once() -> None:
        with torch.no_grad(), autocast or contextlib.nullcontext():
            run()
        if device.type == "cuda":
            torch.cuda.synchronize()

    before = begin_peak(device)
    with FlopCounterMode(display=False) as counter:
        once()
    peak = peak_memory(device) - before
    times: list[float] = []
    while len(times) < MOST_RUNS and sum(times) < LONGEST_S:
        start = time.perf_counter()
        once()
        times.append(time.perf_counter() - start)
    weights = sum(p.numel() for p in network.parameters()) if network is not None else 0
    return {
        "weights": weights,
        "macs": counter.get_total_flops() / 2,
        "ms": 1000 * sorted(times)[len(times) // 2],
        "mib": peak / 2**20,
    }


def begin_peak(device: torch.device) -> float:
    """Reset the peak of memory, and return the memory in use, in bytes."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return float(torch.cuda.memory_allocated(device))
    if STATUS.exists():
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # building a network peaks too
    return peak_memory(device)


def peak_memory(device: torch.device) -> float:
    """Return the most memory used since `begin_peak`, in bytes; elsewhere than on Linux since the start."""
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device))
    if STATUS.exists():
        lines = STATUS.read_text(encoding="ascii").splitlines()
        return 1024.0 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    return float(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def table(device: str) -> str:
    """Measure all networks and return a Markdown table."""
    lines = []
    sizes = [f"{w} × {h}" for h, w in SIZES]
    for group, listed in names(torch.device(device)).items():
        head = ["weights", *(f"{word}, {size}" for size in sizes for word in ("multiply-adds", "ms", "MiB"))]
        lines += [f"| {group} | {' | '.join(head)} |", "|---" * (len(head) + 1) + "|"]
        for name in listed:
            found = [in_process(group, name, size, device) for size in SIZES]
            millions = found[0]["weights"] / 1e6
            cells = [f"{millions:.2f} M" if millions else "–"]
            for at_size in found:
                giga = f"{at_size['macs'] / 1e9:.1f} G" if at_size["macs"] else "–"
                cells += [giga, f"{at_size['ms']:,.0f}", f"{at_size['mib']:,.0f}"]
            lines.append(f"| {name} | {' | '.join(cells)} |")
            print(lines[-1], file=sys.stderr, flush=True)
        lines.append("")
    return "\n".join(lines)


def in_process(group: str, name: str, size: tuple[int, int], device: str) -> dict[str, float]:
    """Measure in a fresh process, whose peak memory is this network's alone."""
    words = [sys.executable, __file__, "--one", json.dumps([group, name, size]), "--device", device]
    done = subprocess.run(words, capture_output=True, text=True, check=False, env=dict(os.environ))
    if done.returncode:
        raise SystemExit(f"{name} at {size}: {done.stderr.strip()}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def main() -> None:
    """Measure, and print the table or put it into a document between its marks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--write", type=Path, help="document whose table of this device is renewed")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        use_threads(THREADS)
        group, name, size = json.loads(given.one)
        print(json.dumps(measure(group, name, tuple(size), torch.device(given.device))))
        return
    content = table(given.device)
    if given.write is None:
        print(content)
        return
    begin, end = BEGIN.format(given.device), END.format(given.device)
    head, _, rest = given.write.read_text(encoding="utf-8").partition(begin)
    _, found, tail = rest.partition(end)
    if not found:
        raise SystemExit(f"{given.write} lacks the marks {begin} and {end}; add them where the table belongs")
    given.write.write_text(f"{head}{begin}\n{content}{end}{tail}", encoding="utf-8")


if __name__ == "__main__":
    main()
