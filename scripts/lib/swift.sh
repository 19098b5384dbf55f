# shellcheck shell=bash
# Finds the Swift toolchain. Sourced after common.sh.

readonly SWIFT_MINIMUM=6.2

# Puts the toolchain on PATH, if it is not there and stands at its usual place.
swift_on_path() {
  if ! command -v swift >/dev/null && [ -x /opt/swift/usr/bin/swift ]; then
    export PATH="$PATH:/opt/swift/usr/bin"
  fi
  command -v swift >/dev/null ||
    die "no Swift toolchain was found on PATH or in /opt/swift/usr/bin" \
      "Debian has none: install Swift $SWIFT_MINIMUM or newer for Debian from swift.org, unpacked as /opt/swift"
}

# Asking the compiler for its version takes 0.3 s, so the answer is kept beside the binary's identity.
swift_check_version() {
  local binary identity cache=$ROOT/out/.swift-version version
  binary=$(readlink -f "$(command -v swift)")
  identity=$(stat -c '%n %s %Y' "$binary")
  if [ "$(head -n 1 "$cache" 2>/dev/null)" = "$identity" ]; then
    return 0
  fi
  version=$(swift --version 2>/dev/null | grep -o 'Swift version [0-9.]*' | grep -o '[0-9.]*$') ||
    die "'swift --version' failed; the toolchain at $binary does not work" "run it by hand to see why"
  dpkg --compare-versions "$version" ge "$SWIFT_MINIMUM" ||
    die "Swift $version is too old" "install Swift $SWIFT_MINIMUM or newer from swift.org"
  mkdir -p "$ROOT/out"
  printf '%s\n%s\n' "$identity" "$version" >"$cache"
}
