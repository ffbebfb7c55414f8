"""Real installations with pip: with nvcc, without CUDA, without a compiler, and damaged afterwards."""

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

import svebm_ext

ROOT = Path(__file__).resolve().parent.parent
TOOLS = ["setuptools>=77", "pybind11>=2.13", "cmake>=3.24", "ninja"]
NOWHERE = "/nowhere/compiler"
NVCC = shutil.which("nvcc") or shutil.which("/usr/local/cuda/bin/nvcc")
CXX = os.environ.get("CXX") or shutil.which("c++")

pytestmark = [pytest.mark.install, pytest.mark.slow, pytest.mark.timeout(900)]
needs_cxx = pytest.mark.skipif(CXX is None, reason="no C++ compiler on this machine")
needs_nvcc = pytest.mark.skipif(NVCC is None, reason="no nvcc on this machine")

ASK = """
import json, torch
from svebm_ext import info
from svebm_ext.ops.philox import Stream, philox_normal
arguments = dict(dim=7, n_steps=3, stream=Stream.INITIAL)
numbers = philox_normal(5, torch.arange(4), **arguments)
again = philox_normal(5, torch.arange(4), **arguments)
reference = philox_normal(5, torch.arange(4), backend="reference", **arguments)
error = (numbers - reference).abs().max() + (numbers - again).abs().max()
from svebm_ext import langevin
from svebm_ext.ops.gru_decode import GRUWeights, gru_decode
layers = [(torch.ones(5, 4) / 3, torch.zeros(5)), (torch.eye(5)[:3], torch.zeros(3))]
arguments = dict(n_steps=3, step_size=0.1, seed=1)
moved = [langevin(numbers[0, :, :4], layers, backend=b, **arguments).z for b in (None, "reference")]
gates, output = torch.sin(torch.arange(90.0)).view(10, 9), torch.eye(10)[:, :3]
weights = GRUWeights(gates, torch.eye(9)[:, :3], torch.zeros(9), output)
arguments = dict(max_tokens=5, begin=1, end=2, greedy=False)
start = torch.zeros(4, 3), torch.zeros(4, 9)
words = [gru_decode(*start, weights, backend=b, **arguments).tokens for b in (None, "reference")]
different = float((moved[0] - moved[1]).abs().max()) + float((words[0] != words[1]).sum())
print(json.dumps({"info": info.collect(), "error": float(error), "ops_error": different}))
"""


def build_environment(**changes):
    """The environment without what the caller's own settings would change in a build; None removes a variable."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("SVEBM_") and name != "PYTHONPATH"}
    return {name: value for name, value in {**kept, **changes}.items() if value is not None}


def pip(*arguments, **environment):
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", *map(str, arguments)]
    return subprocess.run(
        command, env=build_environment(**environment), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """A copy of what a clone holds, so that nothing built before can help."""
    if importlib.util.find_spec("pip") is None:
        pytest.skip("this Python environment has no pip")
    copy = tmp_path_factory.mktemp("clone")
    unwanted = shutil.ignore_patterns("__pycache__", "*.so", "_build.json", "*.egg-info", "build", "results")
    for folder in ("svebm_ext", "csrc", "python", "bench", "tests"):
        shutil.copytree(ROOT / folder, copy / folder, ignore=unwanted)
    for name in ("setup.py", "CMakeLists.txt", "pyproject.toml", "MANIFEST.in", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def tools(tmp_path_factory):
    """Build tools as a user has them who turns pip's isolation off."""
    folder = tmp_path_factory.mktemp("tools")
    result = pip("install", "--quiet", "--target", folder, *TOOLS)
    assert result.returncode == 0, result.stdout
    return {"PYTHONPATH": str(folder), "PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}


def build_wheel(sources, out, *options, **environment):
    """Build and return (pip's result, the wheel or None)."""
    result = pip("wheel", "--verbose", "--no-deps", "--wheel-dir", out, *options, sources, **environment)
    wheels = sorted(Path(out).glob("*.whl"))
    return result, wheels[0] if wheels else None


def install(sources, tmp_path, *options, **environment):
    """Build and install; returns (folder, the build's output, names of files in the wheel)."""
    result, wheel = build_wheel(sources, tmp_path / "wheel", *options, **environment)
    assert result.returncode == 0, result.stdout
    site = tmp_path / "site"
    installed = pip("install", "--quiet", "--no-deps", "--target", site, wheel)
    assert installed.returncode == 0, installed.stdout
    return site, result.stdout, zipfile.ZipFile(wheel).namelist()


def ask(site, cwd, **environment):
    """What a fresh Python, with this installation first on its path, says and computes: (answer, standard error)."""
    changes = {"PYTHONPATH": str(site), **environment}
    command = [sys.executable, "-W", "always", "-c", ASK]
    result = subprocess.run(command, cwd=cwd, env=build_environment(**changes), text=True, capture_output=True)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout), result.stderr


