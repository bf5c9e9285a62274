# Shared by tests/run, the lanes and the benchmarks: sourced, never run.
# Everything it makes lies under target/; servers listen on loopback only.

ROOT=$(git -C "$(dirname "${BASH_SOURCE[0]}")" rev-parse --show-toplevel)
TARGET=${CARGO_TARGET_DIR:-$ROOT/target}
SKIPPED=77   # the exit status of a lane that could not run here; the automake convention

say() { printf '%s\n' "$*"; }

# skip REASON: ends the lane as skipped, never as passed. tests/run prints the reason in its table.
skip() {
  say "skipped: $*"
  [ -z "${LANE_REASON:-}" ] || printf '%s' "$*" > "$LANE_REASON"
  exit "$SKIPPED"
}

# need_debian PACKAGE…: installs what is missing when it may, else skips the lane and names it.
need_debian() {
  local p missing=()
  command -v dpkg-query >/dev/null || skip "needs the Debian packages $* and this is no Debian"
  for p in "$@"; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing+=("$p")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  [ "$(id -u)" = 0 ] || skip "needs the Debian packages ${missing[*]}; install them, or run as root"
  say "installing ${missing[*]}"
  # RUNLEVEL=1 keeps a package from starting its service: no server but our own ever listens here.
  export DEBIAN_FRONTEND=noninteractive RUNLEVEL=1
  # shellcheck disable=SC2094
  { apt-get -q update && apt-get -q -y install --no-install-recommends "${missing[@]}"; } \
    >"$TARGET/apt.log" 2>&1 || { tail -5 "$TARGET/apt.log"; skip "apt-get could not install ${missing[*]}"; }
}

# need_python VENV REQUIREMENT…: a virtual environment at VENV with these PyPI packages in it.
need_python() {
  local venv=$1; shift
  command -v python3 >/dev/null || need_debian python3 python3-venv
  [ -e "$venv/ready" ] && [ "$(cat "$venv/ready")" = "$*" ] && return 0
  rm -rf "$venv"
  python3 -m venv "$venv" >/dev/null 2>&1 || { need_debian python3-venv; python3 -m venv "$venv"; }
  "$venv/bin/pip" install --quiet --disable-pip-version-check "$@" || skip "pip could not install $*"
  printf '%s' "$*" > "$venv/ready"
}

# free_port: a loopback port that was free a moment ago, for servers that can't be given port 0.
free_port() { python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])'; }
