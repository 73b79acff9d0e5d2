"""Writes texts with the ids that SentencePiece gives them, as JSON.

    pip install sentencepiece==0.1.99
    python make_sp_cases.py MODEL --count N [--seed N] > cases.json

The texts are glued from pieces of the vocabulary, names of control pieces, NULs,
odd Unicode and white space. `cargo test --test sentencepiece` reads the result;
../../exactness compares many more, real ones among them.
"""

import argparse
import json
import random
import sys

import sentencepiece

ODD = ["\0", "\t", "\n", "\r\n", " ", "  ", "\u2581", "\u00a0", "\u3000", "\u200b", "\u200d", "\ufeff",
       "\ufffd", "\u0301", "e\u0301", "\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467",
       "\U00020000", "\U0010ffff", "\u0e01\u0e33", "\u0627\u0644", "\ud55c\uae00", "\u1112\u1161\u11ab",
       "<s>", "</s>", "<unk>", "<0x0A>", "<0x00>", "[INST]", "<|im_end|>", "<eoh>", "<", "\u2047", "#", "~"]
RANGES = [(0x20, 0x7e)] * 3 + [(0, 0x1f), (0x80, 0x24f), (0x370, 0x5ff), (0x900, 0xdff), (0x2000, 0x2bff),
          (0x3040, 0x30ff), (0x4e00, 0x9fff), (0xac00, 0xd7a3), (0xe000, 0xffff), (0x10000, 0x10ffff)]


def text(rng, pieces, special):
    def one():
        kind = rng.random()
        if kind < 0.5:
            return rng.choice(pieces).replace("\u2581", " ")
        if kind < 0.6:
            return rng.choice(pieces)
        if kind < 0.7 and special:
            return rng.choice(special)
        if kind < 0.82:
            return rng.choice(ODD)
        if kind < 0.86:
            return " " * rng.randrange(1, 40)
        if kind < 0.9:
            return rng.choice(pieces)[:1] * rng.randrange(1, 80)
        low, high = rng.choice(RANGES)
        return "".join(chr(rng.randrange(low, high + 1)) for _ in range(rng.randrange(1, 8)))

    shape = rng.random()
    if shape < 0.85:
        return "".join(one() for _ in range(rng.randrange(0, 14)))
    if shape < 0.95:  # one long word: the merging's two ways, the cache's limit
        return "".join(rng.choice(pieces).strip("\u2581") for _ in range(rng.randrange(8, 40)))
    return one() * rng.randrange(1, 60)


def main():
    arguments = argparse.ArgumentParser()
    arguments.add_argument("model")
    arguments.add_argument("--count", type=int, required=True)
    arguments.add_argument("--seed", type=int, default=0)
    arguments = arguments.parse_args()
    model = sentencepiece.SentencePieceProcessor(model_file=arguments.model)
    rng = random.Random(arguments.seed)
    ids = range(model.get_piece_size())
    pieces = [model.id_to_piece(i) for i in ids if not (model.is_control(i) or model.is_byte(i))]
    pieces = [piece for piece in pieces if "\ufffd" not in piece]
    special = [model.id_to_piece(i) for i in ids if model.is_control(i) or model.is_unknown(i)]
    # User-defined pieces are not marked, but stand in front of the learned ones.
    special += pieces[:300]
    texts = [text(rng, pieces, special) for _ in range(arguments.count)]
    cases = [[one, model.encode(one)] for one in texts]
    made_with = "sentencepiece " + sentencepiece.__version__
    json.dump({"made_with": made_with, "cases": cases}, sys.stdout, ensure_ascii=False,
              separators=(",", ":"))


main()
