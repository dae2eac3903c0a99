# SPDX-License-Identifier: Apache-2.0
"""What both oracles share: seeded weights, seeded camera frames, recording hooks and the writing of golden files."""

import hashlib
import json
import math
import platform
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

IMAGE = 28  # side of the tiny models' square input; patches are 14 x 14, so a view is 4 tokens
PATCH = 14


def deterministic() -> None:
    torch.manual_seed(0)
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)
    torch.set_float32_matmul_precision("highest")


def rng(*key) -> np.random.Generator:
    """A generator that depends on the key's text alone, so adding a tensor or a case changes no other."""
    digest = hashlib.sha256("/".join(map(str, key)).encode()).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:8], "little")))


def randomize(model: torch.nn.Module, seed: int) -> None:
    """Fills every parameter, at scales that keep activations near 1 and make norms, biases, shifts and gates matter."""
    with torch.no_grad():
        for name, p in model.named_parameters():
            z = rng(seed, name).standard_normal(tuple(p.shape))
            if ".dense." in name:  # adaRMS: rows are scale, shift, gate
                third = p.shape[0] // 3
                if name.endswith("bias"):
                    z *= 0.3
                    z[2 * third :] += 0.5
                else:
                    z *= 1.0 / math.sqrt(p.shape[1])
            elif "position_embedding" in name:
                z *= 0.4
            elif name.endswith(("embed_tokens.weight", "lm_head.weight")):
                z *= 1.3 / math.sqrt(p.shape[1])
            elif "norm" in name.split(".")[-2]:
                is_layer_norm = "vision_tower" in name
                z = z * 0.2 + (1.0 if is_layer_norm and name.endswith("weight") else 0.0)
            elif name.endswith("bias"):
                z *= 0.2
            elif name.endswith(("q_proj.weight", "k_proj.weight")):
                z *= 1.6 / math.sqrt(p.shape[1])  # sharper than uniform attention
            else:
                z *= 1.0 / math.sqrt(math.prod(p.shape[1:]))
            p.copy_(torch.from_numpy(z).to(p.dtype))


