"""What the checks share: the project's files, and the way they report."""

import os
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def project_files(*suffixes):
    """Paths, relative to ROOT, of all files under version control and of new ones that are not ignored."""
    command = ["git", "-C", ROOT, "ls-files", "-co", "--exclude-standard", "-z"]
    names = subprocess.run(command, check=True, capture_output=True).stdout.decode().split("\0")
    kept = [name for name in names if name and (not suffixes or name.endswith(suffixes))]
    return sorted(name for name in set(kept) if os.path.isfile(os.path.join(ROOT, name)))


def read(name):
    with open(os.path.join(ROOT, name), encoding="utf-8", errors="replace") as file:
        return file.read()


class Report:
    """Collects problems; says for each where it is and what to do."""

    def __init__(self, title):
        self.title = title
        self.problems = []

    def add(self, where, what, remedy):
        self.problems.append(f"{where}: {what}\n    -> {remedy}")

    def finish(self):
        if not self.problems:
            return 0
        print(f"{self.title}: {len(self.problems)} problem(s)", file=sys.stderr)
        for problem in self.problems:
            print(f"  {problem}", file=sys.stderr)
        return 1
