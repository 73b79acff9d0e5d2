#!/usr/bin/env python3
"""Writes a synthetic file of the real ShareGPT's size, for measuring.

    python3 make_big_sharegpt.py FILE

94,145 conversations, 85,677 of them with two turns or more, about 628 MB, of
which about 172.6 MB are the text of the first two turns; indent 2 and not
ASCII-escaped, as FastChat's tools write it. The text is ../sharegpt_mini.json's
(English, Chinese, code), its paragraphs put together anew, so that no two turns
are alike. Deterministic: the same Python gives the same file.
"""
import json
import random
import sys
from pathlib import Path

CONVERSATIONS = 94_145
WITH_PAIR = 85_677
FILE_BYTES = 628_033_416
PAIR_BYTES = 172_600_000


def paragraphs():
    path = Path(__file__).resolve().parent.parent / "sharegpt_mini.json"
    human, gpt = [], []
    for record in json.loads(path.read_text(encoding="utf-8")):
        for turn in record["conversations"]:
            into = human if turn["from"] == "human" else gpt
            for part in turn["value"].split("\n\n"):
                if 8 <= len(part) <= 3000:
                    into.append((part, len(part.encode())))
    return human, gpt


def text(choose, pool, wanted_bytes):
    """Paragraphs of about so many bytes together; the last may be cut."""
    parts, got = [], 0
    while got < wanted_bytes:
        part, size = pool[int(choose.random() * len(pool))]
        if size > wanted_bytes - got:
            share = (wanted_bytes - got) / size
            part = part[: max(1, int(len(part) * share))]
            size = len(part.encode())
        parts.append(part)
        got += size + 2
    return "\n\n".join(parts)


def main():
    choose = random.Random(628)
    human, gpt = paragraphs()
    with_pair = [True] * WITH_PAIR + [False] * (CONVERSATIONS - WITH_PAIR)
    choose.shuffle(with_pair)
    file_left, pair_left = FILE_BYTES, PAIR_BYTES
    pairs_left = WITH_PAIR
    with open(sys.argv[1], "w", encoding="utf-8", newline="\n") as out:
        out.write("[\n")
        for number in range(CONVERSATIONS):
            turns = []

            def turn(size):
                speaker, pool = (("human", human), ("gpt", gpt))[len(turns) % 2]
                turns.append({"from": speaker, "value": text(choose, pool, size)})
                return len(turns[-1]["value"].encode())

            # Spread as real ones are: many short, few very long.
            spread = min(choose.lognormvariate(0, 1.1), 12) / 1.62
            if with_pair[number]:
                mean = pair_left / pairs_left
                asked = max(12, mean * 0.3 * spread)
                answered = max(20, mean * 0.7 * min(choose.lognormvariate(0, 0.9), 8) / 1.46)
                pair_left -= turn(asked) + turn(answered)
                pairs_left -= 1
                rest = file_left / (CONVERSATIONS - number) * 1.06 - 2400
                for _ in range(choose.randrange(0, 9)):
                    turn(max(12, rest / 4.4 * min(choose.lognormvariate(0, 0.7), 6) / 1.27))
            elif choose.random() < 0.8:
                turn(max(12, 600 * spread))
            record = {"id": f"synthetic_{number}", "conversations": turns}
            lines = json.dumps(record, ensure_ascii=False, indent=2).split("\n")
            written = "  " + "\n  ".join(lines)
            if number + 1 < CONVERSATIONS:
                written += ","
            out.write(written + "\n")
            file_left -= len(written.encode()) + 1
        out.write("]\n")
    size = Path(sys.argv[1]).stat().st_size
    print(f"{size} bytes, {PAIR_BYTES - pair_left:.0f} of them in first two turns")


if __name__ == "__main__":
    main()
