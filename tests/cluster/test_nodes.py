"""Tests of cluster/ray.py on two nodes, of which one dies in the middle of a job."""

from __future__ import annotations

import logging
import os
import secrets
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cluster import words
from tests.cluster.words import SlowFlow, SlowLetters, by_word
from warprefine import autolabel, open_dataset
from warprefine.cluster.crew import IN_HAND
from warprefine.cluster.ray import RayEngine

ray = pytest.importorskip("ray", reason="not installed: extra [cluster]")
if sys.platform != "linux":
    pytest.skip("Ray runs several nodes on one machine on Linux alone", allow_module_level=True)
STORE = 100 * 2**20
MOST_WORDS = 400
"""If the second node does nothing until then, it has not begun."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Any]:
    """A Ray cluster whose head has one CPU; this process is connected to it."""
    from ray.cluster_utils import Cluster

    before = dict(os.environ)
    os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    nodes = Cluster(
        initialize_head=True,
        head_node_args={"num_cpus": 1, "include_dashboard": False, "object_store_memory": STORE},
    )
    ray.init(address=nodes.address, log_to_driver=False, logging_level=logging.ERROR)
    ray.cloudpickle.register_pickle_by_value(words)
    yield nodes
    ray.cloudpickle.unregister_pickle_by_value(words)
    ray.shutdown()
    nodes.shutdown()
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def second(cluster: Any) -> Any:
    """A second node with one CPU."""
    node = cluster.add_node(num_cpus=1, object_store_memory=STORE)
    cluster.wait_for_nodes()
    return node


def test_a_node_that_dies_costs_what_its_worker_had_in_hand(
    cluster: Any, second: Any, tmp_path: Path
) -> None:
    """All words arrive whole; those that were done are not begun again, and the other node does the rest."""
    items: list[str] = []
    done_before: set[str] = set()
    arrived: list[tuple[str, str | None]] = []

    def given() -> Iterator[str]:
        """Yield words until the node is gone, and six more."""
        while not done_before and len(items) < MOST_WORDS:
            items.append(f"word{len(items)}")
            yield items[-1]
        for _ in range(6):
            items.append(f"word{len(items)}")
            yield items[-1]

    for word, letter in RayEngine(workers=2).stream(SlowLetters(tmp_path), given()):
        arrived.append((word, letter))
        nodes = {path.name.split("-")[1] for path in tmp_path.iterdir()}
        done = {finished for finished, end in arrived if end is None}
        if not done_before and len(nodes) == 2 and len(done) >= 2:
            done_before = done
            cluster.remove_node(second, allow_graceful=False)

    begun = Counter(path.name.split("-")[0] for path in tmp_path.iterdir())
    again = {word for word, times in begun.items() if times > 1}
    found = by_word(arrived)
    assert done_before
    ends = {word: letters[-len(word) - 1 :] for word, letters in found.items()}
    assert ends == {word: [*word, None] for word in items}
    assert len(again) <= IN_HAND
    assert not again & done_before
    assert all(found[word] == [*word, None] for word in set(items) - again)


def test_labels_are_the_same_though_a_node_dies(
    cluster: Any, second: Any, tiny_data: Path, tmp_path: Path
) -> None:
    """A run that loses a node in the middle has the labels of one without a cluster."""
    settings: dict[str, Any] = {"horizon": 3, "methods": ("motion-only",)}
    seen = tmp_path / "nodes"
    seen.mkdir()
    run, removed_after = tmp_path / "ray", list[int]()

    def remove(task: str, done: int, total: int, note: str = "") -> None:
        if task == "propagating" and not removed_after and len([*seen.iterdir()]) == 2 and 2 <= done < total:
            removed_after.append(done)
            cluster.remove_node(second, allow_graceful=False)

    autolabel(
        open_dataset(tiny_data),
        run,
        motion=SlowFlow(seen, seconds=1.0),
        engine=RayEngine(workers=2),
        progress=remove,
        **settings,
    )
    autolabel(open_dataset(tiny_data), tmp_path / "here", motion=SlowFlow(seen, seconds=0), **settings)

    assert removed_after
    labels = [
        {
            path.relative_to(tmp_path / name): path.read_bytes()
            for folder in ("labels", "confidence")
            for path in (tmp_path / name / folder).rglob("*.png")
        }
        for name in ("here", "ray")
    ]
    assert labels[0] == labels[1]
    assert len(labels[0]) >= 24
