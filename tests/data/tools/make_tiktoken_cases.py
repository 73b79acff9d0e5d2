"""Writes small vocabularies, and texts with the ids that Python gives them.

    pip install tiktoken==0.14.0 mistral-common==1.13.1
    python make_tiktoken_cases.py ranks QWEN.TIKTOKEN   # the whole file, from PyPI dashscope 2.0.2
    pip install transformers==4.46.3 "numpy<2"          # in an environment of its own, after that
    python make_tiktoken_cases.py merges

`ranks` cuts the vocabularies under ../tokenizers (qwen-cut, tekken-small, merges-small) out of
Qwen's, and writes ../ranks_cases.json: qwen, llama-3 and glm-4 (pattern and special tokens as their
published Python files have them, over the cut ranks) and tekken. `merges` writes
../merges_cases.json. `cargo test --test ranks` reads both.

Not transformers 4.38.2: its Qwen2Tokenizer drops every merge that begins with `#`, and so differs from
the tokenizer.json of the same model; corrected in later versions. Its GPT-2 is the same.
"""

import base64
import json
import pathlib
import random
import sys
import tempfile
import unicodedata

DATA = pathlib.Path(__file__).resolve().parent.parent
CUT_RANKS, TEKKEN_TOKENS, MERGES_TOKENS = 20_000, 1_500, 4_000
ONE_DIGIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|"
             r"\s*[\r\n]+|\s+(?!\S)|\s+")
THREE_DIGITS = ONE_DIGIT.replace(r"|\p{N}|", r"|\p{N}{1,3}|")
BY_CASE = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
           r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N}|"
           r" ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")


def reserved(low, high):
    return [f"<|reserved_special_token_{number}|>" for number in range(low, high)]


SPECIALS = {
    "qwen": ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] + [f"<|extra_{number}|>" for number in range(205)],
    "llama-3": ["<|begin_of_text|>", "<|end_of_text|>", *reserved(0, 4), "<|start_header_id|>",
                "<|end_header_id|>", *reserved(4, 5), "<|eot_id|>", *reserved(5, 251)],
    "glm-4": ["<|endoftext|>", "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>", "<|system|>", "<|user|>",
              "<|assistant|>", "<|observation|>", "<|begin_of_image|>", "<|end_of_image|>",
              "<|begin_of_video|>", "<|end_of_video|>"],
    "tekken": ["<s>", "</s>", "[INST]"],
}
SETTINGS = {
    "gpt-2": {"tokenizer_class": "GPT2Tokenizer"},
    "gpt-2 with bos": {"tokenizer_class": "GPT2Tokenizer", "add_bos_token": True, "bos_token": "</s>",
                       "eos_token": "</s>", "unk_token": "</s>", "add_prefix_space": True},
    "qwen-2": {"tokenizer_class": "Qwen2Tokenizer", "bos_token": None, "eos_token": "<|im_end|>",
               "pad_token": "<|endoftext|>", "additional_special_tokens": ["<|im_start|>", "<|im_end|>"],
               "added_tokens_decoder": {str(MERGES_TOKENS + number): {
                   "content": text, "lstrip": False, "normalized": False, "rstrip": False,
                   "single_word": False, "special": True}
                   for number, text in enumerate(["<|endoftext|>", "<|im_start|>", "<|im_end|>"])}},
}
ODD = ["\0", "\t", "\n", "\r\n", "\r", " ", "  ", "\n\n  ", " \n ", "\u00a0", "\u3000", "\u0085", "\u200b", "\ufeff",
       "\ufffd", "\u0301", "e\u0301", "\u0338", "A\u030a", "\u212b", "\u2126", "\ufb01", "\u0958", "\u1112\u1161\u11ab",
       "\uac00\u11a8", "\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U00020000", "\U0002f800",
       "\U0010ffff", "\u0e01\u0e33", "\u0627\u0644", "\u4f60\u597d\uff0c\u4e16\u754c", "'s", "'LL", "'\u017f",
       "I'M", "12345", "\u0663\u0664", "\u00bd", "\u2167", "!!!\n\n", "a/b", "camelCase", "HTMLParser", "<|", "|>", "<|im_"]
RANGES = [(0x20, 0x7e)] * 3 + [(0, 0x1f), (0x80, 0x24f), (0x300, 0x36f), (0x370, 0x5ff), (0x900, 0xdff),
          (0x2000, 0x2bff), (0x3040, 0x30ff), (0x4e00, 0x9fff), (0xac00, 0xd7a3), (0x1f300, 0x1f6ff)]


def fuzz(rng, pieces, special):
    def one():
        kind = rng.random()
        if kind < 0.5:
            return rng.choice(pieces)
        if kind < 0.6:
            return rng.choice(special)
        if kind < 0.82:
            return rng.choice(ODD)
        if kind < 0.86:
            return " " * rng.randrange(1, 20)
        if kind < 0.9:
            return rng.choice(pieces)[:1] * rng.randrange(1, 60)
        low, high = rng.choice(RANGES)
        return "".join(chr(rng.randrange(low, high + 1)) for _ in range(rng.randrange(1, 8)))

    return "".join(one() for _ in range(rng.randrange(1, 10)))


