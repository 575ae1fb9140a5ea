#!/bin/sh
# gpu.sh: the one command behind the GPU part of RESULTS.md: tests, sanitizers, kernels, both shapes, raw into a folder.
#
#   tests/bench/gpu.sh FOLDER [PROGRAMS]
#
# PROGRAMS: a folder with test_cuda, test_cuda_golden, test_choose, test_cuda_fp8, bench_kernels and bench_gpu built elsewhere; without it they are built here (gcc, nvcc, jansson, cmocka).
# With a model at $ANTINOMY_MODEL (default engine/models) its tests run too; $IDS (made by real_256k make) adds the real pass and, where
# python3 has torch, its f32 reference.
set -u
OUT=${1:?usage: tests/bench/gpu.sh FOLDER [PROGRAMS]}
P=${2:-}
mkdir -p "$OUT"
if [ -z "$P" ]; then
    P=build-gpu/programs
    make CUDA=1 BUILD=build-gpu build-gpu/tests/test_cuda build-gpu/tests/test_cuda_fp8 build-gpu/tests/test_cuda_golden build-gpu/tests/test_choose build-gpu/bench/bench_kernels build-gpu/bench/bench_gpu build-gpu/bench/real_256k || exit 1
    mkdir -p $P && cp build-gpu/tests/test_cuda* build-gpu/tests/test_choose build-gpu/bench/* $P/ || exit 1
fi
export REQUIRE_GPU=1
failed=0
{
    date -u +%Y-%m-%d
    echo "commit ${COMMIT:-$(git rev-parse HEAD 2>/dev/null)}"
    nvidia-smi --query-gpu=name,driver_version,memory.total,clocks.max.sm,power.limit --format=csv,noheader
    nvcc --version 2>/dev/null | tail -1
} >"$OUT/card.txt"

"$P/test_cuda" >"$OUT/test_cuda.log" 2>&1 || failed=1
tail -3 "$OUT/test_cuda.log"
for program in test_cuda_golden test_choose; do
    "$P/$program" >"$OUT/$program.log" 2>&1 || failed=1
    tail -3 "$OUT/$program.log"
done
"$P/test_cuda_fp8" >"$OUT/test_cuda_fp8.log" 2>&1 || failed=1
grep -A7 '^weights,' "$OUT/test_cuda_fp8.log"
tail -3 "$OUT/test_cuda_fp8.log"

# The operations at test sizes, and the whole backend with a small mixture of experts. cuBLAS' own kernels are not ours to check for races (and
# racecheck reports them).
if command -v compute-sanitizer >/dev/null; then
    {
        for tests in 'test_*plain_loops*' 'test_m*' 'test_stages*'; do
            echo "## memcheck $tests"
            ONLY=$tests compute-sanitizer --tool memcheck --error-exitcode 9 "$P/test_cuda" 2>&1 || echo "## failed"
        done
        for tests in 'test_gemv*' 'test_norms*' 'test_attention*' 'test_scan*'; do
            echo "## racecheck $tests"
            ONLY=$tests compute-sanitizer --tool racecheck --racecheck-report all --error-exitcode 9 "$P/test_cuda" 2>&1 || echo "## failed"
        done
        for tool in memcheck racecheck; do
            echo "## $tool test_choices*"
            CHOICES=84 ONLY='test_choices*' compute-sanitizer --tool $tool --error-exitcode 9 "$P/test_choose" 2>&1 || echo "## failed"
        done
        echo "## memcheck test_checkpoints*"
        ONLY='test_checkpoints*' compute-sanitizer --tool memcheck --error-exitcode 9 "$P/test_cuda_golden" 2>&1 || echo "## failed"
    } | grep -v 'Host Frame' >"$OUT/sanitizer.log"
    grep -E '^##|SUMMARY' "$OUT/sanitizer.log"
    grep -q '## failed' "$OUT/sanitizer.log" && failed=1
fi

{
    "$P/bench_kernels" || failed=1
    python3 tests/bench/peer.py 2>/dev/null
} >"$OUT/kernels.csv"
for run in 'mini int8 32' 'mini fp8 32' '3b none 32' '3b fp8 32'; do
    set -- $run
    echo "# bench_gpu --shape $1 --quantize $2 --prefill 4096,32768,131072,262144 --decode 128 --forks $3" >"$OUT/$1-$2.csv"
    "$P/bench_gpu" --shape "$1" --quantize "$2" --prefill 4096,32768,131072,262144 --decode 128 --forks "$3" >>"$OUT/$1-$2.csv" 2>&1 || failed=1
    grep -v round "$OUT/$1-$2.csv"
done
if [ -n "${IDS:-}" ]; then
    MODEL=${ANTINOMY_MODEL:-engine/models}
    "$P/real_256k" run "$MODEL" "$IDS" "$OUT/hidden.f32" >"$OUT/real_256k.log" 2>&1 || failed=1
    python3 -c 'import torch' 2>/dev/null && { python3 tests/golden/jamba_ref.py "$MODEL" "$IDS" "$OUT/hidden.f32" >>"$OUT/real_256k.log" 2>&1 || failed=1; }
    rm -f "$OUT/hidden.f32"
    cat "$OUT/real_256k.log"
fi
exit $failed
