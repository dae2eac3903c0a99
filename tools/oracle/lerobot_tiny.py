# SPDX-License-Identifier: Apache-2.0
"""lerobot's own PI05Policy at a tiny size: the upstream classes, with only the sizes they hard-code replaced."""

from pathlib import Path

import numpy as np
import torch
import transformers
from lerobot.configs import FeatureType, NormalizationMode, PolicyFeature
from lerobot.policies.pi05 import modeling_pi05
from lerobot.policies.pi05.configuration_pi05 import PI05Config
from lerobot.processor import tokenizer_processor

from common import IMAGE, PATCH

UPSTREAM_INIT = modeling_pi05.PaliGemmaWithExpertModel.__init__
CHECKPOINT_TOKENIZER = "google/paligemma-3b-pt-224"


class Sizes:
    """Every size of one tiny model; `vlm` and `expert` are lerobot's GemmaConfig."""

    def __init__(self, vocab, vlm, expert, vision_width, vision_mlp, vision_layers, vision_heads):
        self.vocab, self.vlm, self.expert = vocab, vlm, expert
        self.vision_width, self.vision_mlp = vision_width, vision_mlp
        self.vision_layers, self.vision_heads = vision_layers, vision_heads


def gemma(width, depth, mlp, heads, head_dim):
    return modeling_pi05.GemmaConfig(
        width=width, depth=depth, mlp_dim=mlp, num_heads=heads, num_kv_heads=1, head_dim=head_dim
    )


def lerobot_sizes(vocab: int) -> Sizes:
    return Sizes(vocab, gemma(64, 2, 96, 8, 16), gemma(32, 2, 48, 8, 16), 48, 80, 2, 4)


def install(sizes: Sizes) -> None:
    """Makes the next PI05Pytorch tiny: both towers are constructed from a config with our sizes over theirs."""
    modeling_pi05.get_gemma_config = lambda variant: sizes.vlm if variant == "gemma_2b" else sizes.expert

    class TinyPaliGemma(modeling_pi05.PaliGemmaForConditionalGenerationWithPiGemma):
        def __init__(self, config):
            config._vocab_size = config.image_token_index = sizes.vocab  # noqa: SLF001
            config.text_config.vocab_size = sizes.vocab
            vision = config.vision_config
            vision.hidden_size, vision.intermediate_size = sizes.vision_width, sizes.vision_mlp
            vision.num_hidden_layers, vision.num_attention_heads = sizes.vision_layers, sizes.vision_heads
            vision.image_size, vision.patch_size = IMAGE, PATCH
            vision.projection_dim = sizes.vlm.width
            super().__init__(config)

    class TinyExpert(modeling_pi05.PiGemmaForCausalLM):
        def __init__(self, config):
            config.vocab_size = sizes.vocab
            super().__init__(config)

    def init(self, *args, **kwargs):
        kept = (modeling_pi05.PaliGemmaForConditionalGenerationWithPiGemma, modeling_pi05.PiGemmaForCausalLM)
        modeling_pi05.PaliGemmaForConditionalGenerationWithPiGemma = TinyPaliGemma
        modeling_pi05.PiGemmaForCausalLM = TinyExpert
        try:
            UPSTREAM_INIT(self, *args, **kwargs)
        finally:
            modeling_pi05.PaliGemmaForConditionalGenerationWithPiGemma, modeling_pi05.PiGemmaForCausalLM = kept

    modeling_pi05.PaliGemmaWithExpertModel.__init__ = init


def use_tokenizer(directory: Path) -> None:
    """lerobot names a hub tokenizer; hand it the Hugging Face tokenizer of our own `tokenizer.model` instead."""
    (directory / "tokenizer_config.json").write_text('{"tokenizer_class": "GemmaTokenizer", "add_bos_token": true}')
    tokenizer = transformers.AutoTokenizer.from_pretrained(directory)
    (directory / "tokenizer_config.json").unlink()

    class Local:
        @staticmethod
        def from_pretrained(name):
            assert name == CHECKPOINT_TOKENIZER, name
            return tokenizer

    tokenizer_processor.AutoTokenizer = Local


def lerobot_config(cameras: list[str], state_dim: int, action_dim: int, **overrides) -> PI05Config:
    visual = {f"observation.images.{c}": PolicyFeature(FeatureType.VISUAL, (3, IMAGE, IMAGE)) for c in cameras}
    return PI05Config(
        **{
            "dtype": "float32",
            "device": "cpu",
            "push_to_hub": False,
            "chunk_size": 5,
            "n_action_steps": 4,
            "max_action_dim": 8,
            "max_state_dim": 8,
            "num_inference_steps": 3,
            "image_resolution": (IMAGE, IMAGE),
            "tokenizer_max_length": 72,
            "input_features": {**visual, "observation.state": PolicyFeature(FeatureType.STATE, (state_dim,))},
            "output_features": {"action": PolicyFeature(FeatureType.ACTION, (action_dim,))},
            "normalization_mapping": {
                "VISUAL": NormalizationMode.IDENTITY,
                "STATE": NormalizationMode.QUANTILES,
                "ACTION": NormalizationMode.QUANTILES,
            },
            **overrides,
        }
    )


def statistics(g: np.random.Generator, dim: int, constant: tuple[int, ...] = ()) -> dict[str, torch.Tensor]:
    """Dataset statistics as lerobot keeps them; dims in `constant` have q01 == q99 (a joint that never moved)."""
    center, spread = g.normal(0, 0.7, dim), g.uniform(0.2, 2.0, dim)
    for d in constant:
        spread[d] = 0.0
    values = {
        "min": center - 1.1 * spread,
        "max": center + 1.2 * spread,
        "mean": center + 0.05 * spread,
        "std": 0.45 * spread,
        "q01": center - spread,
        "q10": center - 0.7 * spread,
        "q50": center + 0.02 * spread,
        "q90": center + 0.65 * spread,
        "q99": center + 0.9 * spread,
    }
    return {**{k: torch.tensor(v, dtype=torch.float32) for k, v in values.items()}, "count": torch.tensor([1234.0])}
