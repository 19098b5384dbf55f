# shellcheck shell=bash
# What every script starts with: strict mode, the repository's root, messages. Sourced, never run.

set -euo pipefail

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
readonly ROOT
export LC_ALL=C.UTF-8

# Where data and sockets are when nothing else is said.
# shellcheck disable=SC2034
readonly DEFAULT_DATA_DIR=/var/lib/nightjar
# shellcheck disable=SC2034
readonly DEFAULT_RUN_DIR=/run/nightjar

say() { printf '%s\n' "$*"; }
warn() { printf 'warning: %s\n' "$*" >&2; }

# die MESSAGE [HINT]
die() {
  printf 'error: %s\n' "$1" >&2
  if [ -n "${2:-}" ]; then printf '  hint: %s\n' "$2" >&2; fi
  exit 1
}

need_root() {
  [ "$(id -u)" = 0 ] || die "this must run as root" "use sudo, or a root shell"
}

# Milliseconds since the epoch, without starting a process.
now_ms() {
  local t=${EPOCHREALTIME/[.,]/}
  printf '%s' "$((t / 1000))"
}

# seconds_since MS: for messages such as "built in 3.2 s".
seconds_since() {
  local ms=$(($(now_ms) - $1))
  printf '%d.%d' "$((ms / 1000))" "$((ms % 1000 / 100))"
}

# stage NAME COMMAND...: runs a stage of a longer job, and says how long it took. The command runs without errexit if it
# is a function: it must return its failures itself.
stage() {
  local name=$1 started
  shift
  started=$(now_ms)
  printf '==> %s\n' "$name"
  if "$@"; then
    printf '<== %s: %s s\n' "$name" "$(seconds_since "$started")"
    STAGES+=("$(printf '%-24s %8s s' "$name" "$(seconds_since "$started")")")
  else
    printf '<== %s: FAILED after %s s\n' "$name" "$(seconds_since "$started")" >&2
    STAGES+=("$(printf '%-24s %8s s  FAILED' "$name" "$(seconds_since "$started")")")
    return 1
  fi
}
STAGES=()

# content_hash PATH...: one hash over the names and contents of all files below the paths (relative to ROOT).
content_hash() {
  (
    cd "$ROOT"
    find "$@" -type f ! -name '*.pyc' -print0 | sort -z | xargs -0 sha256sum
  ) | sha256sum | cut -c1-16
}
