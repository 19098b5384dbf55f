"""What schemathesis needs beside the document: things to meet in the server, exact answers, excuses with reasons."""

import json
import os
import re
import sys
from datetime import datetime, timedelta

import schemathesis
from schemathesis.transport import requests as transport

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from reasons import REASONS  # noqa: E402

# What run.py has prepared.
PREPARED = {
    "sandbox": ["contract-run", "contract-files", "contract-life"],
    "process": [1, 2, 3, 4],
    "template": ["base"],
    "path": ["/tmp/contract/file", "/tmp/contract/folder", "/tmp/contract"],
}


def schemas(node):
    """All objects below a node that describe JSON objects by their properties."""
    if isinstance(node, dict):
        if isinstance(node.get("properties"), dict):
            yield node
        for value in node.values():
            yield from schemas(value)
    elif isinstance(node, list):
        for value in node:
            yield from schemas(value)


@schemathesis.hook
def before_load_schema(context, raw_schema):
    """Closes the answers' objects: the document leaves them open for later versions, but this version sends no field that
    it does not name. Gives parameters examples of what exists."""
    for node in schemas(raw_schema):
        node.setdefault("additionalProperties", False)
    parameters = list(raw_schema["components"]["parameters"].values())
    for path in raw_schema["paths"].values():
        for item in [path, *path.values()]:
            if isinstance(item, dict):
                parameters += item.get("parameters", [])
    for parameter in parameters:
        if parameter.get("name") in PREPARED and parameter.get("required"):
            parameter["examples"] = {str(value): {"value": value} for value in PREPARED[parameter["name"]]}


# Streams have no end: what comes in this time after the answer's head is looked at.
STREAM_SECONDS = 0.3
WAIT_SECONDS = 0.2
LIFE_SECONDS = 3600
LARGEST_HOLE = 1 << 20
MOST_LIMITS = 16


def look_shortly(response, iterate=transport._iter_event_stream):
    """The head of an answer may take as long as any request's; only the wait for an event is short."""
    connection = getattr(response.raw, "connection", None)
    if connection is not None and connection.sock is not None:
        connection.sock.settimeout(STREAM_SECONDS)
    return iterate(response)


def read_shortly(stream, timeout, most, read=transport.read_event_stream):
    return read(stream, STREAM_SECONDS, most)


# There is no setting for it; requirements.txt names the version that this is written for.
transport._iter_event_stream = look_shortly
transport.read_event_stream = read_shortly


def keep_alive(lifecycle):
    """Longer lives than the test: a sandbox that deletes itself a second later would look as if it had been lost."""
    age = lifecycle.get("max_age")
    if isinstance(age, (int, float)) and not isinstance(age, bool) and 1 <= age < LIFE_SECONDS:
        lifecycle["max_age"] = LIFE_SECONDS
    timeout = lifecycle.get("idle_timeout", 15)
    if lifecycle.get("on_idle") == "delete" and isinstance(timeout, (int, float)) and 1 <= timeout < LIFE_SECONDS:
        lifecycle["idle_timeout"] = LIFE_SECONDS


def moment(value):
    """A time of a query, in a year that the server knows; None: it is not one."""
    try:
        time = datetime.fromisoformat(value) if isinstance(value, str) and len(value) > 16 else None
    except ValueError:
        return None
    return time if time is None or 1970 <= time.year < 2199 else time.replace(year=2026, day=min(time.day, 28))


def text(time):
    return time.isoformat().replace("+00:00", "Z")


def relate(query):
    """The document cannot say how two values must lie to each other. Where both are valid by themselves, they are moved
    so that they fit; the server's own tests try those that do not."""
    start, end = moment(query.get("from")), moment(query.get("to"))
    if start and (end or "to" not in query):
        query["from"], query["to"] = text(start), text(start + timedelta(days=1))
    elif end and "from" not in query:
        query["to"] = text(end)


def label_once(query):
    """The same for filters: a label occurs once."""
    labels = query.get("label")
    if isinstance(labels, list) and all(isinstance(label, str) and label.find("=") > 0 for label in labels):
        query["label"] = list({label.split("=")[0]: label for label in labels}.values())


def order(body):
    """The same for a process's limits: soft is not above hard, and a resource occurs once."""
    limits = body.get("limits")
    # More than are allowed stay more than are allowed.
    if not isinstance(limits, list) or len(limits) > MOST_LIMITS or not all(isinstance(limit, dict) for limit in limits):
        return
    for limit in limits:
        bounds = [limit.get(name) for name in ("soft", "hard")]
        if all(isinstance(bound, (int, float)) and bound >= 0 for bound in bounds):
            limit["hard"] = max(bounds)
    seen = []
    for limit in limits:
        if "resource" not in limit or limit["resource"] not in [other.get("resource") for other in seen]:
            seen.append(limit)
    body["limits"] = seen


def number(value):
    """A number of a query, which may have been written as text already; None: it is not one."""
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]+(\.[0-9]+)?", str(value)):
        return None
    return float(value)


@schemathesis.hook
def before_call(context, case, kwargs):
    """Bounds the time of requests that last as long as they are told to: the same answers come, only sooner."""
    operation = case.operation.definition.raw.get("operationId")
    query = case.query or {}
    if operation in ("createSandbox", "updateSandbox") and isinstance(case.body, dict):
        if isinstance(case.body.get("lifecycle"), dict):
            keep_alive(case.body["lifecycle"])
    if operation == "getUsage" and case.query:
        relate(case.query)
    if operation in ("getUsage", "listSandboxes") and case.query:
        label_once(case.query)
    if operation in ("exec", "startProcess") and isinstance(case.body, dict):
        order(case.body)
    # A file with a hole of a terabyte would be sent to whoever reads it.
    offset = number(query.get("offset"))
    if operation == "writeFile" and offset is not None and LARGEST_HOLE < offset <= 1 << 40:
        case.query["offset"] = LARGEST_HOLE
    timeout = number(query.get("timeout"))
    if operation == "waitForProcess" and timeout is not None and WAIT_SECONDS < timeout <= 3600:
        case.query["timeout"] = WAIT_SECONDS
    if operation == "waitForProcess" and "timeout" not in query:
        case.query = {**query, "timeout": WAIT_SECONDS}


def code_of(response):
    # An answer to HEAD has no body; this status has one code only.
    if response.status_code == 429:
        return "rate_limited"
    try:
        return json.loads(response.content)["error"]["code"]
    except (ValueError, KeyError, TypeError):
        return None


@schemathesis.hook
def filter_failure(context, failure, case, response):
    """Drops a failure for which reasons.py has a reason, and notes which one it was."""
    # The check of keys sends requests of its own; their answers are told by its message only.
    code = "rate_limited" if "got `429 Too Many Requests`" in failure.message else code_of(response)
    operation = case.operation.definition.raw.get("operationId")
    for number, (check, codes, operations, _) in enumerate(REASONS):
        if check == CHECKS.get(type(failure).__name__) and code in codes and (not operations or operation in operations):
            with open(os.environ["CONTRACT_EXCUSED"], "a") as file:
                file.write(f"{number}\n")
            return False
    return True


# The checks' names, by the kind of their failures.
CHECKS = {
    "RejectedPositiveData": "positive_data_acceptance", "ServerError": "not_a_server_error",
    "AcceptedNegativeData": "negative_data_rejection", "MissingHeaderNotRejected": "missing_required_header", "IgnoredAuth": "ignored_auth",
}
