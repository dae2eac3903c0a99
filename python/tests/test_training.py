# SPDX-License-Identifier: Apache-2.0
"""An interrupted collection or training goes on where it stopped, and is never taken for a whole one."""

import pathlib
import sys
from types import SimpleNamespace

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "training"))


# collecting

@pytest.fixture
def collecting(folder, monkeypatch):
    """The module with a simulator that succeeds for even seeds, and stops after `limit` jobs as Ctrl+C does."""
    pytest.importorskip("metaworld", reason="collecting needs Meta-World")
    import collect

    ran = []
    settings = SimpleNamespace(limit=None, ran=ran, collect=collect)

    def run_jobs(jobs, workers, horizon, image_size, done, predict=None, stop_after=0.0):
        for count, job in enumerate(jobs):
            if count == settings.limit:
                raise KeyboardInterrupt
            ran.append(job)
            moments = np.full((3, 2), job[2])
            kept = SimpleNamespace(images=moments, states=moments, actions=moments, places=moments)
            done(job, kept if job[2] % 2 == 0 else None)

    monkeypatch.setattr(collect, "run_jobs", run_jobs)
    return settings


def test_an_interrupted_collection_goes_on(collecting, tmp_path):
    out = tmp_path / "run/demonstrations"
    collecting.limit = 5
    with pytest.raises(KeyboardInterrupt):
        collecting.collect.collect(out, ["push", "reach"], 4, 2, 16, 112, first_seed=0)
    assert not out.exists() and len(list((tmp_path / "run/demonstrations.part").glob("*.npz"))) == 3
    first, collecting.limit = list(collecting.ran), None
    collecting.ran.clear()
    result = collecting.collect.collect(out, ["push", "reach"], 4, 2, 16, 112, first_seed=0)
    assert (result["already there"], result["tried"], result["kept"], result["moments"]) == (3, 5, {"reach": 1}, 3)
    kept = {job for job in first if job[2] % 2 == 0}
    assert not kept & set(collecting.ran)
    assert sorted(f.name for f in out.iterdir()) == [f"demo-{t}-{i}.npz" for t in ("push", "reach") for i in (0, 2)]
    assert not (tmp_path / "run/demonstrations.part").exists()


def test_only_seeds_that_ran_are_counted(collecting, monkeypatch, tmp_path):
    whole = collecting.collect.run_jobs  # as where the time is up after three jobs
    monkeypatch.setattr(collecting.collect, "run_jobs", lambda jobs, *a: whole(jobs[:3], *a))
    result = collecting.collect.collect(tmp_path / "d", ["reach"], 10, 1, 16, 112, first_seed=0, stop_after=1.0)
    assert (result["tried"], result["kept"]) == (3, {"reach": 2})


def test_a_finished_collection_is_not_mixed_with_another(collecting, tmp_path):
    collecting.collect.collect(tmp_path / "d", ["reach"], 2, 1, 16, 112)
    with pytest.raises(FileExistsError, match="holds a finished collection"):
        collecting.collect.collect(tmp_path / "d", ["reach"], 4, 1, 16, 112)


def test_half_written_episodes_are_no_episodes(collecting, monkeypatch, tmp_path):
    def cut(file, **arrays):
        file.write(b"PK")
        raise OSError("no space left")

    monkeypatch.setattr(collecting.collect.np, "savez", cut)
    with pytest.raises(OSError, match="no space"):
        collecting.collect.collect(tmp_path / "d", ["reach"], 2, 1, 16, 112, first_seed=0)
    assert not list(tmp_path.rglob("*.npz"))


# training

def devices():
    torch = pytest.importorskip("torch", reason="training needs PyTorch")
    pytest.importorskip("sentencepiece", reason="training needs sentencepiece")
    return ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]


@pytest.mark.parametrize("index", [0, 1], ids=["cpu", "cuda"])
def test_a_resumed_training_ends_as_one_that_was_not_interrupted(folder, monkeypatch, tmp_path, index):
    """The same batches, noise and times are drawn after the saved step, on the device that draws them."""
    known = devices()
    if index >= len(known):
        pytest.skip("no CUDA device here")
    import torch
    import train
    from dataset import Dataset
    from model import ModelConfig, Pi05

    device = known[index]
    monkeypatch.setattr(train, "write_log", lambda rows, out: None)
    c = ModelConfig(image_size=28, vision_width=16, vision_depth=1, vision_heads=2, vision_mlp=16, width=16, depth=1,
                    heads=2, head_dim=8, mlp=16, expert_width=16, expert_mlp=16, horizon=4)
    torch.manual_seed(0)
    model, n = Pi05(c), 8
    first = {k: v.clone() for k, v in model.state_dict().items()}
    data = Dataset(*(x.to(device) for x in (
        torch.randint(0, 255, (n, 2, 28, 28, 3), dtype=torch.uint8), torch.randint(0, 600, (n, 3, 12)),
        torch.full((n, 3), 9), torch.randn(n, 4, 8), torch.randn(n, 6), torch.randn(n, 4))), ["reach"] * n)

    def trainer(out):
        fresh = Pi05(c)
        fresh.load_state_dict(first)
        return train.Trainer(fresh.to(device), data, train.TrainConfig(steps=9, batch=4, flows=2, save_every=4), out, device)

    whole = trainer(tmp_path / "whole")
    whole.run()

    cut = trainer(tmp_path / "cut")
    drawn, draw = [], cut.batch

    def interrupted():
        drawn.append(draw())
        if len(drawn) == 7:
            raise KeyboardInterrupt
        return drawn[-1]

    cut.batch = interrupted
    with pytest.raises(KeyboardInterrupt):
        cut.run()
    torch.rand(5, device=device)  # whatever else was drawn meanwhile
    again = trainer(tmp_path / "cut")
    again.resume()
    assert again.step == 4
    batches = []
    draw_again = again.batch
    again.batch = lambda: batches.append(draw_again()) or batches[-1]
    again.run()
    assert all(torch.equal(a, b) for a, b in zip(batches[0], drawn[4]))
    close = dict(rtol=0, atol=0) if device == "cpu" else dict(rtol=1e-3, atol=1e-5)  # sums on a GPU come in any order
    for a, b in zip(again.model.parameters(), whole.model.parameters()):
        torch.testing.assert_close(a, b, **close)
