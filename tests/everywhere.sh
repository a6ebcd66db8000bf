#!/usr/bin/env bash
# Run the whole suite under conditions that other machines have; `make test-everywhere` calls this.
#
# Each condition is one run of the suite. Name some to run those alone:
#   tests/everywhere.sh "2 threads" "AVX2"
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

ROOT=$PWD
WORKERS=${WORKERS:-2}
PYTEST=$ROOT/.venv/bin/pytest
export WARPREFINE_SHARED=${WARPREFINE_SHARED:-$ROOT/../shared}
# Also for copies of the repository elsewhere; without it, tests take the small set of the repository itself.
if [ -z "${WARPREFINE_GOLDEN:-}" ] && [ -d "$WARPREFINE_SHARED/golden" ]; then
    export WARPREFINE_GOLDEN=$WARPREFINE_SHARED/golden
fi
SCRATCH=$(mktemp -d)
trap 'rm -rf "$SCRATCH"' EXIT
CHOSEN=("$@")
FAILED=()

chosen() { # NAME: whether to run this condition
    [ ${#CHOSEN[@]} -eq 0 ] && return 0
    local name
    for name in "${CHOSEN[@]}"; do [ "$name" = "$1" ] && return 0; done
    return 1
}

suite() { # NAME COMMAND...: run the suite and remember whether it passed
    local name=$1
    shift
    echo "== $name"
    "$@" -q -n "$WORKERS" || FAILED+=("$name")
}

condition() { # NAME VARIABLE=VALUE...: run the suite with these variables
    chosen "$1" || return 0
    suite "$1" env "${@:2}" "$PYTEST"
}

condition "1 thread" WARPREFINE_TEST_THREADS=1
condition "2 threads" WARPREFINE_TEST_THREADS=2
condition "4 threads" WARPREFINE_TEST_THREADS=4
condition "AVX2" ONEDNN_MAX_CPU_ISA=AVX2
condition "AVX512" ONEDNN_MAX_CPU_ISA=AVX512_CORE
condition "LANG=C" LANG=C LC_ALL=C
# Nobody, not even root, can write below a file.
condition "no writable HOME" HOME=/dev/null/home XDG_CACHE_HOME=/dev/null/cache XDG_CONFIG_HOME=/dev/null/config

if chosen "path with a space"; then
    copy="$SCRATCH/a path with spaces"
    mkdir -p "$copy"
    git ls-files -z --cached --others --exclude-standard | xargs -0 cp --parents -t "$copy"
    (cd "$copy" && PYTHONPATH=$copy/src exec "$PYTEST" -q -n "$WORKERS") || FAILED+=("path with a space")
fi

if chosen "half of the memory"; then
    free=$(awk '/MemAvailable/ {print $2}' /proc/meminfo 2>/dev/null || echo 0)
    "$ROOT/.venv/bin/python" -c "import time; taken = bytearray(b'x') * ($free * 512); time.sleep(1e5)" &
    holder=$!
    suite "half of the memory" "$PYTEST"
    kill "$holder"
fi

for python in python3.11 python3.12 python3.13; do
    chosen "$python" || continue
    "$python" -c 'import sys' 2>/dev/null || { echo "== $python is not here"; continue; }
    "$python" -m venv "$SCRATCH/$python" &&
        "$SCRATCH/$python/bin/pip" install --quiet -c constraints.txt -e '.[dev]' || { FAILED+=("$python"); continue; }
    suite "$python" "$SCRATCH/$python/bin/pytest"
done

if [ ${#FAILED[@]} -gt 0 ]; then
    printf 'failed: %s\n' "${FAILED[@]}"
    exit 1
fi
echo "passed under every condition"
