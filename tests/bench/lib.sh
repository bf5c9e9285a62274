# Shared by the benchmarks: sourced, never run. A benchmark is an executable tests/bench/NAME. It builds what it measures,
# runs it beside its peer in the same run where there is one, and its last lines read
#   ratio NAME VALUE          ours by theirs, more is better
#   figure NAME VALUE UNIT    a figure of ours alone
# Nothing asserts a time: who reads the lines judges them. With BENCH_SMOKE=1 it only shows that it works: short runs, small
# data, the fast `release` profile; figures of such a run say nothing.
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

SMOKE=${BENCH_SMOKE:-}
PROFILE=$([ -n "$SMOKE" ] && say release || say dist)
WORK=$(mktemp -d "${TMPDIR:-/tmp}/perennial-bench.XXXXXX")
STARTED=()
trap 'finish' EXIT
trap 'exit 130' INT TERM

# finish: ends what this benchmark started, by process id, and removes its folder
finish() {
  local pid
  for pid in "${STARTED[@]}"; do kill "$pid" 2>/dev/null || true; done
  for pid in "${STARTED[@]}"; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$WORK"
}

# built PACKAGE BINARY: builds it in this run's profile; the path is in $BUILT
built() {
  cargo build --quiet --locked --manifest-path "$ROOT/Cargo.toml" --profile "$PROFILE" --package "$1" --bin "$2" >&2
  BUILT=$TARGET/$PROFILE/$2
}

# background LOG COMMAND…: starts it, to be ended by finish; its process id is in $PID
background() {
  local log=$1; shift
  "$@" >"$log" 2>&1 </dev/null &
  PID=$!
  STARTED+=("$PID")
}

# answers PORT: waits until something listens on that loopback port, ten seconds at most
answers() {
  local i
  for i in $(seq 100); do
    (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null && return 0
    sleep 0.1
  done
  say "error: nothing answers on port $1" >&2
  return 1
}

# short LONG SHORT: the first of them in a real run, the second in a smoke run
short() { [ -n "$SMOKE" ] && say "$2" || say "$1"; }

ratio() { say "ratio $1 $(awk -v a="$2" -v b="$3" 'BEGIN { printf "%.2f", a / b }')"; }   # ratio NAME OURS THEIRS
figure() { say "figure $1 $2 $3"; }
