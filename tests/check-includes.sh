#!/bin/bash
# check-includes.sh: keeps the table "who may include whom" true. Own headers are named from the repository's root ("ingest/ingest.h");
# a name in quotes without a folder is refused, as is every system header of a library the folder has no business with.
set -u
cd "$(dirname "$0")/.." || exit 2
bad=0
complain() { echo "check-includes: $1"; bad=1; }

# own FOLDER-GLOB ALLOWED-REGEX: quoted includes;   lib FOLDER-GLOB FORBIDDEN-REGEX: angle includes
own() {
    for f in $1; do
        [ -e "$f" ] || continue
        while IFS= read -r h; do
            [[ $h =~ ^($2)$ ]] || complain "$f must not include \"$h\""
        done < <(sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]+"([^"]+)".*/\1/p' "$f")
    done
}
lib() {
    for f in $1; do
        [ -e "$f" ] || continue
        while IFS= read -r h; do
            [[ $h =~ ^($2)$ ]] && complain "$f must not include <$h>"
        done < <(sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]+<([^>]+)>.*/\1/p' "$f")
    done
}

SQLITE='sqlite3.*' CURL='curl/.*' PCRE='pcre2.*' ZIP='zip.*' XML='expat.*|libxml/.*' HTTP='microhttpd.*' JSON='jansson.*' SECCOMP='seccomp.*'
CUDA='cuda.*|cublas.*|mma.*|cub/.*|nv.*'

own "base.h base.c" 'base\.h'
lib "base.h base.c" "$SQLITE|$CURL|$PCRE|$ZIP|$XML|$HTTP|$JSON|$SECCOMP|$CUDA"

own "kernels/*.[ch] kernels/cpu/*.[ch] kernels/cuda/*.cu kernels/cuda/*.h kernels/cuda/*.cuh" 'base\.h|kernels/.*'
lib "kernels/*.[ch] kernels/cpu/*.[ch] kernels/cuda/*.cu kernels/cuda/*.h kernels/cuda/*.cuh" "$SQLITE|$CURL|$PCRE|$ZIP|$XML|$HTTP|$JSON|$SECCOMP"
lib "kernels/kernels.h kernels/cpu/*.[ch]" "$CUDA"

own "engine/jamba/[!c]*.[ch] engine/jamba/c[!u]*.[ch]" 'base\.h|kernels/kernels\.h|engine/jamba/.*'
# the device side of the engine calls the CUDA operations by their own door
own "engine/jamba/cu*.[ch]" 'base\.h|kernels/kernels\.h|kernels/cuda/cuda_ops\.h|engine/jamba/.*'
lib "engine/jamba/*.[ch]" "$SQLITE|$CURL|$PCRE|$ZIP|$XML|$HTTP|$SECCOMP"

own "ingest/*.[ch]" 'base\.h|ingest/.*'
lib "ingest/*.[ch]" "$SQLITE|$HTTP|$CUDA"

own "store/*.[ch]" 'base\.h|store/.*|ingest/ingest\.h'
lib "store/*.[ch]" "$CURL|$ZIP|$XML|$HTTP|$SECCOMP|$CUDA"

own "engine/analysis/*.[ch]" 'base\.h|engine/analysis/.*|engine/jamba/(jamba|chat)\.h|store/store\.h|ingest/ingest\.h'
lib "engine/analysis/*.[ch]" "$SQLITE|$CURL|$ZIP|$XML|$HTTP|$SECCOMP|$CUDA"

own "engine/*.[ch]" 'base\.h|engine/pull\.h'
lib "engine/*.[ch]" "$SQLITE|$PCRE|$ZIP|$XML|$HTTP|$SECCOMP|$CUDA"

own "api/*.[ch]" 'base\.h|api/.*|ingest/ingest\.h|store/store\.h|engine/pull\.h|engine/analysis/analysis\.h|engine/jamba/jamba\.h'
lib "api/*.[ch]" "$SQLITE|$CURL|$PCRE|$ZIP|$XML|$SECCOMP|$CUDA"

[ "$bad" = 0 ] && echo "ok includes follow the table"
exit $bad
