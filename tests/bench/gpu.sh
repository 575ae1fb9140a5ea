#!/bin/sh
# gpu.sh: the one command behind the GPU part of RESULTS.md: tests, sanitizers, kernels, both shapes, raw into a folder.
#
#   tests/bench/gpu.sh FOLDER [PROGRAMS]
#
# PROGRAMS: a folder with test_cuda, test_cuda_golden, test_choose, test_cuda_fp8, bench_kernels and bench_gpu built elsewhere (and, in `commit`, of which
# commit; libraries in it are found); without it they are built here (gcc, nvcc, jansson, cmocka). With a model at $ANTINOMY_MODEL (default engine/models)
# its tests run too; $IDS (made by real_256k make) adds the real pass and, where python3 has torch, its f32 reference.
#
# Apart from building and the real pass it ends within $LIMIT seconds (360): each step has a bound, the sanitizers end at 60 % of the time so that the
# measuring has the rest, and a step for which no time is left is told as skipped. A step stopped at its bound has failed. LIMIT=1800 and
# PREFILL=4096,32768,131072,262144 ROUNDS=0 (bench_gpu decides) for the numbers of RESULTS.md. The last line counts; the exit status is 1 when anything failed.
set -u
OUT=${1:?usage: tests/bench/gpu.sh FOLDER [PROGRAMS]}
P=${2:-}
mkdir -p "$OUT"
if [ -z "$P" ]; then
    P=build-gpu/programs
    make CUDA=1 BUILD=build-gpu build-gpu/tests/test_cuda build-gpu/tests/test_cuda_fp8 build-gpu/tests/test_cuda_golden build-gpu/tests/test_choose build-gpu/bench/bench_kernels build-gpu/bench/bench_gpu build-gpu/bench/real_256k || exit 1
    mkdir -p $P && cp build-gpu/tests/test_cuda* build-gpu/tests/test_choose build-gpu/bench/* $P/ || exit 1
fi
export REQUIRE_GPU=1 LD_LIBRARY_PATH="$P:${LD_LIBRARY_PATH:-}"
LIMIT=${LIMIT:-360} PREFILL=${PREFILL:-32768,262144} ROUNDS=${ROUNDS:-2}
start=$(date +%s)
n_run=0 n_passed=0 n_failed=0 n_skipped=0
{
    date -u +%Y-%m-%d
    echo "commit ${COMMIT:-$(cat "$P/commit" 2>/dev/null || git rev-parse HEAD 2>/dev/null)}"
    nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit --format=csv,noheader
    nvcc --version 2>/dev/null | tail -1
} >"$OUT/card.txt"

# step NAME SECONDS PERCENT LOG COMMAND...: appends to LOG, for at most SECONDS and not past PERCENT of all the time.
step() {
    name=$1 bound=$2 left=$((start + LIMIT * $3 / 100 - $(date +%s))) log=$OUT/$4
    shift 4
    [ $left -lt "$bound" ] && bound=$left
    if [ "$bound" -lt 5 ]; then
        n_skipped=$((n_skipped + 1))
        echo "## $name: skipped, no time left"
        return
    fi
    began=$(date +%s)
    timeout -k 5 "$bound" "$@" >>"$log" 2>&1
    rc=$?
    n_run=$((n_run + 1))
    if [ $rc = 0 ]; then
        n_passed=$((n_passed + 1)) how=passed
    else
        n_failed=$((n_failed + 1)) how="FAILED, status $rc"
        if [ $rc = 124 ] || [ $rc = 137 ]; then how="FAILED, stopped at its bound of $bound s"; fi
    fi
    echo "## $name: $how, $(($(date +%s) - began)) s"
}

rm -f "$OUT"/test_*.log
for log in test_cuda_fp8.log sanitizer.log kernels.csv; do : >"$OUT/$log"; done
step test_cuda_golden 60 100 test_cuda_golden.log "$P/test_cuda_golden"
step test_choose 60 100 test_choose.log "$P/test_choose"
step test_cuda 120 100 test_cuda.log "$P/test_cuda"
step test_cuda_fp8 120 100 test_cuda_fp8.log "$P/test_cuda_fp8"
grep -A7 '^weights,' "$OUT/test_cuda_fp8.log"
grep -h '^\[  FAILED  \]' "$OUT"/test_*.log | sort -u

# The operations at test sizes, and the whole backend with a small mixture of experts. cuBLAS' own kernels are not ours to check for races (and
# racecheck reports them).
check() { # TOOL PROGRAM TESTS SECONDS
    all=
    [ "$1" = racecheck ] && all='--racecheck-report all'
    step "$1 $2 $3" "$4" 60 sanitizer.log env ONLY="$3" CHOICES=84 compute-sanitizer --tool "$1" $all --error-exitcode 9 "$P/$2"
}
if command -v compute-sanitizer >/dev/null; then
    check memcheck test_cuda_golden 'test_checkpoints*' 60
    check racecheck test_cuda 'test_scan*' 60
    check memcheck test_cuda 'test_*plain_loops*' 60
    check memcheck test_cuda 'test_m*' 30
    check memcheck test_cuda 'test_stages*' 60
    for tests in 'test_norms*' 'test_attention*' 'test_gemv*'; do check racecheck test_cuda "$tests" 60; done
    for tool in memcheck racecheck; do check $tool test_choose 'test_choices*' 60; done
    grep -v 'Host Frame' "$OUT/sanitizer.log" >"$OUT/sanitizer.tmp"
    mv "$OUT/sanitizer.tmp" "$OUT/sanitizer.log"
    grep SUMMARY "$OUT/sanitizer.log" | sort | uniq -c
else
    n_skipped=$((n_skipped + 10))
    echo "## memcheck and racecheck: skipped, no compute-sanitizer"
fi

for run in 'mini int8 32' 'mini fp8 32' '3b none 32' '3b fp8 32'; do
    set -- $run
    arguments="--shape $1 --quantize $2 --prefill $PREFILL --rounds $ROUNDS --decode 128 --forks $3"
    echo "# bench_gpu $arguments" >"$OUT/$1-$2.csv"
    step "bench_gpu $1 $2" 120 100 "$1-$2.csv" "$P/bench_gpu" $arguments
    grep -v round "$OUT/$1-$2.csv"
done
step bench_kernels 60 100 kernels.csv "$P/bench_kernels"
python3 -c 'import torch' 2>/dev/null && step peer.py 30 100 kernels.csv python3 tests/bench/peer.py

if [ -n "${IDS:-}" ]; then
    MODEL=${ANTINOMY_MODEL:-engine/models}
    "$P/real_256k" run "$MODEL" "$IDS" "$OUT/hidden.f32" >"$OUT/real_256k.log" 2>&1 || n_failed=$((n_failed + 1))
    python3 -c 'import torch' 2>/dev/null && { python3 tests/golden/jamba_ref.py "$MODEL" "$IDS" "$OUT/hidden.f32" >>"$OUT/real_256k.log" 2>&1 || n_failed=$((n_failed + 1)); }
    rm -f "$OUT/hidden.f32"
    cat "$OUT/real_256k.log"
fi
tests=$(cat "$OUT"/test_*.log | awk '/^\[==========\] [0-9]+ test\(s\) run/ { r += $2 } /^\[  PASSED  \] [0-9]+ test/ { p += $4 } /^\[  SKIPPED \] [0-9]+ test/ { s += $4 }
    END { printf "%d tests run, %d passed, %d skipped", r, p, s }')
echo "gpu.sh: $tests; $n_run steps run, $n_passed passed, $n_failed failed, $n_skipped skipped; $(($(date +%s) - start)) s" | tee "$OUT/counts.txt"
[ $n_failed = 0 ]
