# SPDX-License-Identifier: Apache-2.0
"""Trains the small SentencePiece model that the tiny pi0.5 checkpoints use.

It has the shape of PaliGemma's: BPE with byte fallback, digits split singly, identity normalisation, no dummy
prefix, white space kept, pad/eos/bos/unk at 0..3 and a newline at 108 - only with 640 pieces in place of 257,152.

usage: make_tokenizer.py OUT.model
"""

import io
import sys
from pathlib import Path

import sentencepiece as spm
from sentencepiece import sentencepiece_model_pb2 as pb

VOCAB_SIZE = 640
FIRST_UNUSED, NEWLINE = 4, 108
NEWLINE_RUNS = 3  # ids 108, 109, 110 are one, two and three newlines, as in PaliGemma

OBJECTS = """red block|blue block|green cup|black bowl|white plate|wooden spoon|tin can|cardboard box|tea towel|yellow
banana|small screwdriver|metal bolt|coffee mug|water bottle|paper bag|remote control|kitchen knife|cutting board|soup
pot|frying pan|sponge|apple|orange|lemon|carrot|book|pen|marker|cable|toy car""".replace("\n", " ").split("|")
PLACES = """on the plate|in the basket|into the drawer|on the shelf|in the sink|next to the stove|on top of the cabinet|
under the table|between the two bowls|behind the kettle|in the bin|on the left tray|on the right tray|in the middle of
the table|inside the microwave""".replace("\n", " ").split("|")
VERBS = "pick up|put|place|move|push|lift|stack|slide|bring|drop|set down|turn over".split("|")
EXTRA = """open the top drawer of the cabinet|close the door of the microwave|turn on the stove|turn off the light|
fold the towel in half and put it away|wipe the table with the sponge|pour water from the bottle into the cup|
press the button three times|hand the screwdriver to the person|plug in the cable|unscrew the lid of the jar|
clear the table and load the dishwasher|sort the fruit by colour|hang the mug on the hook|push the chair in|
make the bed and tidy the room|pick up the object on the far left|rotate the knob by ninety degrees|
stop moving and wait|go back to the home position|zip the bag, then lift it; hold it still|
don't touch the glass|what is in the box?|quickly! the pan (with oil) is hot""".replace("\n", " ").split("|")


def corpus() -> list[str]:
    lines = [line.strip() for line in EXTRA]
    for i, obj in enumerate(OBJECTS):
        for j in range(3):
            verb, place = VERBS[(i + 5 * j) % len(VERBS)], PLACES[(2 * i + 7 * j) % len(PLACES)]
            lines.append(f"{verb} the {obj.strip()} and place it {place.strip()}")
            lines.append(f"{verb.capitalize()} the {obj.strip()} {place.strip()}.")
    with_state = []
    for i, line in enumerate(lines):
        bins = " ".join(str((37 * i + 101 * k) % 257 - 1) for k in range(6))
        with_state += [f"Task: {line}, State: {bins};", "Action: "]
    alphabet = ["The quick brown fox jumps over the lazy dog 0 1 2 3 4 5 6 7 8 9 -1", "ABCDEFGHIJKLMNOPQRSTUVWXYZ"]
    return lines + with_state + alphabet


def train() -> bytes:
    symbols = [f"<unused{i}>" for i in range(NEWLINE - FIRST_UNUSED)]
    symbols += [f"<newline{i}>" for i in range(NEWLINE_RUNS)]  # renamed below: the trainer reads text line by line
    model = io.BytesIO()
    spm.SentencePieceTrainer.train(
        sentence_iterator=iter(corpus()),
        model_writer=model,
        model_type="bpe",
        vocab_size=VOCAB_SIZE,
        pad_id=0,
        eos_id=1,
        bos_id=2,
        unk_id=3,
        pad_piece="<pad>",
        eos_piece="<eos>",
        bos_piece="<bos>",
        unk_piece="<unk>",
        user_defined_symbols=symbols,
        byte_fallback=True,
        split_digits=True,
        allow_whitespace_only_pieces=True,
        normalization_rule_name="identity",
        add_dummy_prefix=False,
        remove_extra_whitespaces=False,
        character_coverage=1.0,
        num_threads=1,
        minloglevel=2,
    )
    proto = pb.ModelProto()
    proto.ParseFromString(model.getvalue())
    for i in range(NEWLINE_RUNS):
        proto.pieces[NEWLINE + i].piece = "\n" * (i + 1)
    del proto.trainer_spec.user_defined_symbols[:]
    return proto.SerializeToString()


def check(data: bytes) -> None:
    sp = spm.SentencePieceProcessor(model_proto=data)
    assert sp.get_piece_size() == VOCAB_SIZE
    assert [sp.pad_id(), sp.eos_id(), sp.bos_id(), sp.unk_id()] == [0, 1, 2, 3]
    assert sp.piece_to_id("\n") == NEWLINE and sp.encode("\n") == [NEWLINE] and sp.encode("\n\n") == [NEWLINE + 1]
    assert sp.encode(" 128", out_type=str) == ["\u2581", "1", "2", "8"], sp.encode(" 128", out_type=str)
    assert sp.encode("  a", out_type=str)[0].startswith("\u2581")
    assert sp.decode(sp.encode("\U0001f916 caf\u00e9")) == "\U0001f916 caf\u00e9"


if __name__ == "__main__":
    out = Path(sys.argv[1])
    out.parent.mkdir(parents=True, exist_ok=True)
    data = train()
    check(data)
    out.write_bytes(data)
