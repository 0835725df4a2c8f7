# Sourced by the tools: makes the project's own Python environment, once, and again when pyproject.toml changes.
#   make_env FOLDER EXTRAS    an environment in FOLDER with edgepose and its extras ("demo" or "demo,dev")
# PYTHON=python3.12 chooses the interpreter.
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)

say() { printf '%s\n' "$*" >&2; }

die() { say "$(basename "$0"): $*"; exit 1; }

# May we install Debian packages? As root, or with sudo that asks nothing.
apt_install() {
  command -v apt-get >/dev/null || return 1
  as_root=""
  if [ "$(id -u)" != 0 ]; then
    sudo -n true 2>/dev/null || return 1
    as_root="sudo"
  fi
  say "installing $* with apt-get"
  $as_root env DEBIAN_FRONTEND=noninteractive sh -c \
    'apt-get install -y -qq --no-install-recommends "$@" >/dev/null 2>&1 ||
     { apt-get update -qq && apt-get install -y -qq --no-install-recommends "$@"; } >/dev/null 2>&1' sh "$@"
}

find_python() {
  for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.10}; do
    if command -v "$candidate" >/dev/null &&
      "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 15))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

make_env() {
  env_dir=$1 extras=$2
  python=$(find_python) || {
    apt_install python3 || true
    python=$(find_python) || die "needs Python 3.10 or newer; sudo apt install python3, or PYTHON=/path/to/python $0"
  }
  stamp="$("$python" --version) $extras $(sha256sum "$root/pyproject.toml" | cut -d' ' -f1) $root"
  [ "$(cat "$env_dir/.stamp" 2>/dev/null)" = "$stamp" ] && return
  say "setting up $env_dir with $("$python" --version) (once, about a minute)"
  if ! [ -x "$env_dir/bin/pip" ] || ! "$env_dir/bin/python" --version 2>/dev/null | grep -qF "$("$python" --version)"; then
    rm -rf "$env_dir"
    "$python" -m venv "$env_dir" >/dev/null 2>&1 || {
      rm -rf "$env_dir"
      apt_install python3-venv || die "cannot make a virtual environment; sudo apt install python3-venv"
      "$python" -m venv "$env_dir" || die "cannot make a virtual environment with $python"
    }
  fi
  "$env_dir/bin/pip" install -q --disable-pip-version-check -e "$root[$extras]" ||
    die "pip could not install what edgepose needs; its message is above"
  printf '%s' "$stamp" >"$env_dir/.stamp"
}
