"""Our encoder and Python's sentencepiece side by side, A B A B, in one run.

    cargo bench --bench encoder --no-run       (prints the program's path)
    python benches/encoder_pairs.py PROGRAM MODEL TEXTS [PAIRS]

TEXTS is a corpus of tests/exactness/run (real.texts), MODEL a tokenizer.model. Both
sides have the texts in memory; what is timed is encoding on one thread, in CPU time.
Python's library is called the faster of its two ways: one call for each text, or
one call for all.
"""

import re
import statistics
import struct
import subprocess
import sys
import time

import sentencepiece


def read_texts(path):
    with open(path, "rb") as file:
        data = file.read()
    at, texts = 0, []
    while at < len(data):
        (length,) = struct.unpack_from("<I", data, at)
        texts.append(data[at + 4:at + 4 + length].decode("utf-8"))
        at += 4 + length
    return texts


def cpu_seconds(work):
    before = time.process_time()
    work()
    return time.process_time() - before


def python_side(model, texts):
    model = sentencepiece.SentencePieceProcessor(model_file=model)
    one_by_one = cpu_seconds(lambda: [model.encode(text) for text in texts])
    at_once = cpu_seconds(lambda: model.encode(texts, num_threads=1))
    return min(one_by_one, at_once)


def our_side(program, model, texts):
    output = subprocess.run([program, "--model", model, "--texts", texts, "--corpus-only"], check=True,
                            capture_output=True, text=True).stdout
    return [float(one) for one in re.search(r"cold ([\d.]+) warm ([\d.]+);", output).groups()]


def main():
    program, model, file = sys.argv[1:4]
    pairs = int(sys.argv[4]) if len(sys.argv) > 4 else 5
    texts = read_texts(file)
    megabytes = sum(len(text.encode()) for text in texts) / 1e6
    rows = []
    for number in range(pairs):
        (cold, warm), python = our_side(program, model, file), python_side(model, texts)
        rows.append((cold, warm, python, python / cold, python / warm))
        print(f"pair {number + 1}: ours cold {cold:.3f} s warm {warm:.3f} s, Python {python:.3f} s, "
              f"{python / cold:.2f} x and {python / warm:.2f} x")
    cold, warm, python, cold_ratio, warm_ratio = map(statistics.median, zip(*rows))
    print(f"medians of {pairs}: ours {megabytes / cold:.1f} MB per CPU s cold, {megabytes / warm:.1f} warm; "
          f"sentencepiece {sentencepiece.__version__} {megabytes / python:.1f}; "
          f"{cold_ratio:.2f} x cold, {warm_ratio:.2f} x warm")


main()
