# Sourced by tools/package: a Debian package around a wheel.
#   build_deb WHEEL ARCH OUT     ARCH amd64 or arm64; nothing of it is run here, so that either is built on either
# One package is for Python 3.11 (Debian 12) and 3.13 (Debian 13): an environment in /usr/lib/edgepose that the system's
# python3 runs, with a folder of libraries for each and one for what both share.
deb_pythons="3.11 3.13"

# wheels_into FOLDER PYTHON MACHINE PIP-ARGUMENT...: unpacked, for a machine that need not be this one.
wheels_into() {
  target=$1 for_python=$2 for_machine=$3
  shift 3
  "$work/env/bin/pip" install -q --disable-pip-version-check --no-compile --only-binary=:all: --implementation cp \
    --target "$target" --python-version "$for_python" --platform "manylinux2014_$for_machine" \
    --platform "manylinux_2_17_$for_machine" --platform "manylinux_2_27_$for_machine" --platform "manylinux_2_28_$for_machine" \
    -c "$root/tools/deb/pins.txt" "$@" || die "pip cannot fetch what a package for $for_machine needs; its message is above"
}

build_deb() {
  wheel=$1 arch=$2 out=$3
  case "$arch" in amd64) machine=x86_64 ;; arm64) machine=aarch64 ;; *) die "no Debian package for $arch; there are amd64 and arm64" ;; esac
  tree="$work/deb-$arch" lib="$work/deb-$arch/usr/lib/edgepose" own="$root/tools/deb"
  version=$("$work/env/bin/python" -c 'from importlib.metadata import version; print(version("edgepose"))')
  umask 022
  mkdir -p "$lib/bin" "$tree/DEBIAN" "$tree/usr/bin"

  say "collecting what $arch needs"
  wheels_into "$lib/lib/common" 3.11 "$machine" --no-deps "$wheel" opencv-python-headless paho-mqtt
  for python_version in $deb_pythons; do
    numpy1=""
    [ "$python_version" != 3.11 ] || numpy1="$root/tools/constraints/numpy1.txt"
    site="$lib/lib/python$python_version/site-packages"
    wheels_into "$site" "$python_version" "$machine" ${numpy1:+-c "$numpy1"} numpy msgspec ai-edge-litert
    rm -rf "$site/bin" "$site/ai_edge_litert/vendors" # compilers for phones' NPUs
    echo ../../common >"$site/edgepose.pth"
  done
  rm -rf "$lib/lib/common/bin"
  for library in "$lib"/lib/common/edgepose/kernels/aot/*.so; do
    case "${library##*/}" in "$machine"*) ;; *) rm "$library" ;; esac
  done
  find "$lib" \( -name tests -o -name testing -o -name __pycache__ \) -path '*/numpy/*' -type d -prune -exec rm -rf {} +
  find "$lib" -type f -exec chmod 644 {} +

  printf 'home = /usr/bin\ninclude-system-site-packages = true\n' >"$lib/pyvenv.cfg"
  ln -s ../../../bin/python3 "$lib/bin/python3"
  ln -s python3 "$lib/bin/python"
  cat >"$lib/bin/edgepose" <<'PY'
#!/usr/lib/edgepose/bin/python
import sys

from edgepose.commands.cli import main

sys.exit(main())
PY
  chmod 755 "$lib/bin/edgepose"
  ln -s ../lib/edgepose/bin/edgepose "$tree/usr/bin/edgepose"

  place() { install -D -m 644 "$1" "$tree$2"; } # FILE DEST
  for unit in edgepose edgepose@; do
    sed -e 's|/opt/edgepose/bin/edgepose|/usr/bin/edgepose|' -e 's|/opt/edgepose/share|/usr/share|' \
      "$root/systemd/$unit.service" >"$work/unit"
    place "$work/unit" "/usr/lib/systemd/system/$unit.service"
  done
  place "$root/systemd/70-edgepose-coral.rules" /usr/lib/udev/rules.d/70-edgepose-coral.rules
  place "$root/systemd/sysusers.conf" /usr/lib/sysusers.d/edgepose.conf
  place "$root/systemd/tmpfiles.conf" /usr/lib/tmpfiles.d/edgepose.conf
  place "$root/systemd/edgepose.toml" /usr/share/edgepose/edgepose.toml
  place "$own/copyright" /usr/share/doc/edgepose/copyright
  place "$own/lintian-overrides" /usr/share/lintian/overrides/edgepose
  for page in "$root"/docs/*.md; do place "$page" "/usr/share/doc/edgepose/${page##*/}"; done
  (cd "$lib/lib" && ls -d ./*/*.dist-info ./*/*/*.dist-info) | sed 's|.*/\(.*\)-\(.*\)\.dist-info|\1 \2|' | sort -u >"$work/bundled"
  place "$work/bundled" /usr/share/doc/edgepose/bundled.txt
  {
    printf 'edgepose (%s-1) unstable; urgency=medium\n\n  * See changelog.gz.\n\n' "$version"
    printf ' -- edgepose developers <edgepose@localhost.localdomain>  %s\n' \
      "$(date -u -R -d "@${SOURCE_DATE_EPOCH:-$(date +%s)}")"
  } | gzip -9n >"$work/changelog.Debian.gz"
  place "$work/changelog.Debian.gz" /usr/share/doc/edgepose/changelog.Debian.gz
  gzip -9nc "$root/CHANGELOG.md" >"$work/changelog.gz"
  place "$work/changelog.gz" /usr/share/doc/edgepose/changelog.gz
  "$work/env/bin/edgepose" man | gzip -9n >"$work/edgepose.1.gz"
  place "$work/edgepose.1.gz" /usr/share/man/man1/edgepose.1.gz
  for shell in bash:bash-completion/completions/edgepose zsh:zsh/vendor-completions/_edgepose fish:fish/vendor_completions.d/edgepose.fish; do
    "$work/env/bin/edgepose" completion "${shell%%:*}" >"$work/completion"
    place "$work/completion" "/usr/share/${shell#*:}"
  done

  for script in postinst prerm postrm; do install -m 755 "$own/$script" "$tree/DEBIAN/$script"; done
  sed -e "s/@VERSION@/$version-1/" -e "s/@ARCH@/$arch/" -e "s/@SIZE@/$(du -sk "$tree/usr" | cut -f1)/" \
    "$own/control" >"$tree/DEBIAN/control"
  (cd "$tree" && find usr -type f -print0 | sort -z | xargs -0 md5sum) >"$tree/DEBIAN/md5sums"
  package="$out/edgepose_$version-1_$arch.deb"
  say "packing $arch"
  dpkg-deb --root-owner-group -Zxz -z"${EDGEPOSE_DEB_LEVEL:-6}" --build "$tree" "$package" >/dev/null || die "dpkg-deb failed"
  rm -rf "$tree"
  say "ok: $package, $(du -h "$package" | cut -f1)"
}
