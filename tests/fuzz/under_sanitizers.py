"""Generated calls of the ops with kernels and binding built under ASan and UBSan (GCC, Linux).

    python tests/fuzz/under_sanitizers.py BUILD [SEED SECONDS [CASES]]

Builds the compiled module into BUILD/svebm_ext beside a copy of the package's Python files, where nothing else looks
for it, and runs op_worker.py on it. The sanitizer's library comes first into the process, so that torch's memory is
watched too.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pybind11

from svebm_ext import __version__

ROOT = Path(__file__).resolve().parent.parent.parent
SANITIZERS = "address,undefined"
#: Leaks are not looked for: Python and torch keep what they have until the end.
OPTIONS = {"ASAN_OPTIONS": "detect_leaks=0:abort_on_error=1", "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1"}


def build(folder: Path) -> Path:
    """Folder that has the package with the module built under sanitizers."""
    compiled, package = folder / "cmake", folder / "svebm_ext"
    options = {
        "CMAKE_CXX_COMPILER": "g++", "CMAKE_BUILD_TYPE": "Release", "SVEBM_PYTHON": "ON", "SVEBM_FUZZ": "ON",
        "SVEBM_SANITIZE": SANITIZERS, "SVEBM_VERSION": __version__, "Python_EXECUTABLE": sys.executable,
        "pybind11_DIR": pybind11.get_cmake_dir(), "CMAKE_INSTALL_PREFIX": str(package),
    }  # fmt: skip
    command = ["cmake", "-S", str(ROOT), "-B", str(compiled), *(f"-D{name}={value}" for name, value in options.items())]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    subprocess.run(["cmake", "--build", str(compiled), "--parallel", "2"], check=True)
    shutil.rmtree(package, ignore_errors=True)
    shutil.copytree(ROOT / "svebm_ext", package, ignore=shutil.ignore_patterns("*.so", "__pycache__", "_build.json"))
    subprocess.run(["cmake", "--install", str(compiled)], check=True, stdout=subprocess.DEVNULL)
    return folder


def library(name: str) -> str:
    """Path of one of the compiler's own libraries."""
    return subprocess.run(
        ["g++", f"-print-file-name={name}"], check=True, capture_output=True, text=True
    ).stdout.strip()


def main(folder: str, *arguments: str) -> int:
    """Status of op_worker.py, which prints what it found."""
    path = build(Path(folder).resolve())
    preloaded = " ".join(library(name) for name in ("libasan.so", "libubsan.so", "libstdc++.so"))
    environment = {**os.environ, **OPTIONS, "LD_PRELOAD": preloaded, "PYTHONPATH": str(path), "OMP_NUM_THREADS": "1"}
    worker = ROOT / "tests" / "fuzz" / "op_worker.py"
    return subprocess.call([sys.executable, str(worker), *(arguments or ("0", "60"))], env=environment, cwd=path)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
