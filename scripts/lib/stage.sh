# Stages with their times, and what must happen however a script ends. Sourced by bash scripts that `set -euo pipefail`.

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
target=${CARGO_TARGET_DIR:-target}
[[ $target == /* ]] || target=$root/$target

say() { printf '%s\n' "$*" >&2; }

die() {
    say "$(basename "$0"): $*"
    exit 1
}

# stage NAME COMMAND...: runs it, prints its time, returns its exit code.
stage() {
    local name=$1 started=$SECONDS code=0
    shift
    say "==> $name"
    "$@" || code=$?
    if ((code == 0)); then
        say "==> $name: $((SECONDS - started)) s"
    else
        say "==> $name: FAILED (exit code $code) after $((SECONDS - started)) s"
    fi
    return "$code"
}

# in_group COMMAND...: runs it in a process group of its own, so that a signal to this script, or its end, reaches
# every grandchild too (cargo does not pass signals on to test binaries).
group=
in_group() {
    local code=0
    set -m
    "$@" </dev/null &
    group=$!
    set +m
    wait "$group" || code=$?
    group=
    return "$code"
}

# at_exit COMMAND: runs when the script ends, newest first, whatever ended it.
endings=()
at_exit() { endings=("$1" ${endings[@]+"${endings[@]}"}); }

finish() {
    local code=$? ending
    trap - EXIT
    trap '' INT TERM HUP
    if [[ -n $group ]]; then
        kill -TERM -- "-$group" 2>/dev/null || true
        wait "$group" 2>/dev/null || true
    fi
    for ending in ${endings[@]+"${endings[@]}"}; do
        "$ending" || true
    done
    exit "$code"
}
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
