#!/usr/bin/env bash
# demo.sh PROGRAM SCORE OUT: the main job on the sample set, from nothing: reads the documents, answers three questions, finds the contradictions,
# and says what was found of the planted ones, with the model and without. Nothing precomputed is used. Seconds per stage at the end.
set -eu
program=$1 score=$2 out=$3
here=$(cd "$(dirname "$0")" && pwd)
samples=$here/data/samples
rm -rf "$out"
mkdir -p "$out"
a() { "$program" --data "$out/data" "$@"; }
now() { date +%s.%N; }
stage() { # NAME COMMAND...: runs it, keeps its seconds
    local name=$1 t0
    shift
    t0=$(now)
    "$@"
    printf '%-46s %7.1f s\n' "$name" "$(echo "$(now) $t0" | awk '{print $1 - $2}')" >>"$out/stages"
}
: >"$out/stages"

echo "== The sample set: a supply agreement, its amendment, price schedule and quality policy; Regulation M of 2011 and 2015; two policies"
stage "read 8 documents" a ingest sample "$samples"/*.pdf "$samples"/*.docx "$samples"/*.html "$samples"/*.md
ask() {
    printf '\n== %s\n' "$1"
    a ask sample "$1"
}
stage "first question (reads the set once)" ask "How long is the warranty for a Pump?"
stage "second question (the reading is restored)" ask "May the Supplier subcontract the manufacture of the Pumps?"
stage "third question" ask "What does the Buyer pay for parking spaces?"

printf '\n== Contradictions\n'
stage "contradiction report" a contradictions sample -o "$out/report.html"
a -q contradictions sample -o "$out/report.json" >/dev/null
stage "the same by rules alone" a -q --no-model contradictions sample -o "$out/rules.json" >/dev/null
printf '\nPlanted contradictions and look-alikes of the sample set (gold list: tests/data/samples/gold.json)\n'
"$score" "$samples/gold.json" "with model=$out/report.json" "rules alone=$out/rules.json"

printf '\n== Seconds\n'
cat "$out/stages"
cat <<EOF

The report:  $out/report.html
The page:    $program --data $out/data serve      then open the address it prints
EOF