def texts(rng, pieces, special):
    """Half glued, half real: turns of the conversations, cut short."""
    with open(DATA / "sharegpt_mini.json", encoding="utf-8") as file:
        turns = [turn["value"] for record in json.load(file) for turn in record["conversations"]]
    glued = [fuzz(rng, pieces, special) for _ in range(170)]
    return ["", *special[:12], *glued, *(turn[:250] for turn in rng.sample(turns, 100))]


def write(name, content):
    path = DATA / name
    path.write_text(json.dumps(content, ensure_ascii=False, separators=(",", ":")), encoding="utf-8")
    print(path, path.stat().st_size)


def byte_level(token):
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [byte for byte in range(256) if byte not in printable]
    return "".join(chr(byte if byte in printable else 256 + others.index(byte)) for byte in token)


def last_merge(ranks, token):
    """The two tokens that merge last into this one."""
    parts = [bytes([byte]) for byte in token]
    while len(parts) > 2:
        joined = [(ranks.get(parts[at] + parts[at + 1], len(ranks)), at) for at in range(len(parts) - 1)]
        _, at = min(joined)
        parts[at:at + 2] = [parts[at] + parts[at + 1]]
    return parts


def cut(path):
    lines = pathlib.Path(path).read_bytes().splitlines(keepends=True)
    tokens = [base64.b64decode(line.split()[0]) for line in lines]
    folders = {name: DATA / "tokenizers" / name for name in ("qwen-cut", "tekken-small", "merges-small")}
    for folder in folders.values():
        folder.mkdir(exist_ok=True)
    (folders["qwen-cut"] / "qwen.tiktoken").write_bytes(b"".join(lines[:CUT_RANKS]))
    longer = [token for token in tokens if len(token) > 1][:TEKKEN_TOKENS - 256]
    vocab = [{"rank": rank, "token_bytes": base64.b64encode(token).decode(), "token_str": None}
             for rank, token in enumerate([bytes([byte]) for byte in range(256)] + longer)]
    config = {"pattern": BY_CASE, "num_vocab_tokens": len(vocab), "default_vocab_size": len(vocab) - 10,
              "default_num_special_tokens": 30, "version": "v3"}
    (folders["tekken-small"] / "tekken.json").write_text(json.dumps({"config": config, "vocab": vocab}))
    ranks = {token: rank for rank, token in enumerate(tokens[:MERGES_TOKENS])}
    merges = [last_merge(ranks, token) for token in ranks if len(token) > 1]
    vocabulary = {byte_level(token): rank for token, rank in ranks.items()}
    (folders["merges-small"] / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    merges = ["#version: 0.2", *(" ".join(map(byte_level, pair)) for pair in merges), ""]
    (folders["merges-small"] / "merges.txt").write_text("\n".join(merges), encoding="utf-8")
    return tokens[:CUT_RANKS]


def pieces_of(tokens):
    decoded = (token.decode("utf-8", "ignore") for token in tokens)
    return [text for text in decoded if text]


def make_ranks(path):
    import mistral_common
    import tiktoken
    from mistral_common.tokens.tokenizers.tekken import Tekkenizer

    tokens = cut(path)
    ranks, pieces = {token: rank for rank, token in enumerate(tokens)}, pieces_of(tokens)
    tekken = Tekkenizer.from_file(DATA / "tokenizers/tekken-small/tekken.json")
    kinds = {}
    for kind, special in SPECIALS.items():
        pattern = ONE_DIGIT if kind == "qwen" else THREE_DIGITS
        numbered = {text: len(ranks) + number for number, text in enumerate(special)}
        model = tiktoken.Encoding(kind, pat_str=pattern, mergeable_ranks=ranks, special_tokens=numbered)

        def encode(text):
            if kind == "tekken":
                return tekken.encode(text, bos=False, eos=False)
            if kind == "qwen":
                text = unicodedata.normalize("NFC", text)
            return model.encode(text, allowed_special="all")

        kinds[kind] = [[text, encode(text)] for text in texts(random.Random(kind), pieces, special)]
    made_with = f"tiktoken {tiktoken.__version__}, mistral-common {mistral_common.__version__}"
    write("ranks_cases.json", {"made_with": made_with, "kinds": kinds})


def make_merges():
    import transformers

    small = DATA / "tokenizers/merges-small"
    kinds = {}
    for kind, settings in SETTINGS.items():
        with tempfile.TemporaryDirectory() as folder:
            for name in ("vocab.json", "merges.txt"):
                (pathlib.Path(folder) / name).write_bytes((small / name).read_bytes())
            (pathlib.Path(folder) / "tokenizer_config.json").write_text(json.dumps(settings))
            model = transformers.AutoTokenizer.from_pretrained(folder)
        assert model.is_fast
        pieces = [model.convert_tokens_to_string([token]) for token in model.get_vocab()]
        pieces = sorted(piece for piece in pieces if piece and "\ufffd" not in piece)
        special = sorted(model.all_special_tokens)
        cases = [[text, model(text, add_special_tokens=False).input_ids]
                 for text in texts(random.Random(kind), pieces, special)]
        kinds[kind] = {"settings": settings, "served": model("Hello").input_ids, "cases": cases}
    write("merges_cases.json", {"made_with": "transformers " + transformers.__version__, "kinds": kinds})


if sys.argv[1:2] == ["ranks"] and len(sys.argv) == 3:
    make_ranks(sys.argv[2])
elif sys.argv[1:] == ["merges"]:
    make_merges()
else:
    sys.exit(__doc__)
