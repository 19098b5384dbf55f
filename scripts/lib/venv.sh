# shellcheck shell=bash
# The Python environment of the contract test. Sourced after common.sh.

readonly REQUIREMENTS=$ROOT/Tests/Contract/requirements.txt
# A changed list makes a new environment; `make clean` removes all.
VENV=$ROOT/out/contract-$(sha256sum "$REQUIREMENTS" | cut -c1-12)
readonly VENV

# Makes the environment if it is not there. The last package's program tells a complete one; half of one is removed.
venv_install() {
  [ -x "$VENV/bin/schemathesis" ] && return 0
  say "installing what the contract test needs into $VENV"
  mkdir -p "$ROOT/out"
  rm -rf "$VENV"
  # Programs inside name the directory that they were installed into, so it is not made aside and renamed.
  if ! { python3 -m venv "$VENV" && "$VENV/bin/pip" install --quiet --disable-pip-version-check -r "$REQUIREMENTS"; }; then
    rm -rf "$VENV"
    die "the packages of Tests/Contract/requirements.txt could not be installed" \
      "the message above says why; python3-venv and a package index are needed"
  fi
}
