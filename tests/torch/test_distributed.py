"""Several processes with gloo: DistributedDataParallel, FSDP2, DTensor."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

WORKERS = Path(__file__).parent / "workers.py"


def run(name, world, folder):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    files = [folder / f"{rank}.pt" for rank in range(world)]
    processes = [
        subprocess.Popen(
            [sys.executable, str(WORKERS), name, str(rank), str(world), str(port), str(file)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank, file in enumerate(files)
    ]
    try:
        logs = [process.communicate(timeout=300)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
    for process, log in zip(processes, logs, strict=True):
        assert process.returncode == 0, log[-5000:]
    results = [torch.load(file) for file in files]
    assert results[0]
    for result in results:
        assert [line for line, right in result.items() if not right] == []
    return results[0]


def test_dtensor_has_the_bits_of_one_process(tmp_path):
    assert len(run("dtensor", 2, tmp_path)) == (4 + 3 + 3) * 3


@pytest.mark.slow
def test_dtensor_on_a_mesh_of_two_by_two(tmp_path):
    assert len(run("dtensor", 4, tmp_path)) == (16 + 9 + 9) * 3


def test_dtensor_seeds_checkpoints_and_compile(tmp_path):
    assert len(run("dtensor_more", 2, tmp_path)) == 13


def test_data_parallel_training_equals_averaging_by_hand(tmp_path):
    assert len(run("data_parallel", 2, tmp_path)) == 8
