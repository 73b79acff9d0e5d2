"""Writes the starting inputs below seeds/: small, and of every shape a target knows."""

import pathlib
import struct

here = pathlib.Path(__file__).parent
data = here.parent / "data"


def write(target, name, content):
    folder = here / "seeds" / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)


turns = '[{"conversations": [{"from": "human", "value": "a\\u00e9"}, {"from": "gpt", "value": "b"}, {}]}]'
write("json_reader", "sharegpt", turns.encode())
write("json_reader", "twice", b'[{"conversations": [], "conversations": [{"value": "x", "value": "y"}, {"value": ""}]}]')
write("json_reader", "shapes", b'[{"conversations": 1}, null, 1.5e9, -1, true, "\\ud83d\\ude00\\ud83d", [], {"messages": []}]')
write("json_reader", "messages", b'{"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "ho"}]}\n')
write("json_reader", "prompts", b'{"prompt": "hi", "output_len": 3}\n{"prompt": "ho"}\n')

TEXTS = ["Hello world,  this is\n\ta test <eoh>", "\u4e2d\u6587\u5b57\u7b26 \U0001f600 e\u0301 \u2581\0", "a" * 200]
for shape in range(5):
    for number, text in enumerate(TEXTS):
        write("sp_encoder", f"text-{shape}-{number}", bytes([shape]) + text.encode())
    for high in (0x80, 0xA0, 0xC0):
        write("sp_encoder", f"pieces-{shape}-{high:x}", bytes([shape | high]) + bytes(range(0, 240)))


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def nested(number, message):
    return varint(number << 3 | 2) + varint(len(message)) + message


def integer(number, value):
    return varint(number << 3) + varint(value)


def piece(text, score, kind):
    return nested(1, nested(1, text.encode()) + varint(2 << 3 | 5) + struct.pack("<f", score) + integer(3, kind))


def model(pieces, trainer=b"", prefix=0, escape=1):
    written = b"".join(piece(*one) for one in [("<unk>", 0.0, 2), *pieces])
    return written + nested(2, integer(3, 2) + trainer) + nested(
        3, integer(3, prefix) + integer(4, 0) + integer(5, escape))


def with_text(text, content):
    text = text.encode()
    return struct.pack("<H", len(text)) + text + content


letters = [("a", -9.0, 1), ("b", -9.0, 1), ("c", -9.0, 1)]
merged = letters + [("ab", -2.0, 1), ("bc", -1.0, 1), ("aa", -3.0, 1), ("abc", -4.0, 1)]
unused = letters + [("ab", -2.0, 5), ("abab", -3.0, 5), ("aba", -2.5, 1), ("z", 0.0, 5)]
user = [("a", 0.0, 1), ("<e>", 0.0, 4), ("<e>>", 0.0, 4), ("<", 0.0, 1), ("<e>a", 9.0, 1), ("e", 0.0, 4), ("<s>", 0.0, 3)]
in_bytes = [(f"<0x{byte:02X}>", 0.0, 6) for byte in range(256)]
write("sp_loader", "merged", with_text("aabcab bca", model(merged, prefix=1)))
write("sp_loader", "unused", with_text("ababaabaz", model(unused)))
write("sp_loader", "user", with_text("a<e><e>>a<ea", model(user, escape=0)))
write("sp_loader", "bytes", with_text("\u00e9ab\0", model([("ab", 0.0, 1)] + in_bytes, trainer=integer(35, 1))))
