# Sourced by tools/arm64: makes an emulated 64-bit ARM board in a folder, without root and without installing anything.
#   make_board FOLDER PYTHON    PYTHON is this machine's, with edgepose and pip; the board gets the same runtime and OpenCV
# In the folder: qemu-aarch64, root/ (libraries and Python 3.11 of Debian 12 for arm64), and what looks like a virtual
# environment: bin/python is a script that starts the emulator, so whatever starts sys.executable stays on the board.
. "$root/tools/debian.sh"

qemu_suite=trixie   # qemu 10; the 7.2 of Debian 12 crashes in ai-edge-litert >= 2.2
board_suite=bookworm
board_packages="python3.11 python3.11-minimal libpython3.11-stdlib libpython3.11-minimal libc6 libgcc-s1 libstdc++6
  zlib1g libssl3 libffi8 libbz2-1.0 liblzma5 libexpat1 libuuid1 libsqlite3-0"

fetch_system() {
  board=$1 apt_dir=$1/apt
  mkdir -p "$board/root"
  open_apt "$apt_dir" "arm64 $board_suite" "amd64 $qemu_suite"
  wanted=qemu-user:amd64
  for package in $board_packages; do wanted="$wanted $package:arm64"; done
  (cd "$apt_dir/debs" && own_apt "$apt_dir" download $wanted) >"$apt_dir/log" 2>&1 ||
    skip "apt-get cannot download the board's packages: $(grep -m 1 '^E:' "$apt_dir/log")"
  for package in "$apt_dir"/debs/*_arm64.deb; do dpkg-deb -x "$package" "$board/root"; done
  dpkg-deb --fsys-tarfile "$apt_dir"/debs/qemu-user_*.deb | tar -x -C "$board" --strip-components=3 ./usr/bin/qemu-aarch64
  rm -rf "$apt_dir"
}

# The wheels a board's pip would take, by this machine's pip. The runtime and OpenCV are those of this machine, so that
# what they answer can be compared.
fetch_wheels() {
  board=$1 host=$2
  "$host" - >"$board/requirements.txt" <<'EOF'
from importlib.metadata import requires, version
same = ("ai-edge-litert", "opencv-python-headless")
print(*(each for each in requires("edgepose") if "extra ==" not in each), "pytest>=8", "hypothesis>=6", sep="\n")
print(*(f"{name}=={version(name)}" for name in same), sep="\n")
EOF
  for glibc in 2_17 2_27 2_28 2_31 2_34 2_35 2_36; do set -- "$@" --platform "manylinux_${glibc}_aarch64"; done
  shift 2
  "$host" -m pip install -q --disable-pip-version-check --upgrade --target "$board/lib/python3.11/site-packages" \
    --platform manylinux2014_aarch64 "$@" --python-version 3.11 --implementation cp --abi cp311 --abi abi3 --abi none \
    --only-binary=:all: -r "$board/requirements.txt" || die "pip could not fetch the board's wheels; its message is above"
}

make_board() {
  board=$1 host=$2
  [ "$(uname -m)" != aarch64 ] || skip "this machine is a 64-bit ARM itself; ./tools/test tests it"
  need_debian
  versions=$("$host" -c 'from importlib.metadata import version as v; print(v("ai-edge-litert"), v("opencv-python-headless"))')
  stamp="$versions $root $(cat "$root/pyproject.toml" "$root/tools/debian.sh" "$root/tools/arm/setup.sh" | sha256sum | cut -d' ' -f1)"
  [ "$(cat "$board/.stamp" 2>/dev/null)" = "$stamp" ] && return
  say "setting up $board (once, about a minute)"
  rm -rf "$board"
  mkdir -p "$board/bin" "$board/cache"
  # the two downloads side by side
  fetch_system "$board" &
  system=$!
  fetch_wheels "$board" "$host" &
  wheels=$!
  wait "$system" || {
    why=$?
    kill "$wheels" 2>/dev/null || true
    exit "$why"
  }
  wait "$wheels" || exit 1
  cat >"$board/bin/python" <<EOF
#!/bin/sh
# this board's Python; never the emulator's default processor, on which XNNPACK computes wrong
exec "$board/qemu-aarch64" -cpu "\${EDGEPOSE_ARM_CPU:-cortex-a76}" -L "$board/root" -0 "$board/bin/python" \\
  "$board/root/usr/bin/python3.11" "\$@"
EOF
  printf '#!/bin/sh\nexec "%s/bin/python" -m edgepose "$@"\n' "$board" >"$board/bin/edgepose"
  printf '#!/bin/sh\nexec "%s/bin/python" -m pytest -p no:cacheprovider "$@"\n' "$board" >"$board/bin/pytest"
  chmod +x "$board/bin/python" "$board/bin/edgepose" "$board/bin/pytest"
  printf 'home = %s/root/usr/bin\ninclude-system-site-packages = false\nversion = 3.11\n' "$board" >"$board/pyvenv.cfg"
  printf '%s\n' "$root" >"$board/lib/python3.11/site-packages/edgepose.pth"
  "$board/bin/python" -c 'import platform, sys; sys.exit(platform.machine() != "aarch64")' ||
    die "the emulated Python does not start"
  printf '%s' "$stamp" >"$board/.stamp"
}
