#!/usr/bin/env python3
"""Writes ../python_random_cases.json: what CPython's `random` and numpy's legacy
generator give, for the tests of src/workload/python_random.rs and
numpy_random.rs.

    python3 make_python_random_cases.py         # needs numpy 1.x or 2.x

Deterministic: the same Python gives the same file. Every case begins with a
fresh seed: sample(range(n), k), then shuffle(list(range(n))), then one word.
"""
import hashlib
import json
import platform
import random
import struct
from pathlib import Path

import numpy

CASES = 200
# Both sides of the limits where `sample` changes its way: n = 21 + 4^i.
EDGES = [(21, 5), (22, 5), (85, 6), (86, 6), (277, 22), (278, 22), (1045, 86), (65557, 5462)]
SEEDS = [0, 1, -1, -5, 42, 2**31, 2**32 - 1, 2**32, 2**63, 2**64 - 1, 2**64, 2**64 + 7, -(2**64)]


def digest(numbers):
    text = json.dumps(list(numbers), separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def python_case(seed, n, k):
    generator = random.Random(seed)
    sample = generator.sample(range(n), k)
    shuffled = list(range(n))
    generator.shuffle(shuffled)
    return {
        "seed": str(seed),
        "n": n,
        "k": k,
        "sample": digest(sample),
        "shuffle": digest(shuffled),
        "word": generator.getrandbits(32),
    }


def numpy_case(seed, low, high, scale, count):
    generator = numpy.random.RandomState(seed)
    integers = [int(number) for number in generator.randint(low, high, size=count)]
    units = [float(generator.random_sample()) for _ in range(count)]
    gaps = [float(generator.exponential(scale)) for _ in range(count)]

    def bits(numbers):
        return digest(struct.unpack("<Q", struct.pack("<d", number))[0] for number in numbers)

    return {
        "seed": seed,
        "low": low,
        "high": high,
        "scale": scale,
        "count": count,
        "first": integers[:3],
        "integers": digest(integers),
        "units": bits(units),
        "exponentials": bits(gaps),
    }


def main():
    choose = random.Random(20240611)
    cases = []
    for number in range(CASES):
        if number < len(SEEDS):
            seed = SEEDS[number]
        else:
            seed = choose.getrandbits(choose.choice([8, 31, 32, 33, 63, 64]))
            seed *= choose.choice([1, 1, 1, -1])
        if number % 5 == 0:
            n, k = EDGES[number // 5 % len(EDGES)]
        else:
            n = choose.choice([1, 2, 10, 100, 2059, 9000]) + choose.randrange(50)
            k = choose.randrange(n + 1)
        cases.append(python_case(seed, n, k))
    numpy_cases = []
    for number in range(60):
        low = choose.choice([0, 1, 512, choose.randrange(10**6)])
        width = choose.choice([1, 2, 3, 513, 1024, 65537, 2**32 - 1, 2**32, 2**32 + 1, 2**40])
        scale = choose.choice([1.0, 0.1, 1 / 3, 1 / 7.3])
        seed = choose.choice([0, 1, 42, 2**32 - 1, choose.getrandbits(32)])
        numpy_cases.append(numpy_case(seed, low, low + width, scale, 500))
    made = {
        "made_with": f"CPython {platform.python_version()}, numpy {numpy.__version__}",
        "python": cases,
        "numpy": numpy_cases,
    }
    path = Path(__file__).resolve().parent.parent / "python_random_cases.json"
    path.write_text(json.dumps(made, indent=1) + "\n")


if __name__ == "__main__":
    main()
