#!/usr/bin/env bash
# One visit to a machine with a GPU: builds the package, runs the GPU tests, looks for bad memory accesses and races, trains
# and evaluates a row of Table 1 where there is data, and measures. Needs nvcc, PyTorch and pytest-benchmark there (for the
# training also tyro), and no network.
#
#   bench/gpu_session.sh [FOLDER]      results go to FOLDER, default $OUT, else bench/results/
#   DATA=DIR bench/gpu_session.sh      also trains: DIR, an absolute path, is the --data.root that holds ptb
#   LIMIT=SECONDS                      of the whole visit, default 570; TRAIN_SECONDS of the training, default 170
#   BUDGET=long ROWS="a b:1" LANES=2   which rows of Table 1, at which seed (else 0), and how many at a time, each in a
#                                      process; default one, svebm-ib, at budget cpu
#   MPS=1                              these processes share the GPU by its multi-process service, where that can be started
#   SITE=DIR                           where the package is built, and not built again if it is there
#   PARTS="tests bench"                some of: tests, sanitizer, train, bench, profile; default all
#   BENCHES="train_step langevin"      which of bench/bench_*.py; default all
#   SANITIZED="langevin or gru_decode" which kernels the sanitizer looks at; default all
#   REHEARSE=1 bench/gpu_session.sh    without a GPU: the build, and the tests and benchmarks skipping themselves
set -uo pipefail
cd "$(dirname "$0")/.."
root=$PWD
out=$(mkdir -p "${1:-${OUT:-bench/results}}" && cd "${1:-${OUT:-bench/results}}" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
site=${SITE:-$work/built}
failed=$work/failed
: >"$failed"

wants() {  # whether PARTS has it
  [[ " ${PARTS:-tests sanitizer train bench profile} " == *" $1 "* ]]
}

limited() {  # limited NAME SECONDS COMMAND...: output to the screen and to FOLDER/NAME.log
  local name=$1 seconds=$2 left=$((${LIMIT:-570} - SECONDS)) start=$SECONDS
  shift 2
  ((seconds <= left)) || seconds=$((left > 1 ? left : 1))
  printf '\n==== %s (at most %d s)\n' "$name" "$seconds"
  timeout "$seconds" "$@" >"$out/$name.log" 2>&1 || echo "$name: exit status $?" | tee -a "$out/$name.log" >>"$failed"
  printf '==== %s: %d s\n%s\n' "$name" $((SECONDS - start)) "$(tail -n 15 "$out/$name.log")"
}

if ! nvidia-smi --query-gpu=name,driver_version,compute_cap --format=csv,noheader && [[ -z ${REHEARSE:-} ]]; then
  echo "no GPU on this machine; REHEARSE=1 runs what can be run without one" >&2
  exit 1
fi
export SVEBM_COMMIT=${SVEBM_COMMIT:-$(git rev-parse HEAD 2>/dev/null)}

build() {  # the whole output to build.log; to ptxas.log what the compiler says of each kernel
  timeout 240 env SVEBM_NATIVE=require SVEBM_CUDA=require \
    python3 -m pip install -v --no-build-isolation --no-deps --no-index --target "$site" . >"$out/build.log" 2>&1 ||
    { tail -n 50 "$out/build.log"; return 1; }
  grep -oE "entry function '[^']+' for 'sm_[0-9]+'|[0-9]+ bytes spill stores|Used [0-9]+ registers.*" "$out/build.log" |
    paste -d ' ' - - - >"$out/ptxas.log"
}
if [[ ! -d $site/svebm_ext ]]; then build || exit 1; fi
printf '\n==== built: %d s\n' $SECONDS
export PYTHONPATH=$site${PYTHONPATH:+:$PYTHONPATH} PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
cd "$work"  # Python looks in the current folder first, where the sources without kernels would be
python3 - "$site" <<'PYTHON' || exit 1
import os, sys
import svebm_ext
from svebm_ext.ops.backend import unavailable_reason
if not svebm_ext.__file__.startswith(sys.argv[1]):
    sys.exit(f"{svebm_ext.__file__} is used, not what was built in {sys.argv[1]}")
reasons = {op: unavailable_reason(op, "cuda") for op in ("langevin", "gru_decode", "gru_sequence", "philox")}
if any(reasons.values()) and not os.environ.get("REHEARSE"):
    sys.exit(f"no CUDA kernels: {reasons}")
PYTHON
limited info 60 python3 -m svebm_ext.info

# What is not timed runs side by side, the tests of each file in a process of their own.
pytest=(python3 -m pytest --confcutdir="$root/tests/gpu" -q -p no:cacheprovider)
gpu_tests=("${pytest[@]}" "$root/tests/gpu")
if wants tests; then
  for file in "$root"/tests/gpu/test_*.py; do
    limited "$(basename "$file" .py)" 400 "${pytest[@]}" "$file" --durations=5 &
  done
fi
if wants sanitizer; then
  if command -v compute-sanitizer >/dev/null; then
    # without torch's caching allocator every tensor has its own allocation, whose ends the checker knows
    for tool in memcheck racecheck synccheck; do
      limited "$tool" 170 env PYTORCH_NO_CUDA_MEMORY_CACHING=1 \
        compute-sanitizer --tool "$tool" --error-exitcode 3 "${gpu_tests[@]}" -k "equal_the_reference${SANITIZED:+ and ($SANITIZED)}" &
    done
  else
    echo "no compute-sanitizer here" | tee "$out/memcheck.log"
  fi
fi

share_the_gpu() {  # kernels of several processes run side by side, in place of taking turns
  export CUDA_MPS_PIPE_DIRECTORY=$work/mps CUDA_MPS_LOG_DIRECTORY=$work/mps
  mkdir -p "$work/mps"
  # two processes at once, whose kernels wait for all of their blocks: as such they must not wait for each other's
  local sequences="$root/tests/gpu/test_gru_sequence_gpu.py" first
  if timeout 20 nvidia-cuda-mps-control -d; then
    limited mps-first 60 "${pytest[@]}" "$sequences" -k equal_the_reference &
    first=$!
    limited mps-second 60 "${pytest[@]}" "$sequences" -k equal_the_reference
    wait "$first"
    grep -q "^mps-" "$failed" || { echo "the multi-process service runs"; return; }
    stop_sharing
  fi
  unset CUDA_MPS_PIPE_DIRECTORY CUDA_MPS_LOG_DIRECTORY
  echo "no multi-process service" | tee -a "$failed"
}

stop_sharing() {
  echo quit | timeout 20 nvidia-cuda-mps-control
}

train_row() {  # train_row ROW[:SEED]
  local row=${1%:*} seed=0
  [[ $1 != *:* ]] || seed=${1#*:}
  limited "train-$row-seed$seed" "${TRAIN_SECONDS:-170}" python3 -m svebm_ext.experiments ptb --budget "${BUDGET:-cpu}" \
    --rows "$row" --seed "$seed" --data.root "$DATA" --out "$out/ptb"
}

train_rows() {
  local row running=0
  [[ -z ${MPS:-} ]] || share_the_gpu
  export OMP_NUM_THREADS=1
  for row in ${ROWS:-svebm-ib}; do
    ((running < ${LANES:-1})) || { wait -n; running=$((running - 1)); }
    train_row "$row" &
    running=$((running + 1))
  done
  wait
  [[ -z ${CUDA_MPS_PIPE_DIRECTORY:-} ]] || stop_sharing
}
if wants train && [[ -n ${DATA:-} ]]; then train_rows & fi
wait

bench() {  # bench NAME SECONDS: FOLDER/NAME.json and its tables
  # a warning, of torch's compiler say, is no reason to lose the figures
  limited "$1" "$2" env SVEBM_BENCH=short python3 -m pytest "$root/bench/bench_$1.py" -q -k "cuda-" -p no:cacheprovider \
    -W default --benchmark-json="$out/$1.json"
  if [[ -s $out/$1.json ]]; then python3 "$root/bench/report.py" "$out/$1.json" | tee "$out/$1.md"; fi
}
declare -A seconds=([gru_sequence]=45 [train_step]=60 [langevin]=120 [gru_decode]=80 [token_loss]=50 [philox]=30)
if wants bench; then
  for name in ${BENCHES:-gru_sequence train_step langevin gru_decode token_loss philox}; do bench "$name" "${seconds[$name]}"; done
fi

if wants profile && command -v ncu >/dev/null; then
  limited profile 60 ncu --clock-control none -k "regex:langevin_f|gru_scores" --section SpeedOfLight --section Occupancy \
    --section WarpStateStats --section SchedulerStats --section LaunchStats python3 "$root/bench/profile_kernels.py"
fi

if [[ -s $failed ]]; then
  echo "FAILED:"
  cat "$failed"
  exit 1
fi
echo "all passed in $SECONDS s"
