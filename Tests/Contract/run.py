#!/usr/bin/env python3
"""Holds a real server to its OpenAPI document.

Starts a server with directories of its own, makes a few sandboxes with processes and files for the requests to meet,
lets schemathesis send what the document allows and what it does not, and removes everything. Run by scripts/contract.
"""

import argparse
import os
import signal
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.dont_write_bytecode = True
sys.path.insert(0, os.path.join(HERE, "../../scripts/lib"))
from own_server import Failure, Server  # noqa: E402
from reasons import REASONS  # noqa: E402


# The script of the first process: it changes a file and says a word five times a second, so that whoever follows its
# output or watches the directory soon sees something. It starts no process for that, which would keep a core busy.
TICKER = "exec 3<> <(:); while :; do echo tick; echo tick > /tmp/contract/tick; read -rt 0.2 -u 3; done"


def prepare(server):
    """Sandboxes for the requests to meet; hooks.py names them and their processes."""
    awake = {"idle_timeout": 3600}
    for name in ("contract-run", "contract-files", "contract-life"):
        server.call("POST", "/v1/sandboxes", {"name": name, "labels": {"made": "contract"}, "lifecycle": awake})
        base = f"/v1/sandboxes/{name}"
        server.call("POST", base + "/files/mkdir", {"path": "/tmp/contract/folder", "parents": True, "mode": "0777"})
        server.call("PUT", base + "/files?path=/tmp/contract/file", b"0123456789" * 10)
        commands = [
            {"command": ["bash", "-c", TICKER]},
            {"command": ["sh", "-c", "echo out; echo err >&2; exit 3"]},
            {"command": ["cat"], "open_stdin": True},
            {"command": ["sleep", "3600"], "terminal": {"columns": 80, "rows": 24}},
        ]
        for command in commands:
            server.call("POST", base + "/processes", command)
        server.call("GET", base + "/processes/2/wait")


def unused_reasons(excused):
    """Reasons that excused nothing."""
    used = set()
    if os.path.exists(excused):
        with open(excused) as file:
            used = {int(line) for line in file}
    return [reason for number, reason in enumerate(REASONS) if number not in used]


def test(server, arguments):
    excused = server.directory + "/excused"
    environment = {
        **os.environ, "SCHEMATHESIS_HOOKS": os.path.join(HERE, "hooks.py"), "CONTRACT_EXCUSED": excused,
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    command = [
        os.path.join(os.path.dirname(sys.executable), "schemathesis"),
        "--config-file", os.path.join(HERE, "schemathesis.toml"), "run", server.url + "/v1/openapi.yaml",
        "--header", "Authorization: Bearer " + server.key, *arguments.rest,
    ]
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=environment, cwd=server.directory)
    try:
        code = process.wait(arguments.deadline)
        if not arguments.rest:
            # Some depend on the machine, so this is a note.
            for check, codes, _, why in unused_reasons(excused):
                print(f"note: this reason excused nothing: {check} of {', '.join(codes)}: {why}", file=sys.stderr)
        return code
    except subprocess.TimeoutExpired:
        raise Failure(f"the requests were not done within {arguments.deadline} s") from None
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--programs", required=True, help="directory of nightjar, nightjar-init and nightjar-shim")
    parser.add_argument("--templates", required=True, help="directory of built templates")
    parser.add_argument("--deadline", type=int, default=300, help="seconds for all requests")
    parser.add_argument("rest", nargs="*", help="passed to schemathesis")
    arguments = parser.parse_args()
    # An end from outside goes the way of every other: nothing is left.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    server = Server(
        arguments.programs,
        arguments.templates,
        # The shapes of requests and answers are the same for all tiers, and one without machines refuses them at once.
        ["--qemu", "/nonexistent"],
    )
    code = 1
    try:
        server.start()
        prepare(server)
        code = test(server, arguments)
    except Failure as failure:
        print(f"error: {failure}", file=sys.stderr)
    finally:
        try:
            server.stop()
        except Failure as failure:
            print(f"error: {failure}", file=sys.stderr)
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
