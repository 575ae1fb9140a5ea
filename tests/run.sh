#!/bin/bash
# run.sh: runs test programs and sums up. Unit tests are cmocka binaries; scripts print "ok NAME", "not ok NAME: why", "skip: why".
# Usage: tests/run.sh [--list] [--only NAME] [--label TEXT] PROGRAM...
# A skip must give a reason on a line "skip: ..." and that reason must match a line of tests/SKIPS, else it counts as a failure: a test
# that quietly stops running is a broken test. Last line: "N passed, N failed, N skipped".
set -u
cd "$(dirname "$0")/.." || exit 2

only="" list=0
while [ $# -gt 0 ]; do
    case "$1" in
    --list) list=1 ;;
    --only) only=$2; shift ;;
    --) shift; break ;;
    -*) echo "usage: tests/run.sh [--list] [--only NAME] PROGRAM..." >&2; exit 2 ;;
    *) break ;;
    esac
    shift
done

passed=0 failed=0 skipped=0 complaints=()
log=$(mktemp) || exit 2
trap 'rm -f "$log"' EXIT

count() { grep -cE "$1" "$log"; }
# cmocka's summary lines, one a group: "[  PASSED  ] 12 test(s)."
sum_of() { sed -nE "s/^\\[ +$1 +\\] ([0-9]+) test\\(s\\).*/\\1/p" "$log" | awk '{ n += $1 } END { print n + 0 }'; }

for program in "$@"; do
    name=$(basename "$program")
    name=${name%.*}
    [ -n "$only" ] && [ "$only" != "$name" ] && continue
    if [ "$list" = 1 ]; then echo "$name"; continue; fi
    echo "== $name"
    start=$SECONDS
    timeout "${TEST_TIMEOUT:-1200}" "$program" >"$log" 2>&1 </dev/null
    status=$?
    cat "$log"
    p=$(($(count '^\[       OK \]') + $(count '^ok ')))
    f=$(($(count '^\[  FAILED  \] [A-Za-z_0-9]+$') + $(count '^not ok ')))
    s=$(count '^\[  SKIPPED \] [A-Za-z_0-9]+$')
    # cmocka prints each failed and skipped test once where it happens and once in its summary
    if grep -q '^\[==========\]' "$log"; then
        f=$(sum_of 'FAILED')
        s=$(sum_of 'SKIPPED')
        p=$(sum_of 'PASSED')
    fi
    reasons=$(grep -E '^skip: ' "$log" | sed 's/^skip: //')
    n_reasons=$(printf '%s' "$reasons" | grep -c .)
    grep -q '^\[==========\]' "$log" || s=$n_reasons
    if [ "$s" -gt "$n_reasons" ]; then
        complaints+=("$name: $s skipped, but only $n_reasons reasons given")
        f=$((f + 1))
    fi
    while IFS= read -r reason; do
        [ -z "$reason" ] && continue
        if ! grep -vE '^(#|$)' tests/SKIPS | grep -qxE -f - <(printf '%s\n' "$reason"); then
            complaints+=("$name: this reason to skip is not in tests/SKIPS: $reason")
            f=$((f + 1))
        fi
    done <<<"$reasons"
    if [ "$status" -ne 0 ] && [ "$f" -eq 0 ]; then
        [ "$status" = 124 ] && complaints+=("$name: took too long") || complaints+=("$name: ended with status $status")
        f=1
    fi
    if [ "$status" -eq 0 ] && [ $((p + f + s)) -eq 0 ]; then
        complaints+=("$name: ran no test")
        f=1
    fi
    [ "$f" -gt 0 ] && complaints+=("$name: $f failed")
    echo "-- $name: $p passed, $f failed, $s skipped, $((SECONDS - start)) s"
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
done
[ "$list" = 1 ] && exit 0
echo
for c in "${complaints[@]}"; do echo "FAILED $c"; done
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ] && [ $((passed + skipped)) -gt 0 ]