def library_files(names):
    return sorted(Path(name).name.split(".")[0] for name in names if name.endswith(".so"))


@pytest.fixture(scope="module")
def cpu_only(sources, tools, tmp_path_factory):
    """Installed with SVEBM_CUDA=off: (folder, build output, wheel's files)."""
    out = tmp_path_factory.mktemp("cpu")
    return install(sources, out, "--no-build-isolation", SVEBM_CUDA="off", SVEBM_NATIVE="require", **tools)


def known_architectures():
    known = subprocess.run([NVCC, "--list-gpu-arch"], capture_output=True, text=True, check=True).stdout
    return sorted({int(number) for number in re.findall(r"compute_(\d+)", known)})


@needs_nvcc
def test_all_architectures_are_those_that_nvcc_knows():
    """In a process of its own: importing setuptools changes the process that does."""
    code = (
        "import runpy, setuptools; setuptools.setup = lambda **settings: None;"
        f"print(*runpy.run_path('setup.py')['choose_architectures']({NVCC!r}))"
    )
    environment = build_environment(SVEBM_CUDA_ARCHS="all")
    result = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert [int(entry.removesuffix("-real")) for entry in result.stdout.split()] == known_architectures()


@needs_cxx
@needs_nvcc
def test_with_nvcc_kernels_are_built_in_pips_isolated_environment(sources, tmp_path):
    """For the oldest and the newest architecture and one between; with SVEBM_TEST_ARCHS=all for every one."""
    known = known_architectures()
    numbers = known if os.environ.get("SVEBM_TEST_ARCHS") == "all" else sorted({known[0], 90, known[-1]} & set(known))
    settings = {"SVEBM_CUDA": "require", "SVEBM_NATIVE": "require", "SVEBM_CUDA_ARCHS": ";".join(map(str, numbers))}
    site, output, names = install(sources, tmp_path, **settings)
    assert library_files(names) == ["_native", "libsvebm_cuda"]
    answer, errors = ask(site, tmp_path)
    cuda = answer["info"]["cuda"]
    assert [int(entry.removesuffix("-real")) for entry in cuda["architectures"]] == numbers
    assert cuda["built"] and cuda["compiler"].startswith("nvcc ")
    assert set(re.findall(r"philox_kernel\S*' for 'sm_(\d+)'", output)) == {str(number) for number in numbers}
    check_ptxas(output)
    for op in ("gru_decode", "gru_sequence", "langevin", "philox"):
        assert answer["info"]["ops"][op]["cpu"] == {"backend": "native", "reason": ""}
    assert answer["error"] < 4e-6 and answer["ops_error"] < 1e-5
    assert "NativeFallbackWarning" not in errors
    check_library_opens_without_a_driver(site)


REGISTERS = {
    "philox_kernel": 40,
    "probe": 16,
    # of 65,536 registers, blocks of 256 and of at most 384 threads leave 255 and 168 to a thread
    "langevin_fp32_kernel": 168,
    "langevin_fast_kernel": 168,
    "langevin_pack_fp32_kernel": 40,
    "langevin_pack_fast_kernel": 40,
    "gru_prepare_kernel": 64,
    "gru_persistent_kernel": 255,  # one block of 256 threads a multiprocessor
    "gru_gates_kernel": 128,  # two
    "gru_scores_kernel": 128,
    "gru_choose_kernel": 96,
    "gru_sequence_kernel": 128,  # one block of 512 threads
}


