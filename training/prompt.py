# SPDX-License-Identifier: Apache-2.0
"""The pi0.5 prompt with the state as text, and the small SentencePiece model that turns it into tokens."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import sentencepiece

NEWLINE_ID = 108  # as in PaliGemma's vocabulary; ids 4..107 are <unusedN>


def state_bins(state: np.ndarray) -> np.ndarray:
    """Bins of a normalised state: 256 over [-1, 1]; below -1 gives -1, above gives 255."""
    edges = np.linspace(-1.0, 1.0, 257)[:-1]
    return np.digitize(state, edges) - 1


def prompt_text(task: str, normalised_state: np.ndarray) -> str:
    cleaned = task.strip().replace("_", " ").replace("\n", " ")
    bins = " ".join(str(b) for b in state_bins(normalised_state))
    return f"Task: {cleaned}, State: {bins};\nAction: "


def corpus(instructions: list[str], seed: int = 0) -> Iterator[str]:
    """Prompts with random states, from which the vocabulary is learnt."""
    rng = np.random.default_rng(seed)
    for _ in range(400):
        for text in instructions:
            yield prompt_text(text, rng.uniform(-1.05, 1.05, size=rng.integers(4, 9)))


def train_tokenizer(instructions: list[str], path: Path, vocab: int) -> None:
    """Writes a SentencePiece BPE model with PaliGemma's settings and special ids."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=corpus(instructions), model_writer=model, model_type="bpe", vocab_size=vocab,
        pad_id=0, eos_id=1, bos_id=2, unk_id=3, pad_piece="<pad>", eos_piece="<eos>", bos_piece="<bos>",
        user_defined_symbols=[f"<unused{i}>" for i in range(NEWLINE_ID - 4)] + ["\n"],
        byte_fallback=True, split_digits=True, normalization_rule_name="identity", add_dummy_prefix=False,
        remove_extra_whitespaces=False, character_coverage=1.0, hard_vocab_limit=False, num_threads=1,
        minloglevel=2)
    path.write_bytes(model.getvalue())


class Tokenizer:
    def __init__(self, path: Path, length: int):
        self.model = sentencepiece.SentencePieceProcessor(model_file=str(path))
        self.length = length

    def encode(self, task: str, normalised_state: np.ndarray) -> list[int]:
        return [self.model.bos_id()] + self.model.encode(prompt_text(task, normalised_state))

    def pad(self, task: str, normalised_state: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Tokens [L] and validity [L]; refuses what does not fit instead of cutting the prompt's end off."""
        ids = self.encode(task, normalised_state)
        if len(ids) > self.length:
            raise ValueError(f"the prompt has {len(ids)} tokens but the policy takes {self.length}: shorten {task!r}")
        tokens = np.zeros(self.length, dtype=np.int64)
        tokens[:len(ids)] = ids
        return tokens, np.arange(self.length) < len(ids)
