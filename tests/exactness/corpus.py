"""Collects distinct real strings of many languages, out of packages on this machine.

    python corpus.py FOLDER...  > corpus.bin

From each FOLDER (recursively): gettext catalogues (.po, .mo), sources, manuals,
licences and plain text. Added: runs of 1-200 spaces, whole files up to 300,000
bytes, strings around emoji, symbols, CJK extension B and control characters.
Nothing is random; the same folders give the same strings.

A corpus is a list of texts: 4 bytes of length (little-endian), then UTF-8.
"""

import gzip
import pathlib
import struct
import sys

LONGEST_BYTES = 300_000
#: One tree of packages must not crowd out the others.
MOST_FROM_CATALOGUES = 60_000
MOST_FROM_LINES = 25_000
MOST_WHOLE_FILES = 120
SUFFIXES = {".py", ".txt", ".md", ".rst", ".c", ".h", ".js", ".json", ".html", ".css", ".gz", ""}


def po_strings(text):
    """Message texts of a .po catalogue, unescaped by Python's own rules for strings."""
    current = None
    for line in text.splitlines() + [""]:
        line = line.strip()
        if line.startswith('"') and current is not None:
            current += line[1:-1]
            continue
        if current:
            yield current.replace("\\n", "\n").replace("\\t", "\t").replace('\\"', '"').replace("\\\\", "\\")
        current = None
        if line.startswith(("msgid", "msgstr")) and '"' in line:
            current = line[line.index('"') + 1:-1]


def mo_strings(data):
    """Translations of a compiled catalogue (GNU gettext manual, "The Format of GNU MO Files")."""
    magic = data[:4]
    order = {b"\xde\x12\x04\x95": "<", b"\x95\x04\x12\xde": ">"}.get(magic)
    if order is None:
        return
    count, _, translations = struct.unpack_from(order + "3I", data, 8)
    for number in range(count):
        length, at = struct.unpack_from(order + "2I", data, translations + 8 * number)
        for text in data[at:at + length].split(b"\0"):
            try:
                yield text.decode("utf-8")
            except UnicodeDecodeError:
                return


def read_text(path):
    data = path.read_bytes()
    if path.suffix == ".gz":
        data = gzip.decompress(data)
    return data.decode("utf-8")


def around_odd_characters():
    odd = [chr(code) for block in ((0x1F300, 0x1F6FF, 3), (0x1F900, 0x1F9FF, 5), (0x20000, 0x2A6D0, 200),
                                   (0x2190, 0x2BFF, 7), (0x0, 0xA0, 1), (0xE000, 0xE0FF, 16),
                                   (0x0300, 0x036F, 4), (0x2000, 0x206F, 1), (0xFE00, 0xFE0F, 1),
                                   (0x1D400, 0x1D7FF, 40), (0x3400, 0x4DBF, 150), (0xAC00, 0xD7A3, 300))
           for code in range(block[0], block[1] + 1, block[2])]
    odd += ["\U0001f468\u200d\U0001f469\u200d\U0001f467", "\U0001f1e9\U0001f1ea", "\u2764\ufe0f", "\ufeff",
            "\ufffd", "\ufffe", "\U0010ffff", "\u2581", "\u2581\u2581", "e\u0301", "\u1112\u1161\u11ab"]
    frames = ("{}", " {}", "{} ", "a{}b", "see {} there", "{0}{0}{0}", "\u4e2d{}\u6587", "\n{}\n")
    for one in odd:
        for frame in frames:
            yield frame.format(one)


def made_strings():
    for count in range(1, 201):
        yield " " * count
        yield "x" + " " * count + "y"
        yield "\n" * count
        yield "\t" * (count % 40) + " " * count + "if x:"
    yield from around_odd_characters()


def cut(text):
    data = text.encode("utf-8")
    return text if len(data) <= LONGEST_BYTES else data[:LONGEST_BYTES].decode("utf-8", "ignore")


def main():
    roots = [pathlib.Path(one) for one in sys.argv[1:]]
    files = sorted(path for root in roots for path in root.rglob("*") if path.is_file() and not path.is_symlink())
    strings = {}
    for path in (path for path in files if path.suffix in (".po", ".mo")):
        if len(strings) >= MOST_FROM_CATALOGUES:
            break
        try:
            found = po_strings(read_text(path)) if path.suffix == ".po" else mo_strings(path.read_bytes())
            # Several hundred of each, so that no language crowds out the others.
            strings.update(dict.fromkeys(list(found)[:700]))
        except (UnicodeDecodeError, OSError, struct.error):
            continue
    catalogues = len(strings)
    whole = lines = 0
    # A stride over the sorted list: all packages and sections get their part.
    others = [path for path in files if path.suffix in SUFFIXES or path.suffix[1:].isdigit()]
    for path in others[::max(1, len(others) // 4000)]:
        try:
            text = read_text(path)
        except (UnicodeDecodeError, OSError, EOFError):
            continue
        if whole < MOST_WHOLE_FILES and (len(text) > 2000 and whole % 3 or len(text) > 50_000):
            strings[cut(text)] = None
            whole += 1
        if lines < MOST_FROM_LINES:
            before = len(strings)
            parts = text.split("\n\n") if path.suffix in (".py", ".txt", ".md", ".rst", "") else text.split("\n")
            strings.update(dict.fromkeys(cut(part) for part in parts[:40]))
            lines += len(strings) - before
    for text in made_strings():
        strings[text] = None
    # "\ud800" and the like can come out of nowhere but escapes; keep what is UTF-8.
    encoded = []
    for text in strings:
        try:
            encoded.append(text.encode("utf-8"))
        except UnicodeEncodeError:
            continue
    for data in encoded:
        sys.stdout.buffer.write(struct.pack("<I", len(data)) + data)
    total = sum(map(len, encoded))
    print(f"corpus: {len(encoded)} strings, {total} bytes; {catalogues} from catalogues, {lines} parts and "
          f"{whole} whole files, {len(encoded) - catalogues - lines - whole} made; "
          f"longest {max(map(len, encoded))} bytes", file=sys.stderr)


main()
