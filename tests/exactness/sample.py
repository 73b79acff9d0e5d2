"""Makes the stored sample out of a whole run: `python sample.py FOLDER > sample.json`.

FOLDER is where `run` keeps its files. Only kinds whose tokenizer is part of this
project are kept, each against its first reference.
"""

import hashlib
import json
import pathlib
import struct
import sys

from encode import read_texts

PATHS = {
    "sp-internlm": "tests/data/tokenizers/internlm-sp",
    "sp-mistral-v1": "src/demo/tokenizer.model",
    "sp-mistral-v3": "tests/data/tokenizers/mistral-v3-sp",
    "sp-small-unk": "tests/data/tokenizers/sp-small-unk",
    "sp-small-bytes": "tests/data/tokenizers/sp-small-bytes",
    "json-mistral-v1": "tests/data/tokenizers/mistral-v1-hf",
    "json-claude": "tests/data/tokenizers/claude-bpe-json",
}
REAL, FUZZ, LONGEST_BYTES = 400, 100, 250


def read_ids(path):
    words = struct.unpack(f"<{path.stat().st_size // 4}I", path.read_bytes())
    at = 0
    while at < len(words):
        yield words[at + 1:at + 1 + words[at]]
        at += 1 + words[at]


def digest(ids):
    return hashlib.sha256(json.dumps(list(ids), separators=(",", ":")).encode()).hexdigest()[:8]


def choose(texts, count):
    """Evenly out of all that are short enough."""
    short = [place for place, text in enumerate(texts) if len(text.encode()) <= LONGEST_BYTES]
    return [short[number * len(short) // count] for number in range(count)]


def main():
    folder = pathlib.Path(sys.argv[1])
    real = list(read_texts(folder / "real.texts"))
    chosen = choose(real, REAL)
    sample = {"texts": [real[place] for place in chosen], "kinds": {}}
    plan = [line.split("\t") for line in (folder / "plan.tsv").read_text().splitlines()]
    for kind, path in PATHS.items():
        files = [(pathlib.Path(texts), pathlib.Path(ids), reference)
                 for name, _, _, texts, ids, reference, _ in plan if name == kind][:2]
        (_, real_ids, reference), (fuzz, fuzz_ids, _) = files
        texts = list(read_texts(fuzz))
        fuzz_chosen = choose(texts, FUZZ)
        real_ids, fuzz_ids = list(read_ids(real_ids)), list(read_ids(fuzz_ids))
        sample["kinds"][kind] = {
            "path": path,
            "reference": reference,
            "fuzz": [texts[place] for place in fuzz_chosen],
            "digests": [digest(real_ids[place]) for place in chosen] + [digest(fuzz_ids[p]) for p in fuzz_chosen],
        }
    json.dump(sample, sys.stdout, ensure_ascii=False, indent=0)


if __name__ == "__main__":
    main()
