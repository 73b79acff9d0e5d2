"""The engine behind every server of this suite: no model, a fixed pace.

What it answers is a matter of the prompt's ids alone, so all servers give the
same prompt the same text: words that are one token each, so that whoever counts
the text's tokens finds as many as were made. It would stop by itself after
NATURAL_END tokens; only who asks it to ignore the end gets more. A prompt with
`fail after N tokens` in it makes it fail there.

Environment: REAL_TOKENIZER (a SentencePiece file), REAL_FIRST_MS, REAL_NEXT_MS.
"""
import asyncio
import os
import re

from sentencepiece import SentencePieceProcessor

SESSION_TOKENS = 2048
NATURAL_END = 12
FIRST_S = float(os.environ.get("REAL_FIRST_MS", 40)) / 1e3
NEXT_S = float(os.environ.get("REAL_NEXT_MS", 10)) / 1e3
WORDS = 257  # a prime: every step through the list reaches all of it


class Failure(Exception):
    """The engine broke down in the middle of an answer."""


class Tokenizer:
    """SentencePiece as LMDeploy uses it: begin of sequence in front, and the
    blank before a word is put back where a text goes on."""

    def __init__(self):
        self.pieces = SentencePieceProcessor(model_file=os.environ["REAL_TOKENIZER"])
        self.bos = self.pieces.bos_id()
        self.eos = self.pieces.eos_id()

    def encode(self, text):
        return self.pieces.encode(text, add_bos=True)

    def decode(self, ids, offset=0):
        new = ids[offset:]
        text = self.pieces.decode(new)
        goes_on = offset and new and self.pieces.id_to_piece(new[0]).startswith("\u2581")
        return " " + text if goes_on and not text.startswith(" ") else text

    def words(self):
        found = []
        for id in range(self.pieces.vocab_size()):
            piece = self.pieces.id_to_piece(id)
            if re.fullmatch("\u2581[a-z]{3,}", piece) and self.pieces.encode(piece[1:]) == [id]:
                found.append(id)
                if len(found) == WORDS:
                    break
        return found


class Engine:
    def __init__(self, tokenizer=None):
        self.tokenizer = tokenizer or Tokenizer()
        self.words = self.tokenizer.words()

    async def answer(self, prompt, tokens, ignore_eos):
        """The ids of the answer, one by one as they are due; the last may be
        that which ends a sequence."""
        start = asyncio.get_running_loop().time()
        order = re.search(r"fail after (\d+) tokens", self.tokenizer.decode(prompt))
        for place in range(tokens):
            due = start + FIRST_S + place * NEXT_S
            await asyncio.sleep(max(0.0, due - asyncio.get_running_loop().time()))
            if order and place == int(order[1]):
                raise Failure(f"the engine failed after {place} tokens")
            if place == NATURAL_END and not ignore_eos:
                yield self.tokenizer.eos
                return
            yield self.words[(sum(prompt) + 31 * place) % WORDS]
