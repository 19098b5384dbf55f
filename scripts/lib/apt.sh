# shellcheck shell=bash
# Debian packages, installed only when missing. Sourced after common.sh.

# Waits for another apt or dpkg run instead of failing at once (seconds).
readonly APT_LOCK_WAIT=300
APT_UPDATED=0

apt_quiet() {
  DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout="$APT_LOCK_WAIT" "$@"
}

# A source that cannot be reached must not stop the others: the installation itself tells what is missing.
apt_update_once() {
  [ "$APT_UPDATED" = 1 ] && return 0
  apt_quiet update || warn "apt-get update failed for a source; going on with what is known"
  APT_UPDATED=1
}

# apt_missing PACKAGE...: prints those that are not installed, in one dpkg-query.
apt_missing() {
  local installed package
  installed=$(dpkg-query -W -f='${Package} ${db:Status-Status}\n' "$@" 2>/dev/null | awk '$2 == "installed" {print $1}') || true
  for package in "$@"; do
    grep -qxF "$package" <<<"$installed" || printf '%s\n' "$package"
  done
}

# apt_install PACKAGE...: installs those that are missing; does not touch the network when none is.
apt_install() {
  local missing
  mapfile -t missing < <(apt_missing "$@")
  [ ${#missing[@]} -eq 0 ] && return 0
  [ "$(id -u)" = 0 ] || die "these Debian packages are missing: ${missing[*]}" "run as root: apt-get install ${missing[*]}"
  say "installing: ${missing[*]}"
  apt_update_once
  apt_install_now "${missing[@]}" ||
    die "apt-get could not install: ${missing[*]}" "its messages are above; is the mirror reachable?"
}

# apt_install_now [OPTION...] PACKAGE...: quiet unless it fails.
apt_install_now() {
  local output
  output=$(apt_quiet install -y --no-install-recommends "$@" 2>&1) && return 0
  printf '%s\n' "$output" >&2
  return 1
}

debian_codename() {
  # shellcheck disable=SC1091
  (. /etc/os-release && printf '%s\n' "${VERSION_CODENAME:?/etc/os-release names no VERSION_CODENAME}")
}

# apt_source_of_suite SUITE [AS_SUITE]: a deb822 stanza with the mirror and key that this machine uses for SUITE.
apt_source_of_suite() {
  python3 "$ROOT/scripts/lib/apt_sources.py" "$@"
}

# Adds the backports suite of this release from the mirror that the release itself comes from. Idempotent.
apt_add_backports() {
  local codename file=${APT_ETC:-/etc/apt}/sources.list.d/nightjar-backports.sources
  codename=$(debian_codename)
  if apt_source_of_suite "$codename-backports" >/dev/null; then
    return 0
  fi
  apt_source_of_suite "$codename" "$codename-backports" >"$file.new" || {
    rm -f "$file.new"
    die "no apt source for the suite '$codename' was found in /etc/apt" "add one, then run this again"
  }
  mv "$file.new" "$file"
  say "added the apt source $file"
  APT_UPDATED=0
}