def check_ptxas(output):
    """Every kernel is within its budget of registers, spills nothing and declares no shared memory of fixed size."""
    function, spills = r"entry function '(\S+)' for 'sm_(\d+)'", r"(\d+) bytes spill stores, (\d+) bytes spill loads"
    figures = re.findall(rf"{function}.*?{spills}.*?Used (\d+) registers([^\n]*)", output, re.DOTALL)
    assert figures
    for kernel, architecture, stores, loads, registers, rest in figures:
        budget = next(limit for name, limit in REGISTERS.items() if name in kernel)
        assert (stores, loads) == ("0", "0"), (kernel, architecture)
        assert int(registers) <= budget, (kernel, architecture, registers)
        assert "bytes smem" not in rest, (kernel, architecture, rest)
    assert {name for name in REGISTERS if any(name in figure[0] for figure in figures)} == set(REGISTERS)


def check_library_opens_without_a_driver(site):
    """The runtime is inside the file: it opens anywhere, and only a device can be missing."""
    code = (
        "from svebm_ext.ops.native_library import native_library as found;"
        "library = found(); path = library.path.parent / 'libsvebm_cuda.so';"
        "assert library.module.load_cuda(str(path)) == '', library.module.load_cuda(str(path));"
        "assert library.module.cuda_device_reason(4096) != ''"
    )
    command = [sys.executable, "-c", code]
    result = subprocess.run(
        command, cwd=site, env=build_environment(PYTHONPATH=str(site)), text=True, capture_output=True
    )
    assert result.returncode == 0, result.stderr


@needs_cxx
def test_without_cuda_the_cpu_kernels_are_installed(cpu_only, tmp_path):
    site, _, names = cpu_only
    assert library_files(names) == ["_native"]
    answer, errors = ask(site, tmp_path)
    assert answer["info"]["cuda"]["built"] is False
    assert "SVEBM_CUDA=off" in answer["info"]["cuda"]["reason"]
    assert answer["info"]["native"]["loaded"].startswith(str(site))
    assert answer["info"]["ops"]["philox"]["cpu"]["backend"] == "native"
    assert answer["error"] < 4e-6
    assert "NativeFallbackWarning" not in errors


@needs_cxx
def test_the_wheel_holds_the_package_and_nothing_else(cpu_only, sources):
    _, _, names = cpu_only
    inside = {name for name in names if ".dist-info/" not in name}
    compiled = {name for name in inside if name.endswith(".so")} | {"svebm_ext/_build.json"}
    expected = {path.relative_to(sources).as_posix() for path in (sources / "svebm_ext").rglob("*") if path.is_file()}
    assert inside - compiled == {name for name in expected if not name.endswith(".pyc")}
    assert compiled <= inside
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)
    assert f"svebm_ext-{svebm_ext.__version__}.dist-info/METADATA" in names


@needs_cxx
def test_in_a_clones_root_the_installed_library_is_used(cpu_only, sources):
    """There the source folder, which has no compiled files, hides the installed package."""
    site, _, _ = cpu_only
    answer, errors = ask(site, sources)
    assert answer["info"]["package"] == str(sources / "svebm_ext")
    assert answer["info"]["native"]["loaded"].startswith(str(site))
    assert answer["info"]["ops"]["philox"]["cpu"]["backend"] == "native"
    assert "NativeFallbackWarning" not in errors


@needs_cxx
def test_sources_of_another_version_do_not_use_the_installed_library(cpu_only, sources, tmp_path):
    site, _, _ = cpu_only
    shutil.copytree(sources / "svebm_ext", tmp_path / "svebm_ext")
    library = tmp_path / "svebm_ext" / "ops" / "native_library.py"
    library.write_text(re.sub(r"^ABI_VERSION = \d+", "ABI_VERSION = 999", library.read_text(), flags=re.MULTILINE))
    answer, errors = ask(site, tmp_path)
    assert answer["info"]["native"]["loaded"] is None
    assert "interface 999" in answer["info"]["native"]["reason"]
    assert errors.count("NativeFallbackWarning:") == 1


