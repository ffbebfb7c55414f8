"""Build of the native parts: drives CMake, decides what to do without a compiler, and records the reasons.

Environment variables read while building (never at run time):
  SVEBM_NATIVE=auto|off|require   CPU kernels; `auto` installs pure PyTorch where they cannot be built, `require` fails
  SVEBM_CUDA=auto|off|require     CUDA kernels, likewise; a GPU is not needed to build them, only nvcc
  SVEBM_CUDA_ARCHS                architectures such as "80;90", or "all" that nvcc knows; default: those of the GPUs
                                  that nvidia-smi shows, else 80, 86, 89, 90, 100 and 120 as far as nvcc knows them
  CXX, CUDACXX                    compilers, where not the ones on the path
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
DEFAULT_ARCHITECTURES = [80, 86, 89, 90, 100, 120]
ARTIFACTS = ("_native*", "libsvebm_cuda*", "_build.json")


class BuildUnavailableError(Exception):
    """A part cannot be built here; the text is the reason that the package keeps."""


@dataclasses.dataclass
class Part:
    """One part of the build (CPU kernels or CUDA kernels) and what became of it."""

    built: bool = False
    reason: str = ""
    compiler: str = ""
    architectures: list[str] = dataclasses.field(default_factory=list)


def mode_of(variable: str) -> str:
    mode = os.environ.get(variable, "auto").strip().lower() or "auto"
    if mode not in ("auto", "off", "require"):
        raise SystemExit(f"{variable}={mode}: expected auto, off or require")
    return mode


def run(*command: str) -> str:
    """Output of a command; raises BuildUnavailableError with the most telling line where it fails."""
    try:
        result = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
    except OSError as error:
        raise BuildUnavailableError(f"{command[0]} cannot be run: {error}") from error
    if result.returncode != 0:
        print(result.stdout, file=sys.stderr)
        raise BuildUnavailableError(f"{Path(command[0]).name} failed: {telling_line(result.stdout)}")
    return result.stdout


def telling_line(output: str) -> str:
    lines = [line.strip() for line in output.splitlines() if line.strip()]
    for i, line in enumerate(lines):
        if re.match(r"CMake Error", line):
            return " ".join(lines[i : i + 3])
        if re.search(r"\b(fatal )?error\b", line, re.IGNORECASE):
            return line
    return lines[-1] if lines else "no output"


def find_tool(name: str) -> str:
    """A build tool of the environment that runs this file (pip's isolated one, or the user's), else of the path."""
    beside = Path(sys.executable).parent / name
    found = shutil.which(name) or (str(beside) if beside.exists() else None)
    if found is None:
        raise BuildUnavailableError(f"no {name} found")
    return found


def find_cxx() -> str:
    asked = os.environ.get("CXX", "").strip()
    if asked:
        program = asked.split()[0]
        if shutil.which(program) is None:
            raise BuildUnavailableError(f"no C++ compiler: CXX={asked} cannot be run")
        return asked
    for name in ("c++", "g++", "clang++"):
        found = shutil.which(name)
        if found is not None:
            return found
    raise BuildUnavailableError("no C++ compiler: neither CXX nor c++, g++ or clang++ on the path")


def find_nvcc() -> str:
    """nvcc as the user would call it. It may be a wrapper script, so nothing is concluded from where it lies."""
    asked = os.environ.get("CUDACXX", "").strip()
    if asked:
        if shutil.which(asked) is None:
            raise BuildUnavailableError(f"no nvcc: CUDACXX={asked} cannot be run")
        return asked
    homes = [os.environ.get(name, "") for name in ("CUDA_HOME", "CUDA_PATH")] + ["/usr/local/cuda"]
    candidates = ["nvcc"] + [str(Path(home) / "bin" / "nvcc") for home in homes if home]
    for candidate in candidates:
        found = shutil.which(candidate)
        if found is not None:
            return found
    raise BuildUnavailableError("no nvcc: neither CUDACXX, the path, CUDA_HOME nor /usr/local/cuda has one")


def choose_architectures(nvcc: str) -> list[str]:
    """Machine code for the GPUs of this machine, or for a list of common ones; PTX of the highest for later GPUs."""
    known = sorted({int(number) for number in re.findall(r"compute_(\d+)", run(nvcc, "--list-gpu-arch"))})
    asked = os.environ.get("SVEBM_CUDA_ARCHS", "").strip()
    if asked and asked != "all":
        return [entry for entry in re.split(r"[;, ]+", asked) if entry]
    chosen = known if asked == "all" else [number for number in gpus_here() if number in known]
    chosen = chosen or [number for number in DEFAULT_ARCHITECTURES if number in known] or known[-1:]
    return [f"{number}-real" for number in chosen[:-1]] + [str(chosen[-1])]


def gpus_here() -> list[int]:
    try:
        capabilities = run("nvidia-smi", "--query-gpu=compute_cap", "--format=csv,noheader")
    except BuildUnavailableError:
        return []
    return sorted({int(text.replace(".", "")) for text in re.findall(r"^\s*(\d+\.\d)\s*$", capabilities, re.MULTILINE)})


def commit() -> str:
    """Commit of a clone, `+changes` where files differ; a copy without its history may be told it in SVEBM_COMMIT."""
    if not (ROOT / ".git").exists():
        return os.environ.get("SVEBM_COMMIT", "")
    try:
        changed = run(
            "git", "--no-optional-locks", "-C", str(ROOT), "status", "--porcelain", "--untracked-files=no"
        ).strip()
        return run("git", "-C", str(ROOT), "rev-parse", "HEAD").strip() + ("+changes" if changed else "")
    except BuildUnavailableError:
        return ""


class FreshBuildPy(build_py):
    """Files of an earlier build in build/lib would end up in the wheel."""

    def run(self) -> None:
        if not getattr(self, "editable_mode", False):
            shutil.rmtree(Path(self.build_lib) / "svebm_ext", ignore_errors=True)
        super().run()


class CMakeBuild(build_ext):
    """Builds `_native` and `libsvebm_cuda.so` into the package, or leaves them out with a reason in `_build.json`."""

    def run(self) -> None:
        target = Path(self.get_ext_fullpath("svebm_ext._native")).resolve().parent
        target.mkdir(parents=True, exist_ok=True)
        for pattern in ARTIFACTS:
            for stale in target.glob(pattern):
                stale.unlink()
        native, cuda = self.build_parts(target)
        record = {
            "version": self.distribution.get_version(),
            "commit": commit(),
            "python": platform.python_version(),
            "machine": platform.machine(),
            "native": dataclasses.asdict(native),
            "cuda": dataclasses.asdict(cuda),
        }
        (target / "_build.json").write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
        for name, part in (("CPU kernels", native), ("CUDA kernels", cuda)):
            print(f"svebm_ext: {name}: {'built with ' + part.compiler if part.built else 'left out: ' + part.reason}")

    def get_outputs(self) -> list[str]:
        target = Path(self.get_ext_fullpath("svebm_ext._native")).parent
        return [str(path) for pattern in ARTIFACTS for path in target.glob(pattern)]

    def copy_extensions_to_source(self) -> None:
        """Nothing: an editable install is built in place."""

    def build_parts(self, target: Path) -> tuple[Part, Part]:
        native_mode, cuda_mode = mode_of("SVEBM_NATIVE"), mode_of("SVEBM_CUDA")
        native, cuda = Part(), Part()
        if native_mode == "off":
            native.reason = "SVEBM_NATIVE=off when it was built"
            cuda.reason = "the CUDA kernels are called through the CPU library, which was left out"
            if cuda_mode == "require":
                raise SystemExit(f"SVEBM_CUDA=require: {cuda.reason}")
            return native, cuda
        try:
            cxx = find_cxx()
            native.compiler = run(*cxx.split(), "--version").splitlines()[0]
            if cuda_mode == "off":
                cuda.reason = "SVEBM_CUDA=off when it was built"
            else:
                self.build_with_cuda(target, cxx, cuda, required=cuda_mode == "require")
            if not cuda.built:
                self.cmake(target, cxx)
            native.built = True
        except BuildUnavailableError as error:
            native.reason = str(error)
            cuda.reason = cuda.reason or "the CUDA kernels are called through the CPU library, which was left out"
            if native_mode == "require" or cuda_mode == "require":
                variable = "SVEBM_NATIVE" if native_mode == "require" else "SVEBM_CUDA"
                raise SystemExit(f"{variable}=require, and the CPU kernels cannot be built: {error}") from error
        return native, cuda

    def build_with_cuda(self, target: Path, cxx: str, cuda: Part, required: bool) -> None:
        try:
            nvcc = find_nvcc()
            release = re.search(r"release ([\d.]+), V([\d.]+)", run(nvcc, "--version"))
            cuda.compiler = f"nvcc {release.group(2)}" if release else "nvcc of unknown version"
            cuda.architectures = choose_architectures(nvcc)
            architectures = ";".join(cuda.architectures)
            self.cmake(
                target,
                cxx,
                "-DSVEBM_CUDA=ON",
                f"-DCMAKE_CUDA_COMPILER={nvcc}",
                f"-DCMAKE_CUDA_ARCHITECTURES={architectures}",
            )
            cuda.built = True
        except BuildUnavailableError as error:
            cuda.reason, cuda.architectures = str(error), []
            if required:
                raise SystemExit(f"SVEBM_CUDA=require, and the CUDA kernels cannot be built: {error}") from error

    def cmake(self, target: Path, cxx: str, *options: str) -> None:
        import pybind11

        cmake = find_tool("cmake")
        # pip's isolated environment is another folder each time: paths that an earlier configuration kept are stale
        build = Path(self.build_temp).resolve() / "cmake"
        shutil.rmtree(build, ignore_errors=True)
        build.mkdir(parents=True)
        try:
            generator = ["-G", "Ninja", f"-DCMAKE_MAKE_PROGRAM={find_tool('ninja')}"]
        except BuildUnavailableError:
            generator = []
        environment_options = ["-DCMAKE_BUILD_TYPE=Release", f"-DCMAKE_INSTALL_PREFIX={target}"]
        environment_options += [f"-DPython_EXECUTABLE={sys.executable}", f"-Dpybind11_DIR={pybind11.get_cmake_dir()}"]
        version = f"-DSVEBM_VERSION={self.distribution.get_version()}"
        os.environ["CXX"] = cxx
        run(
            cmake, "-S", str(ROOT), "-B", str(build), *generator, *environment_options, version,
            "-DSVEBM_PYTHON=ON", *options,
        )  # fmt: skip
        print(run(cmake, "--build", str(build), "--parallel", str(os.cpu_count() or 1)))
        run(cmake, "--install", str(build))


setup(
    ext_modules=[Extension("svebm_ext._native", sources=[])],
    cmdclass={"build_ext": CMakeBuild, "build_py": FreshBuildPy},
)
