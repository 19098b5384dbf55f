# shellcheck shell=bash
# Debian's kernel for virtual machines, unpacked and not installed. Sourced after common.sh and apt.sh.

# kernel_package NAME: prints the package of the kernel itself, if NAME is one without a version that depends on it.
kernel_package() {
  local package
  package=$(apt-cache depends "$1" 2>/dev/null | awk '$1 == "Depends:" && $2 ~ /^linux-image/ && !found {print $2; found = 1}')
  [ -n "$package" ] || die "there is no package $1" "is the Debian mirror reachable?"
  printf '%s\n' "$package"
}

# kernel_candidate PACKAGE: prints the version that apt would install.
kernel_candidate() {
  apt-cache policy "$1" | awk '$1 == "Candidate:" {print $2}'
}

# kernel_unpack PACKAGE VERSION DIR: fetches the package and unpacks it into DIR/kernel; prints the kernel's release.
kernel_unpack() {
  local place=$3/kernel release
  (cd "$3" && apt_quiet download -o APT::Sandbox::User=root "$1=$2" >&2 && dpkg -x "$1"_*.deb kernel && rm -f "$1"_*.deb) ||
    die "the kernel $1 $2 cannot be fetched" "its messages are above; is the mirror reachable?"
  release=$(basename "$place"/lib/modules/*)
  depmod -b "$place" "$release"
  printf '%s\n' "$release"
}

# kernel_modules DIR RELEASE MODULE...: prints the files of these modules and of those that they need, each once, in an
# order in which they can be loaded. What is built into the kernel has no file.
kernel_modules() {
  local place=$1/kernel release=$2 module
  shift 2
  for module in "$@"; do
    modprobe -d "$place" -S "$release" --show-depends "$module" || die "the kernel $release has no module $module"
  done | awk '$1 == "insmod" && !seen[$2]++ {print $2}'
}
