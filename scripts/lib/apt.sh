# shellcheck shell=bash
# Debian packages, installed only when missing. Sourced by the other scripts.

# Waits for another apt or dpkg run instead of failing at once (seconds).
readonly APT_LOCK_WAIT=300
APT_UPDATED=${APT_UPDATED:-0}

apt_quiet() {
  DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout="$APT_LOCK_WAIT" "$@"
}

apt_update_once() {
  [ "$APT_UPDATED" = 1 ] && return 0
  apt_quiet update
  APT_UPDATED=1
}

apt_is_installed() {
  [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

# apt_install PACKAGE... : installs those that are missing; does not touch the network when none is.
apt_install() {
  local missing=() package
  for package in "$@"; do
    apt_is_installed "$package" || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  echo "installing: ${missing[*]}"
  apt_update_once
  apt_quiet install -y --no-install-recommends "${missing[@]}" >/dev/null
}

debian_codename() {
  # shellcheck disable=SC1091
  (. /etc/os-release && echo "${VERSION_CODENAME:?/etc/os-release names no VERSION_CODENAME}")
}

# Prints "URI<TAB>signed-by" of the apt source that serves SUITE, read from this machine's own configuration
# (both the deb822 and the one-line format), so that a derived source uses the mirror that the machine already uses.
apt_source_of_suite() {
  python3 - "$1" <<'PY'
import glob, re, sys
suite = sys.argv[1]
def done(uri, key):
    print(uri + "\t" + key)
    sys.exit(0)
for path in sorted(glob.glob("/etc/apt/sources.list.d/*.sources")):
    for stanza in re.split(r"\n\s*\n", open(path, encoding="utf-8").read()):
        fields, key = {}, None
        for line in stanza.splitlines():
            if line.startswith("#"):
                continue
            if line[:1] in " \t" and key:
                fields[key] += " " + line.strip()
            elif ":" in line:
                key, value = line.split(":", 1)
                key = key.strip().lower()
                fields[key] = value.strip()
        if fields.get("enabled", "yes").lower() in ("no", "false"):
            continue
        if "deb" in fields.get("types", "").split() and suite in fields.get("suites", "").split() \
                and "main" in fields.get("components", "").split():
            done(fields["uris"].split()[0], fields.get("signed-by", ""))
for path in ["/etc/apt/sources.list"] + sorted(glob.glob("/etc/apt/sources.list.d/*.list")):
    try:
        lines = open(path, encoding="utf-8").read().splitlines()
    except FileNotFoundError:
        continue
    for line in lines:
        match = re.match(r"deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+(.*)", line.strip())
        if match and match.group(3) == suite and "main" in match.group(4).split():
            signed = re.search(r"signed-by=(\S+)", match.group(1) or "")
            done(match.group(2), signed.group(1) if signed else "")
sys.exit(1)
PY
}

# Adds the backports suite of this release from the mirror that the release itself comes from. Idempotent.
apt_add_backports() {
  local codename found uri key file=/etc/apt/sources.list.d/nightjar-backports.sources
  codename=$(debian_codename)
  if apt_source_of_suite "$codename-backports" >/dev/null; then
    return 0
  fi
  found=$(apt_source_of_suite "$codename") || {
    echo "error: no apt source for the suite '$codename' was found in /etc/apt; add one, then run this again" >&2
    return 1
  }
  uri=${found%%$'\t'*}
  key=${found#*$'\t'}
  {
    echo "Types: deb"
    echo "URIs: $uri"
    echo "Suites: $codename-backports"
    echo "Components: main"
    [ -n "$key" ] && echo "Signed-By: $key"
    true
  } >"$file.new"
  mv "$file.new" "$file"
  APT_UPDATED=0
}
