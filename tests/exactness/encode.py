"""Writes what Python makes of texts, for one kind of tokenizer.

    python encode.py fuzz KIND FOLDER COUNT SEED > texts     texts glued from its own vocabulary
    python encode.py ids  KIND FOLDER TEXTS      > ids       what the reference makes of them

Texts: 4 bytes of length (little-endian), then UTF-8. Ids: 4 bytes of count, then 4 bytes each.
"""

import random
import struct
import sys

from kinds import KINDS

ODD = ["\0", "\t", "\n", "\r\n", " ", "  ", "\u2581", "\u00a0", "\u3000", "\u200b", "\u200d", "\ufeff",
       "\ufffd", "\u0301", "e\u0301", "\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467",
       "\U00020000", "\U0010ffff", "\u0e01\u0e33", "\u0627\u0644", "\ud55c\uae00", "\u1112\u1161\u11ab",
       "<s>", "</s>", "<unk>", "<0x0A>", "<0x00>", "[INST]", "<|im_end|>", "<|endoftext|>", "<eoh>", "<",
       "\u2047", "#", "~", "'s", "'LL", "\u017f", "\u212a", "\u2126", "\ufb01", "\u0958", "12345", "\u0663", "\x85"]
RANGES = [(0x20, 0x7e)] * 3 + [(0, 0x1f), (0x80, 0x24f), (0x370, 0x5ff), (0x900, 0xdff), (0x2000, 0x2bff),
          (0x3040, 0x30ff), (0x4e00, 0x9fff), (0xac00, 0xd7a3), (0xe000, 0xffff), (0x10000, 0x10ffff)]


def fuzz(rng, pieces, special):
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


def fuzz_texts(kind, folder, count, seed):
    pieces, special = kind.build(folder).vocabulary()
    rng = random.Random(seed)
    texts = {}
    while len(texts) < count:
        texts[fuzz(rng, pieces, special)] = None
    # Long words without a place to cut, out of the vocabulary itself.
    for size in (3_000, 30_000):
        texts["".join(rng.choice(pieces).strip("\u2581") for _ in range(size // 4))] = None
    return list(texts)


def read_texts(path):
    with open(path, "rb") as file:
        data = file.read()
    at = 0
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        yield data[at + 4:at + 4 + length].decode("utf-8")
        at += 4 + length


def main():
    command, name, folder, *rest = sys.argv[1:]
    out, kind = sys.stdout.buffer, KINDS[name]
    if command == "fuzz":
        for text in fuzz_texts(kind, folder, int(rest[0]), int(rest[1])):
            data = text.encode("utf-8")
            out.write(struct.pack("<I", len(data)) + data)
        return
    encoder, texts = kind.build(folder), list(read_texts(rest[0]))
    for start in range(0, len(texts), 1000):
        for ids in encoder.encode(texts[start:start + 1000]):
            out.write(struct.pack(f"<{len(ids) + 1}I", len(ids), *ids))
    print(encoder.version, file=sys.stderr)


if __name__ == "__main__":
    main()
