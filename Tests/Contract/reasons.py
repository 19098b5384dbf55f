"""What the checks must not say of this API, each with its reason.

A row excuses failures of one check whose answer has one of the error codes, at the operations named, or at all of them.
A row that excused nothing during a whole run is named at its end, so that the list does not outlive its reasons.
"""

ACCEPTED = "positive_data_acceptance"
NO_5XX = "not_a_server_error"
REJECTED = "negative_data_rejection"
NEEDS_HEADER = "missing_required_header"
NEEDS_KEY = "ignored_auth"

# (check, error codes, operations or None for all, why)
REASONS = [
    (ACCEPTED, ["upgrade_required"], ["attach", "connectPort"],
     "they answer 101 to the handshake of a WebSocket; schemathesis speaks plain HTTP, for which 426 is right"),
    (ACCEPTED, ["cannot_execute"], ["exec", "startProcess"],
     "whether a program exists is known inside the sandbox only; a schema cannot say it"),
    (ACCEPTED, ["unsupported"], ["createSandbox"],
     "limits that the document allows may be more than this node has"),
    (ACCEPTED, ["no_such_user"], None,
     "whether a user exists is known inside the sandbox only; a schema cannot say it"),
    (ACCEPTED, ["invalid_cursor"], ["listSandboxes", "listAudit", "getUsage"],
     "a cursor is opaque: only one that the server gave is valid"),
    (REJECTED, ["invalid_request"], None,
     "431 refuses a request that is wrong and too large; the check counts some of the refusals only"),
    (NEEDS_HEADER, ["rate_limited"], None,
     "many requests without a key from one address are refused by 429 instead of 401, as documented"),
    (NEEDS_KEY, ["rate_limited"], None,
     "the same: 429 refuses as well as 401 does"),
    (NO_5XX, ["deadline_exceeded"], ["waitForProcess"],
     "504 is the documented answer to a wait that was shorter than the process"),
]
