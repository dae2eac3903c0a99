# SPDX-License-Identifier: Apache-2.0
"""The training code's forward, prompt and normalisation against values that lerobot's own pi0.5 produced."""

import pathlib
import sys

import numpy as np
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "flashrt/models/pi05/golden/lerobot_tiny"

pytest.importorskip("torch", reason="the training code needs PyTorch")
pytest.importorskip("sentencepiece", reason="the training code needs sentencepiece")
safetensors = pytest.importorskip("safetensors.numpy", reason="the training code needs safetensors")


@pytest.fixture(scope="module")
def training():
    """The training folder's policy and prompt modules."""
    sys.path.insert(0, str(ROOT / "training"))
    import policy
    import prompt
    import torch

    torch.set_num_threads(1)  # tiny networks: threads would only wait for each other
    yield policy, prompt
    sys.path.remove(str(ROOT / "training"))


@pytest.fixture(scope="module")
def golden():
    return safetensors.load_file(GOLDEN / "golden.safetensors")


@pytest.mark.parametrize("case, steps, text", [
    ("native", 3, "pick up the red_block\nand place it on the plate"),
    ("ten_steps", 10, None),
])
def test_chunks_equal_lerobot(training, golden, case, steps, text):
    import torch

    model = training[0].TorchPolicy.load(GOLDEN)
    g = {k.removeprefix(case + "/"): v for k, v in golden.items() if k.startswith(case + "/")}
    with torch.inference_mode():
        x = model.model.sample(torch.from_numpy(g["model_images"])[None], torch.from_numpy(g["tokens"])[None].long(),
                               torch.from_numpy(g["token_mask"])[None].bool(), torch.from_numpy(g["noise"])[None], steps)
    wanted = g["actions_normalized"]
    assert np.linalg.norm(x[0].numpy() - wanted) / np.linalg.norm(wanted) < 1e-5
    if text is not None:  # from raw pictures, state and text as well
        model.steps = steps
        images = np.stack([g["images/base"], g["images/wrist"]])[None]
        actions = model.batch(images, g["state"][None], [text], g["noise"][None])[0]
        assert np.linalg.norm(actions - g["actions"]) / np.linalg.norm(g["actions"]) < 1e-5


def test_state_bins(training):
    bins = training[1].state_bins(np.array([-1.5, -1.0, 0.0, 0.1, 0.2, 0.9921875, 3.0], dtype=np.float32))
    assert bins.tolist() == [-1, 0, 128, 140, 153, 255, 255]


def test_shipped_tokenizer_has_palligemmas_special_ids(training):
    tokenizer = training[1].Tokenizer(ROOT / "checkpoints/metaworld/tokenizer.model", 48)
    ids = tokenizer.encode("open the door", np.array([-1.0, 0.0, 1.0, -2.0]))
    pieces = [tokenizer.model.id_to_piece(i) for i in ids]
    assert ids[0] == 2 and ids[-4] == 108
    assert "".join(pieces[1:]).replace("▁", " ") == "Task: open the door, State: 0 128 255 -1;\nAction: "
    with pytest.raises(ValueError, match="shorten"):
        tokenizer.pad("open the door " * 30, np.zeros(4))


def test_new_tokenizer(training, tmp_path):
    prompt = training[1]
    prompt.train_tokenizer(["open the door", "close the drawer"], tmp_path / "t.model", 440)
    model = prompt.Tokenizer(tmp_path / "t.model", 64).model
    assert [model.id_to_piece(i) for i in (0, 1, 2, 3, 4, 107, 108)] == [
        "<pad>", "<eos>", "<bos>", "<unk>", "<unused0>", "<unused103>", "\n"]
    assert model.decode(model.encode("Task: öffne, State: 12;\nAction: ")) == "Task: öffne, State: 12;\nAction: "


def test_short_training_and_export(training, tmp_path):
    """Some steps on random data: the loss falls, a resumed run goes on, the written policy loads and acts the same."""
    import torch
    import train
    from dataset import Dataset, statistics
    from export import export
    from model import ModelConfig, Pi05

    c = ModelConfig(image_size=28, vision_width=16, vision_depth=2, vision_heads=2, vision_mlp=16, width=16, depth=2,
                    heads=2, head_dim=8, mlp=16, expert_width=16, expert_mlp=16, horizon=4)
    torch.manual_seed(0)
    model, n = Pi05(c), 8
    data = Dataset(torch.randint(0, 255, (n, 2, 28, 28, 3), dtype=torch.uint8), torch.randint(0, 600, (n, 3, 12)),
                   torch.full((n, 3), 9), torch.randn(n, 4, 8), torch.randn(n, 6), torch.randn(n, 4), ["reach"] * n)
    config = train.TrainConfig(steps=20, batch=4, flows=2, warmup=5, rate=3e-3, save_every=10)
    trainer = train.Trainer(model, data, config, tmp_path / "run", "cpu")
    weights = trainer.run()
    assert trainer.rows[-1]["flow"] < trainer.rows[0]["flow"]
    assert (tmp_path / "run/log.csv").is_file() and (tmp_path / "run/curves.png").is_file()

    again = train.Trainer(Pi05(c), data, config, tmp_path / "run", "cpu")
    again.resume()
    assert again.step == 20
    assert all(torch.equal(a, b) for a, b in zip(again.model.parameters(), model.parameters()))

    stats = {k: statistics(np.random.default_rng(0).normal(size=(50, 4))) for k in ("observation.state", "action")}
    export(tmp_path / "policy", weights, c, stats, ROOT / "checkpoints/metaworld/tokenizer.model", ("front", "wrist"), 4, 4,
           2, 3, 48)
    loaded = training[0].TorchPolicy.load(tmp_path / "policy")
    assert loaded.model.c == c and loaded.cameras == ["front", "wrist"]
    images, noise = np.zeros((1, 2, 28, 28, 3), dtype=np.uint8), np.ones((1, 4, 8), dtype=np.float32)
    actions = loaded.batch(images, np.zeros((1, 4), dtype=np.float32), ["reach the red goal"], noise)
    assert actions.shape == (1, 4, 4) and np.isfinite(actions).all()
