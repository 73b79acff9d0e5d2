"""The kinds of tokenizer that are compared: one row each.

A row says which files a model's folder holds and where they come from, what our
loader is told, and how Python encodes. `path` is what `Tokenizer::load` gets.
"""

import base64
import json
import os
import pathlib

#: Sources: a package as pip downloads it and the file inside, or a file of this project.
MISTRAL_COMMON = "mistral-common==1.13.1:mistral_common/data/"
TEKKEN = MISTRAL_COMMON + "tekken_240718.json"
QWEN = "dashscope==2.0.2:dashscope/resources/qwen.tiktoken"
CLAUDE = "anthropic==0.21.3:anthropic/tokenizer.json"
OURS = "project:"

#: Split patterns as the families publish them. Qwen-1: tokenization_qwen.py; Llama 3: its
#: tokenizer.py; GLM-4: tokenization_chatglm.py (the same as Llama 3's).
QWEN_PATTERN = (r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|"""
                r"""\s*[\r\n]+|\s+(?!\S)|\s+""")
LLAMA3_PATTERN = (r"""(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|"""
                  r"""\s*[\r\n]+|\s+(?!\S)|\s+""")
QWEN_SPECIALS = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"] + [f"<|extra_{n}|>" for n in range(205)]
LLAMA3_SPECIALS = (["<|begin_of_text|>", "<|end_of_text|>", "<|reserved_special_token_0|>",
                    "<|reserved_special_token_1|>", "<|reserved_special_token_2|>", "<|reserved_special_token_3|>",
                    "<|start_header_id|>", "<|end_header_id|>", "<|reserved_special_token_4|>", "<|eot_id|>"]
                   + [f"<|reserved_special_token_{n}|>" for n in range(5, 251)])
GLM4_SPECIALS = ["<|endoftext|>", "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>", "<|system|>", "<|user|>",
                 "<|assistant|>", "<|observation|>", "<|begin_of_image|>", "<|end_of_image|>",
                 "<|begin_of_video|>", "<|end_of_video|>"]


class SentencePiece:
    """The library itself; nothing is inserted."""

    def __init__(self, folder):
        import sentencepiece
        self.version = "sentencepiece " + sentencepiece.__version__
        self.model = sentencepiece.SentencePieceProcessor(model_file=str(folder / "tokenizer.model"))

    def encode(self, texts):
        return [self.model.encode(text) for text in texts]

    def vocabulary(self):
        """Pieces that text can become, and texts that mean something special."""
        model, ids = self.model, range(self.model.get_piece_size())
        plain = [model.id_to_piece(i) for i in ids if not (model.is_control(i) or model.is_byte(i))]
        plain = [piece for piece in plain if "\ufffd" not in piece]
        special = [model.id_to_piece(i) for i in ids if model.is_control(i) or model.is_unknown(i)]
        # User-defined pieces are not marked, but stand in front of the learned ones.
        return plain, special + plain[:300] + ["<0x0A>", "<0x00>"]


class HuggingFace:
    """A tokenizer.json as it is written, by the Rust library's own Python wheel."""

    def __init__(self, folder):
        import tokenizers
        self.version = "tokenizers " + tokenizers.__version__
        self.model = tokenizers.Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.model.no_padding()
        self.model.no_truncation()

    def encode(self, texts):
        return [found.ids for found in self.model.encode_batch(texts, add_special_tokens=False)]

    def vocabulary(self):
        is_byte_level = "Ġ" in self.model.get_vocab() or "Ċ" in self.model.get_vocab()
        added = [token.content for token in self.model.get_added_tokens_decoder().values()]
        plain = [text for text, _ in sorted(self.model.get_vocab(with_added_tokens=False).items(), key=lambda x: x[1])]
        return (from_byte_level(plain) if is_byte_level else plain), added


class Transformers:
    """What LMDeploy of the 4.3x era calls: AutoTokenizer, nothing inserted."""

    def __init__(self, folder):
        import transformers
        self.version = "transformers " + transformers.__version__
        self.model = transformers.AutoTokenizer.from_pretrained(str(folder))

    def encode(self, texts):
        return self.model(texts, add_special_tokens=False).input_ids

    def vocabulary(self):
        plain = [text for text, _ in sorted(self.model.get_vocab().items(), key=lambda item: item[1])]
        is_byte_level = "Ġ" in plain
        return (from_byte_level(plain) if is_byte_level else plain), list(self.model.all_special_tokens)


class Qwen2(HuggingFace):
    """vocab.json and merges.txt put together as transformers' Qwen2Converter does.

    Not by transformers 4.38.2 itself: its Qwen2Tokenizer skips every line of merges.txt that
    begins with "#" as a comment, merges of "#" included, which later versions do not.
    """

    def __init__(self, folder):
        import tokenizers
        from tokenizers import models, normalizers, pre_tokenizers
        self.version = "tokenizers " + tokenizers.__version__
        vocabulary = json.loads((folder / "vocab.json").read_text(encoding="utf-8"))
        lines = (folder / "merges.txt").read_text(encoding="utf-8").split("\n")[1:]
        merges = [tuple(line.split(" ")) for line in lines if line]
        self.model = tokenizers.Tokenizer(models.BPE(vocabulary, merges))
        self.model.normalizer = normalizers.NFC()
        split = pre_tokenizers.Split(tokenizers.Regex(QWEN_PATTERN), "isolated")
        self.model.pre_tokenizer = pre_tokenizers.Sequence(
            [split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
        self.model.add_special_tokens(["<|endoftext|>"])


class Tiktoken:
    """tiktoken with a family's split pattern and special tokens, which it matches in text."""

    def __init__(self, folder, file, pattern, specials, normalizes=False):
        import tiktoken
        self.version = "tiktoken " + tiktoken.__version__
        lines = (folder / file).read_bytes().splitlines()
        ranks = {base64.b64decode(token): int(rank) for token, rank in map(bytes.split, lines)}
        self.specials, self.normalizes = specials, normalizes
        numbered = {text: len(ranks) + number for number, text in enumerate(specials)}
        self.ranks = ranks
        self.model = tiktoken.Encoding(file, pat_str=pattern, mergeable_ranks=ranks, special_tokens=numbered)

    def encode(self, texts):
        import unicodedata
        if self.normalizes:  # tokenization_qwen.py: unicodedata.normalize("NFC", text)
            texts = [unicodedata.normalize("NFC", text) for text in texts]
        return [self.model.encode(text, allowed_special="all") for text in texts]

    def vocabulary(self):
        plain = [token.decode("utf-8", "ignore") for token in self.ranks]
        return [text for text in plain if text], self.specials


class Tekken(Tiktoken):
    """tekken.json as mistral-common's tekken.py reads it: special tokens have the first ids."""

    def __init__(self, folder):
        import tiktoken
        self.version = "tiktoken " + tiktoken.__version__
        file = json.loads((folder / "tekken.json").read_text(encoding="utf-8"))
        config = file["config"]
        self.first = config["default_num_special_tokens"]
        kept = file["vocab"][:config["default_vocab_size"] - self.first]
        self.ranks = {base64.b64decode(token["token_bytes"]): token["rank"] for token in kept}
        self.specials = ["<s>", "</s>", "[INST]", "[/INST]", "<unk>", "<pad>", "[TOOL_CALLS]"]
        self.model = tiktoken.Encoding("tekken", pat_str=config["pattern"], mergeable_ranks=self.ranks,
                                       special_tokens={})

    def encode(self, texts):
        return [[self.first + token for token in self.model.encode(text, disallowed_special=())] for text in texts]


def from_byte_level(pieces):
    """Undoes GPT-2's writing of bytes as characters; drops what is no whole character."""
    printable = [*range(33, 127), *range(161, 173), *range(174, 256)]
    byte_of = {chr(byte): byte for byte in printable}
    byte_of |= {chr(256 + number): byte for number, byte in enumerate(b for b in range(256) if b not in printable)}
    texts = (bytes(byte_of[char] for char in piece if char in byte_of).decode("utf-8", "ignore") for piece in pieces)
    return [text for text in texts if text]


def split_claude(folder, tokenizer_class):
    """vocab.json and merges.txt, as GPT-2 publishes them, out of a byte-level BPE tokenizer.json."""
    model = json.loads((folder / "tokenizer.json").read_text(encoding="utf-8"))["model"]
    merges = [one if isinstance(one, str) else " ".join(one) for one in model["merges"]]
    # The classes look for this token.
    vocabulary = model["vocab"] | {"<|endoftext|>": model["vocab"].get("<|endoftext|>", len(model["vocab"]))}
    (folder / "vocab.json").write_text(json.dumps(vocabulary, ensure_ascii=False), encoding="utf-8")
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n", encoding="utf-8")
    (folder / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": tokenizer_class}))
    os.remove(folder / "tokenizer.json")


def cut_ranks(folder, count):
    """As many ranks as the family's own file has; the lowest ranks are a vocabulary of their own."""
    file = folder / "tokenizer.model"
    file.write_bytes(b"".join(file.read_bytes().splitlines(keepends=True)[:count]))


class Kind:
    def __init__(self, files, path, encoder, venvs, family=None, prepare=None, excused=None):
        self.files, self.path, self.encoder, self.venvs = files, path, encoder, venvs
        #: `excused` names a venv in which texts that hold NUL may get other ids, if as many.
        self.family, self.prepare, self.excused = family, prepare, excused

    def build(self, folder):
        return self.encoder(pathlib.Path(folder))


# "old" has sentencepiece 0.1.99 and transformers 4.38.2, "new" the others. The first one named is
# the reference of the stored sample; where two are named, both are compared.
KINDS = {
    # This vocabulary holds NUL as a piece (354). sentencepiece 0.1.99, and with it we, finds it;
    # 0.2.3 writes the byte's token (3) instead.
    "sp-internlm": Kind({"tokenizer.model": OURS + "tests/data/tokenizers/internlm-sp/tokenizer.model"},
                        "tokenizer.model", SentencePiece, ("old", "new"), excused="new"),
    "sp-mistral-v1": Kind({"tokenizer.model": MISTRAL_COMMON + "tokenizer.model.v1"},
                          "tokenizer.model", SentencePiece, ("old", "new")),
    "sp-mistral-v3": Kind({"tokenizer.model": MISTRAL_COMMON + "mistral_instruct_tokenizer_240323.model.v3"},
                          "tokenizer.model", SentencePiece, ("old", "new")),
    "sp-small-unk": Kind({"tokenizer.model": OURS + "tests/data/tokenizers/sp-small-unk/tokenizer.model"},
                         "tokenizer.model", SentencePiece, ("old", "new")),
    "sp-small-bytes": Kind({"tokenizer.model": OURS + "tests/data/tokenizers/sp-small-bytes/tokenizer.model"},
                           "tokenizer.model", SentencePiece, ("old", "new")),
    "json-mistral-v1": Kind({name: OURS + "tests/data/tokenizers/mistral-v1-hf/" + name
                             for name in ("tokenizer.json", "tokenizer_config.json")},
                            "", HuggingFace, ("new",)),
    "json-mistral-v1-transformers": Kind({name: OURS + "tests/data/tokenizers/mistral-v1-hf/" + name
                                          for name in ("tokenizer.json", "tokenizer_config.json")},
                                         "", Transformers, ("old",)),
    "json-claude": Kind({"tokenizer.json": CLAUDE}, "", HuggingFace, ("new",)),
    "tiktoken-qwen": Kind({"qwen.tiktoken": QWEN}, "qwen.tiktoken",
                          lambda folder: Tiktoken(folder, "qwen.tiktoken", QWEN_PATTERN, QWEN_SPECIALS, True),
                          ("new",), family="qwen"),
    # Other families' patterns and special tokens over ranks that are free to use: the family is
    # what is proved.
    "tiktoken-llama3": Kind({"tokenizer.model": QWEN}, "tokenizer.model",
                            lambda folder: Tiktoken(folder, "tokenizer.model", LLAMA3_PATTERN, LLAMA3_SPECIALS),
                            ("new",), family="llama-3", prepare=lambda folder: cut_ranks(folder, 128_000)),
    "tiktoken-glm4": Kind({"tokenizer.model": QWEN}, "tokenizer.model",
                          lambda folder: Tiktoken(folder, "tokenizer.model", LLAMA3_PATTERN, GLM4_SPECIALS),
                          ("new",), family="glm-4", prepare=lambda folder: cut_ranks(folder, 151_329)),
    "tekken": Kind({"tekken.json": TEKKEN}, "tekken.json", Tekken, ("new",)),
    "vocab-merges-gpt2": Kind({"tokenizer.json": CLAUDE}, "", Transformers, ("old",),
                              prepare=lambda folder: split_claude(folder, "GPT2Tokenizer")),
    "vocab-merges-qwen2": Kind({"tokenizer.json": CLAUDE}, "", Qwen2, ("new",),
                               prepare=lambda folder: split_claude(folder, "Qwen2Tokenizer")),
}
