# SPDX-License-Identifier: Apache-2.0
"""Intervals, tables and pictures of the evaluation."""

import json

import numpy as np
import pytest
from PIL import Image

from flash_rt.eval import report
from flash_rt.eval.runner import Episode


def episode(task="reach", seed=0, success=True, steps=8, frames=5):
    pictures = [np.full((32, 48, 3), 40 * i, dtype=np.uint8) for i in range(frames)]
    return Episode(task, seed, success, steps, [1.0, 2.0, 3.0], pictures)


@pytest.mark.parametrize("wins, count, low, high", [  # Wilson score interval
    (0, 50, 0.0, 0.0713476), (50, 50, 0.9286524, 1.0), (40, 50, 0.6696293, 0.8875614), (1, 3, 0.0614919, 0.7923404),
])
def test_wilson(wins, count, low, high):
    assert report.wilson(wins, count) == pytest.approx((low, high), abs=2e-6)


def test_wilson_of_nothing_says_nothing():
    assert report.wilson(0, 0) == (0.0, 1.0)


def test_summary_counts_each_task_and_all():
    s = report.summary([episode(), episode(seed=1, success=False, steps=500), episode("push")])
    assert (s["tasks"]["reach"]["successes"], s["tasks"]["reach"]["episodes"], s["tasks"]["reach"]["rate"]) == (1, 2, 0.5)
    assert s["tasks"]["reach"]["mean_steps"] == 8  # of the successful episodes
    assert s["all"]["latency"] == {"p50_ms": 2.0, "p99_ms": 3.0, "count": 9}
    text = report.table("title", s)
    assert "1/2" in text and "all" in text and len(text.splitlines()) == 5
    json.dumps(s)


def test_no_success_has_no_mean_steps():
    s = report.summary([episode(success=False)])
    assert s["all"]["mean_steps"] is None and "-" in report.table("", s)


def test_pictures(tmp_path):
    report.write_gif(tmp_path / "a.gif", episode(), fps=20)
    with Image.open(tmp_path / "a.gif") as gif:
        assert gif.n_frames == 5 and gif.size == (48, 32)
    report.write_sheet(tmp_path / "s.png", [episode(), episode("push", success=False, frames=2)], columns=4)
    with Image.open(tmp_path / "s.png") as sheet:
        assert sheet.size == (4 * 48, 2 * 32)
