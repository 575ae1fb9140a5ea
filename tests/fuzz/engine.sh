#!/bin/bash
# engine.sh BUILD SECONDS [FUZZER...]: fuzzes what the engine reads from files, one target after another, each from seeds made here.
# Corpora, crashes and logs lie under BUILD/fuzz. The last line of each target: runs, coverage, or the input that broke it.
set -u
cd "$(dirname "$0")/../.." || exit 2
build=${1:?usage: tests/fuzz/engine.sh BUILD SECONDS [FUZZER...]} seconds=${2:-600}
shift 2
[ $# -gt 0 ] || set -- config gguf safetensors tokenizer vocabulary snapshot quantize constraint chat
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
checkpoints=tests/golden/checkpoints
broken=0
for name in "$@"; do
    program=$build/fuzz/fuzz_$name corpus=$build/fuzz/corpus-$name log=$build/fuzz/$name.log
    options=(-malloc_limit_mb=1024 -timeout=20)
    mkdir -p "$corpus"
    case $name in
    config) for d in "$checkpoints"/*/; do (echo; cat "$d/config.json") >"$corpus/$(basename "$d")"; done ;;
    safetensors)
        for d in dense mqa moe_fused; do
            (tr -d '\n' <"$checkpoints/$d/config.json"; echo; cat "$checkpoints/$d/model.safetensors") >"$corpus/$d"
        done ;;
    vocabulary) cp tests/golden/vocabularies/*.json tests/golden/vocabularies/*.model "$corpus" ;;
    chat) cp tests/golden/chat/*.json "$corpus" ;;
    tokenizer)
        options+=(-max_len=1000)
        head -c 900 README.md >"$corpus/readme"
        for f in tests/golden/vocabularies/*.jsonl; do head -c 900 "$f" >"$corpus/$(basename "$f")"; done ;;
    gguf | snapshot | quantize) FUZZ_SEEDS=$corpus "$program" -runs=1 >/dev/null 2>&1 ;;
    constraint)
        printf '(?:[a-z]+|\\d{1,3}(?:,\\d{3})*)\n12,345' >"$corpus/number"
        printf '"[^"\\\\]*"|\\x{20ac}.?\n"a"' >"$corpus/string" ;;
    esac
    [ "$name" = snapshot ] && options=(-malloc_limit_mb=64 -timeout=20)
    "$program" "${options[@]}" -max_total_time="$seconds" -print_final_stats=1 -artifact_prefix="$build/fuzz/$name-" "$corpus" >"$log" 2>&1
    status=$?
    runs=$(sed -nE 's/^stat::number_of_executed_units: +([0-9]+)/\1/p' "$log")
    cover=$(sed -nE 's/.* cov: ([0-9]+) ft: ([0-9]+) .*/\1 edges, \2 features/p' "$log" | tail -1)
    if [ $status -eq 0 ]; then
        echo "ok fuzz_$name: ${runs:-?} runs, ${cover:-?}"
    else
        echo "not ok fuzz_$name: status $status, see $log: $(grep -oE 'Test unit written to .*' "$log" | tail -1)"
        broken=1
    fi
done
exit $broken
