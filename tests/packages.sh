#!/bin/bash
# packages.sh: installs what is missing of the Debian 12 packages that we need, from whatever Debian archive the machine knows.
# Usage: tests/packages.sh GROUP...   core: to build and run   test: to test   browser: for the test of the page   dev: to change code
set -u
core="gcc make binutils libc6-dev libsqlite3-dev libcurl4-openssl-dev libpcre2-dev libzip-dev libexpat1-dev libxml2-dev libseccomp-dev
      libmicrohttpd-dev libjansson-dev poppler-utils"
test="libcmocka-dev python3 openssl"
browser="chromium chromium-driver python3-selenium fonts-dejavu-core"
dev="clang-14 clang-format valgrind"

missing=""
for group in "$@"; do
    case "$group" in
    core | test | browser | dev) wanted=${!group} ;;
    *) echo "packages.sh: there is no group '$group'" >&2; exit 2 ;;
    esac
    for p in $wanted; do
        dpkg-query -W -f '${Status}' "$p" 2>/dev/null | grep -q 'install ok installed' || missing="$missing $p"
    done
done
[ -z "$missing" ] && exit 0
echo "installing:$missing"
run=""
if [ "$(id -u)" -ne 0 ]; then
    command -v sudo >/dev/null || { echo "packages.sh: be root, or install these yourself:$missing" >&2; exit 1; }
    run="sudo"
fi
export DEBIAN_FRONTEND=noninteractive
$run apt-get update -qq || echo "packages.sh: the package lists could not be renewed; trying with the old ones" >&2
# shellcheck disable=SC2086
$run env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
