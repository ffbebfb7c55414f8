#!/usr/bin/env bash
# One visit to a machine with a GPU, under ten minutes: builds the package, runs the GPU tests, looks for bad memory accesses
# and races, and measures. Needs nvcc, PyTorch and pytest-benchmark there, and no network.
#
#   bench/gpu_session.sh [FOLDER]      results go to FOLDER, default $OUT, else bench/results/
#   REHEARSE=1 bench/gpu_session.sh    without a GPU: the build, and the tests and benchmarks skipping themselves
set -uo pipefail
cd "$(dirname "$0")/.."
out=$(mkdir -p "${1:-${OUT:-bench/results}}" && cd "${1:-${OUT:-bench/results}}" && pwd)
site=$(mktemp -d)
trap 'rm -rf "$site"' EXIT
failed=()

limited() {  # limited NAME SECONDS COMMAND...: output to the screen and to FOLDER/NAME.log
  local name=$1 seconds=$2 left=$((570 - SECONDS))  # of the ten minutes of the whole visit
  shift 2
  ((seconds <= left)) || seconds=$((left > 1 ? left : 1))
  printf '\n==== %s (at most %d s)\n' "$name" "$seconds"
  timeout "$seconds" "$@" 2>&1 | tee "$out/$name.log" || failed+=("$name")
}

if ! nvidia-smi --query-gpu=name,driver_version,compute_cap --format=csv,noheader && [[ -z ${REHEARSE:-} ]]; then
  echo "no GPU on this machine; REHEARSE=1 runs what can be run without one" >&2
  exit 1
fi
export SVEBM_COMMIT=${SVEBM_COMMIT:-$(git rev-parse HEAD 2>/dev/null)}

build() {  # the whole output to build.log; to the screen what the compiler says of each kernel
  timeout 240 env SVEBM_NATIVE=require SVEBM_CUDA=require \
    python3 -m pip install -v --no-build-isolation --no-deps --no-index --target "$site" . >"$out/build.log" 2>&1 ||
    { tail -n 50 "$out/build.log"; return 1; }
  grep -oE "entry function '[^']+' for 'sm_[0-9]+'|[0-9]+ bytes spill stores|Used [0-9]+ registers.*" "$out/build.log" |
    paste -d ' ' - - - | tee "$out/ptxas.log"
}
printf '\n==== build\n'
build || exit 1
export PYTHONPATH=$site PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
limited info 60 python3 -m svebm_ext.info

gpu_tests=(python3 -m pytest tests/gpu --confcutdir=tests/gpu -q -p no:cacheprovider)
limited tests 180 "${gpu_tests[@]}"
if command -v compute-sanitizer >/dev/null; then
  # without torch's caching allocator every tensor has its own allocation, whose ends the checker knows
  for tool in memcheck racecheck synccheck; do
    limited "$tool" 100 env PYTORCH_NO_CUDA_MEMORY_CACHING=1 \
      compute-sanitizer --tool "$tool" --error-exitcode 3 "${gpu_tests[@]}" -k "equal_the_reference"
  done
else
  echo "no compute-sanitizer here" | tee "$out/memcheck.log"
fi
# Where every benchmark skips itself, pytest-benchmark warns that it saves nothing: an error unless this is a rehearsal.
bench() {  # bench NAME SECONDS FILE...: FOLDER/NAME.json and the tables of it; in two parts, as a part that is late has none
  local name=$1 seconds=$2
  shift 2
  limited "$name" "$seconds" env SVEBM_BENCH=short python3 -m pytest "$@" -q -k "cuda-" -p no:cacheprovider \
    ${REHEARSE:+-W default::pytest_benchmark.logger.PytestBenchmarkWarning} --benchmark-json="$out/$name.json"
  if [[ -s $out/$name.json ]]; then python3 bench/report.py "$out/$name.json" | tee "$out/$name.md"; fi
}
bench gpu 180 bench/bench_{gru_decode,langevin,philox}.py
bench gpu_training 90 bench/bench_{token_loss,train_step}.py

if ((${#failed[@]})); then
  echo "FAILED: ${failed[*]}"
  exit 1
fi
echo "all passed in $SECONDS s"
