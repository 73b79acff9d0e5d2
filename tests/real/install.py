"""Installs what the suite's servers stand on into a folder of its own, once: a
second call with the same versions and the same Python finds all of it there.

usage: install.py FOLDER      (run it with the Python that the servers shall have)

Exit code 75: cannot be done here, with the reason on standard error.
"""
import hashlib
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import zipfile

HERE = pathlib.Path(__file__).parent
NOT_HERE = 75
# LMDeploy's wheels differ by Python only in the compiled engine, which is not kept.
WHEEL = ["--python-version", "3.11", "--implementation", "cp", "--abi", "cp311",
         "--platform", "manylinux_2_28_x86_64", "--platform", "manylinux2014_x86_64"]


def versions(name):
    lines = (HERE / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def not_here(why):
    print(why, file=sys.stderr)
    sys.exit(NOT_HERE)


def pip(venv, *args, **options):
    command = [venv / "bin/python", "-m", "pip", *args, "--quiet", "--disable-pip-version-check",
               "--no-deps", "--only-binary=:all:"]
    return subprocess.run(command, **options)


def check_registry(venv):
    """Whether packages can be had at all; without this a broken pin would look
    like a missing network."""
    with tempfile.TemporaryDirectory() as nowhere:
        pinned = next(line for line in versions("requirements.txt") if line.startswith("shortuuid"))
        asked = pip(venv, "download", pinned, "--dest", nowhere, "--no-cache-dir", "--retries", "1",
                    "--timeout", "15", capture_output=True, text=True)
    if asked.returncode != 0:
        last = (asked.stderr.strip().splitlines() or ["pip gave no reason"])[-1]
        not_here(f"no package registry can be reached: {last[:300]}")


def lmdeploy(venv, folder, pinned):
    with tempfile.TemporaryDirectory(dir=folder) as download:
        pip(venv, "download", pinned, "--dest", download, *WHEEL, check=True)
        [wheel] = pathlib.Path(download).glob("*.whl")
        with zipfile.ZipFile(wheel) as content:
            kept = [name for name in content.namelist() if not name.endswith((".so", ".a")) and "/bin/" not in name]
            content.extractall(folder / pinned, kept)


def install(folder):
    venv = folder / "venv"
    made = subprocess.run([sys.executable, "-m", "venv", "--clear", venv], capture_output=True, text=True)
    if made.returncode != 0:
        not_here(f"{sys.executable} cannot make a virtual environment: {(made.stdout + made.stderr).strip()[-300:]}")
    check_registry(venv)
    pip(venv, "install", "--no-compile", "--requirement", HERE / "requirements.txt", check=True)
    for pinned in versions("lmdeploy.txt"):
        lmdeploy(venv, folder, pinned)
    site = next((venv / "lib").glob("python3.*")) / "site-packages"
    triton = site / "pytriton/tritonserver"
    stub = "triton_python_backend_stub"
    version = "%d.%d" % sys.version_info[:2]
    # The same depth below site-packages, so that it finds its libraries.
    shutil.copy(triton / "python_backend_stubs" / version / stub, triton / "backends/python" / stub)
    # Triton's python models import from here: they heed .pth files, not PYTHONPATH.
    (site / "pairbench_real.pth").write_text(f"{HERE / 'servers'}\n")


def main():
    folder = pathlib.Path(sys.argv[1]).resolve()
    if not (3, 10) <= sys.version_info[:2] <= (3, 12):
        not_here(f"Python {sys.version.split()[0]} is not one of 3.10 to 3.12")
    library = pathlib.Path(sysconfig.get_config_var("LIBDIR") or "", sysconfig.get_config_var("INSTSONAME") or "")
    if ".so" not in library.name or not library.exists():
        not_here(f"{sys.executable} has no shared library (Debian: libpython3.x)")
    wanted = hashlib.sha256(sys.version.encode())
    for file in ("install.py", "requirements.txt", "lmdeploy.txt"):
        wanted.update((HERE / file).read_bytes())
    # The .pth file names the folder that the suite lies in.
    wanted.update(str(HERE).encode())
    ready = folder / "ready"
    if ready.exists() and ready.read_text() == wanted.hexdigest():
        print(f"servers: installed in {folder}")
        return
    start = time.monotonic()
    ours = folder / "made-by-tests-real"
    if folder.exists() and any(folder.iterdir()) and not ours.exists():
        sys.exit(f"{folder} has files that are not this suite's: name an empty folder")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    ours.touch()
    install(folder)
    ready.write_text(wanted.hexdigest())
    print(f"servers: installed in {folder} within {time.monotonic() - start:.0f} s")


if __name__ == "__main__":
    main()