@needs_cxx
def test_an_extension_removed_after_installation_leaves_pure_pytorch(cpu_only, tmp_path):
    site = tmp_path / "site"
    shutil.copytree(cpu_only[0], site)
    for library in (site / "svebm_ext").glob("_native*"):
        library.unlink()
    answer, errors = ask(site, tmp_path)
    assert "is no longer in" in answer["info"]["ops"]["philox"]["cpu"]["reason"]
    assert answer["info"]["ops"]["philox"]["cpu"]["backend"] == "reference"
    assert answer["error"] == 0 and answer["ops_error"] == 0
    assert errors.count("NativeFallbackWarning:") == 1
    demanding = {"PYTHONPATH": str(site), "SVEBM_BACKEND": "native"}
    command = [sys.executable, "-c", ASK]
    result = subprocess.run(command, cwd=tmp_path, env=build_environment(**demanding), text=True, capture_output=True)
    assert result.returncode != 0
    assert "BackendUnavailableError" in result.stderr and "is no longer in" in result.stderr


@needs_cxx
def test_a_damaged_extension_leaves_pure_pytorch(cpu_only, tmp_path):
    site = tmp_path / "site"
    shutil.copytree(cpu_only[0], site)
    for library in (site / "svebm_ext").glob("_native*"):
        library.write_bytes(b"no library at all")
    answer, errors = ask(site, tmp_path)
    assert "cannot be loaded" in answer["info"]["native"]["reason"]
    assert answer["error"] == 0
    assert errors.count("NativeFallbackWarning:") == 1


def test_without_a_compiler_pure_pytorch_is_installed(sources, tools, tmp_path):
    site, _, names = install(sources, tmp_path, "--no-build-isolation", CXX=NOWHERE, CC=NOWHERE, **tools)
    assert library_files(names) == []
    answer, errors = ask(site, tmp_path)
    assert NOWHERE in answer["info"]["native"]["reason"]
    assert answer["info"]["ops"]["philox"]["cpu"]["backend"] == "reference"
    assert answer["error"] == 0 and answer["ops_error"] == 0
    assert errors.count("NativeFallbackWarning:") == 1
    assert NOWHERE in errors


@needs_cxx
def test_an_nvcc_that_fails_leaves_the_cpu_kernels(sources, tools, tmp_path):
    broken = tmp_path / "nvcc"
    broken.write_text("#!/bin/sh\necho 'error: this compiler has no licence' >&2\nexit 1\n")
    broken.chmod(0o755)
    settings = {"CUDACXX": str(broken), "SVEBM_NATIVE": "require", **tools}
    site, _, names = install(sources, tmp_path, "--no-build-isolation", **settings)
    assert library_files(names) == ["_native"]
    answer, _ = ask(site, tmp_path)
    assert "this compiler has no licence" in answer["info"]["cuda"]["reason"]
    assert answer["info"]["ops"]["philox"]["cpu"]["backend"] == "native"


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"SVEBM_NATIVE": "require", "CXX": NOWHERE}, f"SVEBM_NATIVE=require.*{NOWHERE}"),
        ({"SVEBM_CUDA": "require", "CUDACXX": NOWHERE}, f"SVEBM_CUDA=require.*({NOWHERE}|C\\+\\+)"),
        ({"SVEBM_CUDA": "require", "SVEBM_NATIVE": "off"}, "SVEBM_CUDA=require"),
        ({"SVEBM_CUDA": "perhaps"}, "SVEBM_CUDA=perhaps: expected auto, off or require"),
    ],
)
def test_what_is_required_and_missing_stops_the_installation(sources, tools, tmp_path, settings, complaint):
    result, wheel = build_wheel(sources, tmp_path, "--no-build-isolation", **{**tools, **settings})
    assert result.returncode != 0
    assert wheel is None
    assert re.search(complaint, result.stdout), result.stdout


def test_the_source_distribution_can_be_built_from(sources, tools, tmp_path):
    code = f"from setuptools import build_meta; build_meta.build_sdist({str(tmp_path)!r})"
    command = [sys.executable, "-c", code]
    result = subprocess.run(command, cwd=sources, env=build_environment(**tools), text=True, capture_output=True)
    assert result.returncode == 0, result.stderr
    with tarfile.open(next(tmp_path.glob("*.tar.gz"))) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    needed = {"setup.py", "CMakeLists.txt", "csrc/philox/cuda/philox.cu", "python/module.cpp", "svebm_ext/py.typed"}
    assert needed | {"tests/test_install.py", "tests/cpp/CMakeLists.txt"} <= names
    assert not [name for name in names if name.endswith((".so", "_build.json", ".pyc"))]
