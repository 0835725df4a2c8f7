# Sourced by tools/install and tools/uninstall: what an edgepose service consists of, and how an action is shown or done.
. "$(dirname "$0")/env.sh"

umask 022
home=/opt/edgepose
command=/usr/local/bin/edgepose
settings=/etc/edgepose
units=/etc/systemd/system

# FILE OF THE CLONE : WHERE IT GOES : MODE
files="
systemd/edgepose.service:$units/edgepose.service:644
systemd/edgepose@.service:$units/edgepose@.service:644
systemd/70-edgepose-coral.rules:/etc/udev/rules.d/70-edgepose-coral.rules:644
systemd/sysusers.conf:/etc/sysusers.d/edgepose.conf:644
systemd/tmpfiles.conf:/etc/tmpfiles.d/edgepose.conf:644
docs/install.md:$home/share/doc/edgepose/install.md:644
"

yes="" into="" acted=""

# act WHY COMMAND...: shows a command, and runs it where --yes was given.
act() {
  why=$1 acted=yes
  shift
  printf '  %s\n      $ %s\n' "$why" "$*"
  [ -z "$yes" ] || "$@" || die "$why: that did not work; what went wrong is above. It is safe to run this again"
}

# try WHY COMMAND...: the same, where going on without it is fine.
try() {
  why=$1 acted=yes
  shift
  printf '  %s\n      $ %s\n' "$why" "$*"
  [ -z "$yes" ] || "$@" || say "  $why: that did not work; going on without"
}

# put FILE DEST MODE: a file of the clone in its place, if it is not there already.
put() {
  from="$root/$1" to="$into$2"
  if cmp -s "$from" "$to" && [ "$(stat -c %a "$to")" = "$3" ]; then
    printf '  %-52s is up to date\n' "$2"
    return
  fi
  if [ -e "$to" ]; then what=replaced; else what=new; fi
  printf '  %-52s %s, mode 0%s\n' "$2" "$what" "$3"
  [ -z "$yes" ] || install -D -m "$3" "$from" "$to" || die "$to cannot be written"
}

# Every camera that has an instance here: started at boot, or running without that.
instances() {
  {
    for link in "$into$units"/multi-user.target.wants/edgepose@*.service; do
      if [ -L "$link" ]; then basename "$link" .service; fi
    done
    if [ -z "$into" ] && [ -d /run/systemd/system ]; then
      systemctl list-units --all --plain --no-legend 'edgepose@*.service' | sed -n 's/^\([^ ]*\)\.service .*/\1/p'
    fi
  } | sort -u
}

# Is there a systemd to talk to? When only showing: as if.
running() { [ -z "$into" ] && { [ -z "$yes" ] || [ -d /run/systemd/system ]; }; }

need_root() {
  [ -z "$yes" ] && return
  [ "$(id -u)" = 0 ] || die "this changes the system: sudo $0 --yes"
  mkdir -p "$into/etc" 2>/dev/null && touch "$into/etc/.edgepose-writable" 2>/dev/null ||
    die "$into/etc cannot be written to: on a read-only root make it writable for as long as this takes; docs/install.md"
  rm -f "$into/etc/.edgepose-writable"
}

end() {
  [ -n "$yes" ] || printf '\nNothing was done. To do all of this: sudo %s --yes%s\n' "$0" "$again"
}
