# Sourced by the tools: makes the project's own Python environment, once, and again when what decides about it changes.
#   make_env FOLDER EXTRAS [CONSTRAINTS] [WITHOUT]
#     an environment in FOLDER with edgepose and its extras ("demo" or "demo,dev"), from versions that the file of
#     constraints allows, afterwards without the packages WITHOUT (what needs them must not be installed either)
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

# The broker that the tests and the demo talk to. EDGEPOSE_REQUIRE_BROKER makes its tests fail where it is missing.
need_broker() {
  PATH="$PATH:/usr/sbin:/usr/local/sbin"
  if ! command -v mosquitto >/dev/null || ! command -v mosquitto_sub >/dev/null; then
    apt_install mosquitto mosquitto-clients ||
      say "mosquitto is not here and may not be installed: its tests are skipped; sudo apt install mosquitto mosquitto-clients"
  fi
  command -v mosquitto >/dev/null && EDGEPOSE_REQUIRE_BROKER=1 && export EDGEPOSE_REQUIRE_BROKER
  export PATH
}

# What checks the units.
need_systemd() {
  command -v systemd-analyze >/dev/null || apt_install systemd ||
    say "systemd-analyze is not here and may not be installed: the checks of the units are skipped; sudo apt install systemd"
}

fits() { "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 15))' 2>/dev/null; }

find_python() {
  for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.10}; do
    if command -v "$candidate" >/dev/null && fits "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

# An interpreter of that version, on PATH or made by pyenv or uv.
python_of_version() {
  for candidate in "python$1" $(pyenv root 2>/dev/null)/versions/"$1"*/bin/python \
    "$(uv python find --no-python-downloads "$1" 2>/dev/null || true)"; do
    if [ -n "$candidate" ] && command -v "$candidate" >/dev/null && "$candidate" -c \
      "import sys, venv; sys.exit('.'.join(map(str, sys.version_info[:2])) != '$1')" 2>/dev/null && fits "$candidate"; then
      command -v "$candidate"
      return
    fi
  done
  return 1
}

make_env() {
  env_dir=$1 extras=$2 constraints=${3:-} without=${4:-}
  python=$(find_python) || {
    apt_install python3 || true
    python=$(find_python) || die "needs Python 3.10 or newer; sudo apt install python3, or PYTHON=/path/to/python $0"
  }
  decides=$(cat "$root/pyproject.toml" ${constraints:+"$constraints"} | sha256sum | cut -d' ' -f1)
  stamp="$("$python" --version) $extras $without $decides $root"
  [ "$(cat "$env_dir/.stamp" 2>/dev/null)" = "$stamp" ] && return
  say "setting up $env_dir with $("$python" --version) (once, about a minute)"
  # what was made otherwise may hold what is not asked for any more, what was moved does not run
  if ! "$env_dir/bin/pip" --version >/dev/null 2>&1 || [ -n "$constraints$without" ] ||
    ! "$env_dir/bin/python" --version 2>/dev/null | grep -qF "$("$python" --version)"; then
    rm -rf "$env_dir"
    "$python" -m venv "$env_dir" >/dev/null 2>&1 || {
      rm -rf "$env_dir"
      apt_install python3-venv || die "cannot make a virtual environment; sudo apt install python3-venv"
      "$python" -m venv "$env_dir" || die "cannot make a virtual environment with $python"
    }
  fi
  "$env_dir/bin/pip" install -qq --disable-pip-version-check ${constraints:+-c "$constraints"} -e "$root[$extras]" ||
    die "pip could not install what edgepose needs; its message is above"
  "$env_dir/bin/pip" check --disable-pip-version-check >"$env_dir/check" ||
    die "what pip installed does not fit together: $(cat "$env_dir/check")"
  [ -z "$without" ] || "$env_dir/bin/pip" uninstall -q -y --disable-pip-version-check $without 2>/dev/null
  printf '%s' "$stamp" >"$env_dir/.stamp"
}