def frame(height: int, width: int, *key) -> np.ndarray:
    """A camera frame: smooth gradients, a few sharp rectangles and a little noise, uint8 [height, width, 3]."""
    g = rng("frame", height, width, *key)
    y, x = np.mgrid[0:height, 0:width]
    phase = g.uniform(0, 6.28, size=3)
    freq = g.uniform(1.0, 3.0, size=(3, 2))
    img = np.stack(
        [
            128 + 90 * np.sin(freq[c, 0] * x / width * 3.14 + freq[c, 1] * y / height * 3.14 + phase[c])
            for c in range(3)
        ],
        -1,
    )
    for _ in range(4):
        y0, x0 = int(g.integers(0, height - 3)), int(g.integers(0, width - 3))
        h, w = int(g.integers(2, max(3, height // 3))), int(g.integers(2, max(3, width // 3)))
        img[y0 : y0 + h, x0 : x0 + w] = g.integers(0, 256, size=3)
    img += g.normal(0, 4, size=img.shape)
    return np.clip(np.round(img), 0, 255).astype(np.uint8)


def noise(chunk: int, width: int, *key) -> np.ndarray:
    return rng("noise", *key).standard_normal((chunk, width)).astype(np.float32)


def compact_cache(cache, valid: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """K (after RoPE) and V of every layer for the valid prefix tokens only: [layers, valid tokens, head_dim] each."""
    layers = [(entry[0], entry[1]) for entry in cache]
    k, v = (torch.stack([layer[i] for layer in layers]) for i in (0, 1))  # [L, 1, kv heads, P, head_dim]
    assert k.shape[1] == 1 and k.shape[2] == 1
    return k[:, 0, 0, valid].clone(), v[:, 0, 0, valid].clone()


class Recorder:
    """Wraps methods of an unmodified upstream model and keeps what passes through them during one sampling run."""

    def __init__(self, model):
        self.model, self.saved = model, []
        self.images, self.masks, self.features, self.times, self.conds, self.x, self.v = [], [], [], [], [], [], []
        self.prefix_embeds = self.valid = self.k = self.v_cache = self.tokens = self.token_mask = None

    def __enter__(self):
        m, core = self.model, self.model.paligemma_with_expert

        def embed_prefix(images, img_masks, tokens, masks, call=m.embed_prefix):
            self.images = [i.clone() for i in images]
            self.masks = [bool(x) for x in img_masks]
            self.tokens, self.token_mask = tokens[0].clone(), masks[0].clone()
            embs, pad, att = call(images, img_masks, tokens, masks)
            self.valid, self.prefix_embeds = pad[0].clone(), embs[0].clone()
            return embs, pad, att

        def embed_image(image, call=core.embed_image):
            out = call(image)
            self.features.append(out[0].clone())
            return out

        def embed_suffix(*args, call=m.embed_suffix):
            out = call(*args)
            self.times.append(float(args[-1][0]))
            self.conds.append(out[3][0].clone())
            return out

        def denoise_step(*args, call=m.denoise_step, **kwargs):
            cache = kwargs.get("past_key_values", args[2] if len(args) > 2 else None)
            if self.k is None:
                self.k, self.v_cache = compact_cache(cache, self.valid)
            x = kwargs.get("x_t", args[3] if len(args) > 3 else None)
            self.x.append(x[0].clone())
            out = call(*args, **kwargs)
            self.v.append(out[0].clone())
            return out

        for owner, fn in ((m, embed_prefix), (core, embed_image), (m, embed_suffix), (m, denoise_step)):
            self.saved.append((owner, fn.__name__))
            setattr(owner, fn.__name__, fn)
        return self

    def __exit__(self, *_):
        for owner, name in self.saved:
            delattr(owner, name)  # the class's own method shows again

    def tensors(self) -> dict[str, torch.Tensor]:
        return {
            "model_images": torch.stack([i[0] for i in self.images]).float(),  # [views, 3, 28, 28]
            "image_mask": torch.tensor(self.masks, dtype=torch.uint8),  # [views]
            "tokens": self.tokens.to(torch.int64),  # [tokenizer length]
            "token_mask": self.token_mask.to(torch.uint8),  # [tokenizer length]
            "image_features": torch.stack(self.features),  # [views, 4, width], masked views included
            "prefix_embeds": self.prefix_embeds[self.valid],  # [valid tokens, width]
            "prefix_k": self.k,  # [layers, valid tokens, head_dim]
            "prefix_v": self.v_cache,
            "time": torch.tensor(self.times, dtype=torch.float32),  # [steps]
            "adarms_cond": torch.stack(self.conds),  # [steps, expert width]
            "x": torch.stack(self.x),  # [steps, chunk, action width]: input of each step; x[0] is the noise
            "v": torch.stack(self.v),  # [steps, chunk, action width]
        }


def sanity(tensors: dict[str, torch.Tensor]) -> None:
    """Refuses goldens that could not catch a mistake: non-finite, exploding or nearly constant intermediates."""
    for key, t in tensors.items():
        if t.dtype != torch.float32:
            continue
        assert torch.isfinite(t).all(), key
        assert t.abs().max() < 300, (key, float(t.abs().max()))
        if t.numel() > 8 and not key.endswith("model_images"):
            assert t.std() > 1e-2, (key, float(t.std()))


def write_golden(out: Path, tensors: dict[str, torch.Tensor], meta: dict) -> None:
    sanity(tensors)
    tensors = {k: v.detach().contiguous() for k, v in tensors.items()}
    save_file(tensors, out / "golden.safetensors")
    (out / "golden.json").write_text(json.dumps(meta, indent=1, ensure_ascii=True) + "\n")
    back = load_file(out / "golden.safetensors")
    assert back.keys() == tensors.keys() and all(torch.equal(back[k], tensors[k]) for k in tensors)


def versions(*packages: str) -> dict[str, str]:
    return {"python": platform.python_version(), **{p: metadata.version(p) for p in packages}}
