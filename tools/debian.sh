# Sourced by tools that unpack Debian packages into a folder, without root and beside what is installed here.
#   open_apt FOLDER LINE...    an apt of its own in FOLDER for "amd64 trixie" and the like; reads the index
#   own_apt FOLDER ...         apt-get with that
# EDGEPOSE_DEBIAN_MIRROR names another Debian mirror than the one apt uses here.
keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# Not here, and why: whoever calls may go on without.
skip() { say "$(basename "$0"): skipped: $*"; exit 77; }

# The one apt uses here; security updates are not on it.
debian_mirror() { apt-get indextargets --format '$(REPO_URI)' 2>/dev/null | grep -m 1 '/debian/*$' || true; }

need_debian() {
  [ "$(uname -s) $(uname -m)" = "Linux x86_64" ] || skip "needs Linux on x86-64, this is $(uname -s) on $(uname -m)"
  for tool in apt-get dpkg-deb gpgv; do
    command -v "$tool" >/dev/null || skip "needs $tool, as Debian and its derivatives have it"
  done
  [ -r "$keyring" ] || skip "$keyring is not here; sudo apt install debian-archive-keyring"
}

open_apt() {
  apt_dir=$1
  shift
  mirror=${EDGEPOSE_DEBIAN_MIRROR:-$(debian_mirror)}
  [ -n "$mirror" ] || skip "apt-get here knows no Debian mirror; EDGEPOSE_DEBIAN_MIRROR names one"
  mkdir -p "$apt_dir/lists/partial" "$apt_dir/cache/archives/partial" "$apt_dir/debs"
  : >"$apt_dir/status"
  for line in "$@"; do
    printf 'deb [arch=%s signed-by=%s] %s %s main\n' "${line% *}" "$keyring" "$mirror" "${line#* }"
  done >"$apt_dir/sources.list"
  own_apt "$apt_dir" update >"$apt_dir/log" 2>&1 ||
    skip "apt-get cannot read $mirror: $(grep -m 1 '^E:' "$apt_dir/log" || tail -n 1 "$apt_dir/log")"
}

own_apt() {
  apt_dir=$1
  shift
  apt-get -q -o Dir::Etc::sourcelist="$apt_dir/sources.list" -o Dir::Etc::sourceparts=/dev/null \
    -o Dir::State="$apt_dir" -o Dir::State::lists="$apt_dir/lists" -o Dir::State::status="$apt_dir/status" \
    -o Dir::Cache="$apt_dir/cache" -o APT::Architecture=amd64 -o APT::Architectures::=amd64 \
    -o APT::Architectures::=arm64 -o Acquire::Languages=none -o Acquire::Retries=2 -o APT::Sandbox::User= \
    -o Debug::NoLocking=1 "$@"
}
