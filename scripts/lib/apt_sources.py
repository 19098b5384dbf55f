"""Derives apt sources from those that this machine uses already.

apt_sources.py SUITE [AS_SUITE]
    Prints a deb822 stanza for AS_SUITE (default: SUITE) with the address and key of the source that serves
    SUITE's component main. Exits with 1 if no source does.

Both formats of apt are read: deb822 (*.sources) and one-line (*.list). APT_ETC names another /etc/apt.
"""

import glob
import os
import re
import sys


def stanzas(text):
    """The stanzas of a deb822 file, as dictionaries; a value keeps its continuation lines as they are."""
    for block in re.split(r"\n[ \t]*\n", text):
        fields, key = {}, None
        for line in block.splitlines():
            if line.startswith("#") or not line.strip():
                continue
            if line[0] in " \t":
                if key:
                    fields[key] += "\n" + line
            elif ":" in line:
                key, value = line.split(":", 1)
                key = key.strip().lower()
                fields[key] = value.strip()
        if fields:
            yield fields


def read(path):
    try:
        with open(path, encoding="utf-8") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def deb822_sources(etc):
    for path in sorted(glob.glob(f"{etc}/sources.list.d/*.sources")):
        for fields in stanzas(read(path)):
            if fields.get("enabled", "yes").lower() in ("no", "false", "off", "0"):
                continue
            if "deb" not in fields.get("types", "").split() or not fields.get("uris", "").split():
                continue
            for suite in fields.get("suites", "").split():
                yield suite, fields["uris"].split()[0], fields.get("components", "").split(), fields.get("signed-by", "")


def one_line_sources(etc):
    for path in [f"{etc}/sources.list"] + sorted(glob.glob(f"{etc}/sources.list.d/*.list")):
        for line in read(path).splitlines():
            match = re.match(r"deb\s+(?:\[([^\]]*)\]\s+)?(\S+)\s+(\S+)\s+([^#]+)", line.strip())
            if match:
                key = re.search(r"signed-by=(\S+)", match.group(1) or "", re.IGNORECASE)
                yield match.group(3), match.group(2), match.group(4).split(), key.group(1) if key else ""


def main():
    wanted = sys.argv[1]
    written = sys.argv[2] if len(sys.argv) > 2 else wanted
    etc = os.environ.get("APT_ETC", "/etc/apt")
    for suite, uri, components, key in [*deb822_sources(etc), *one_line_sources(etc)]:
        if suite == wanted and "main" in components:
            print(f"Types: deb\nURIs: {uri}\nSuites: {written}\nComponents: main")
            if key:
                print(f"Signed-By: {key}")
            return 0
    return 1


if __name__ == "__main__":
    sys.exit(main())
