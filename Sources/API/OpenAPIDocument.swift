/// The text of `openapi.yaml`, which lies beside this file, so that the program can serve it wherever it is. Made from it
/// by `NIGHTJAR_WRITE_DOCUMENT=1 swift test --filter APITests`; a test holds the two together.
public enum OpenAPIDocument {
    public static let text = #"""
        openapi: 3.1.0
        info:
          title: Nightjar
          version: 0.1.0
          summary: Sandboxes that sleep on disk when they are idle and wake when they are called.
          description: |
            A sandbox is an isolated Linux system with processes and files. Given a name it is durable; without one it is
            ephemeral and deleted some time after it has become idle. A sandbox that nobody uses falls asleep: its memory goes to
            disk, its processes leave the host. A request that needs it wakes it.

            **Authentication.** On TCP every path but `/v1/health`, `/v1/version` and `/v1/openapi.yaml` needs
            `Authorization: Bearer KEY`. The Unix socket needs no key: whoever may open the file may do everything.

            **JSON** is read strictly: unknown fields, duplicate keys and wrong types are errors that name the place. Bodies have
            at most 1 MiB and 32 levels. Absent values are left out of answers.

            **Errors** have one form and a stable `code`; `retryable` says whether the same request may succeed later.
            `X-Request-ID` is on every answer; a client may choose it (1 to 128 visible ASCII characters).

            **What keeps a sandbox awake:** requests that use it, open streams (attach, ports, watch), a running foreground
            process, CPU use. Lists, `GET` of a sandbox, metrics, events and followed output never do, and never wake it.
        servers:
          - url: http://127.0.0.1:7575
        security:
          - key: []
        tags:
          - {name: system}
          - {name: sandboxes}
          - {name: processes}
          - {name: files}
          - {name: events}

        paths:
          /v1/health:
            get:
              operationId: getHealth
              tags: [system]
              summary: Whether the server is ready, and how many sandboxes are in which state
              security: []
              responses:
                '200': {description: The server answers, content: {application/json: {schema: {$ref: '#/components/schemas/Health'}}}}
                default: {$ref: '#/components/responses/Error'}
          /v1/version:
            get:
              operationId: getVersion
              tags: [system]
              summary: Versions of the server and its interfaces
              security: []
              responses:
                '200': {description: The versions, content: {application/json: {schema: {$ref: '#/components/schemas/Version'}}}}
                default: {$ref: '#/components/responses/Error'}
          /v1/openapi.yaml:
            get:
              operationId: getDocument
              tags: [system]
              summary: This document
              security: []
              responses:
                '200': {description: OpenAPI 3.1, content: {application/yaml: {schema: {type: string}}}}
          /metrics:
            get:
              operationId: getServerMetrics
              tags: [system]
              summary: The server's metrics in Prometheus's text format
              responses:
                '200': {description: Text format 0.0.4, content: {text/plain: {schema: {type: string}}}}
                default: {$ref: '#/components/responses/Error'}
          /v1/capabilities:
            get:
              operationId: getCapabilities
              tags: [system]
              summary: What this machine can do, and why not where it cannot
              responses:
                '200': {description: Tiers and networks, content: {application/json: {schema: {$ref: '#/components/schemas/Capabilities'}}}}
                default: {$ref: '#/components/responses/Error'}
          /v1/templates:
            get:
              operationId: listTemplates
              tags: [system]
              summary: The templates from which sandboxes are made
              responses:
                '200':
                  description: All of them
                  content:
                    application/json:
                      schema:
                        type: object
                        required: [items]
                        properties: {items: {type: array, items: {$ref: '#/components/schemas/Template'}}}
                default: {$ref: '#/components/responses/Error'}
          /v1/templates/{template}:
            parameters:
              - {name: template, in: path, required: true, schema: {type: string}}
            get:
              operationId: getTemplate
              tags: [system]
              summary: One template
              responses:
                '200': {description: The template, content: {application/json: {schema: {$ref: '#/components/schemas/Template'}}}}
                default: {$ref: '#/components/responses/Error'}

          /v1/events:
            get:
              operationId: listEvents
              tags: [events]
              summary: What happened to sandboxes, oldest first; followed on request
              description: |
                With `follow=true` the answer is a stream of server-sent events that does not end: `event: event`, `id` is the
                sequence number, `data` an Event. `Last-Event-ID` goes on after that event. A comment line comes every 15 s.
              parameters:
                - {name: after, in: query, description: 'Only events with a higher sequence number. With follow and without it: from now on.', schema: {type: integer, minimum: 0}}
                - {name: sandbox, in: query, description: Id or name, schema: {type: string}}
                - {name: limit, in: query, description: Without follow, schema: {type: integer, minimum: 1, maximum: 1000, default: 100}}
                - {$ref: '#/components/parameters/follow'}
                - {$ref: '#/components/parameters/lastEventID'}
              responses:
                '200':
                  description: Events
                  content:
                    application/json:
                      schema:
                        type: object
                        required: [items]
                        properties: {items: {type: array, items: {$ref: '#/components/schemas/Event'}}}
                    text/event-stream: {schema: {type: string}}
                default: {$ref: '#/components/responses/Error'}

          /v1/sandboxes:
            get:
              operationId: listSandboxes
              tags: [sandboxes]
              summary: Sandboxes, newest first, in pages
              parameters:
                - {name: label, in: query, description: '`key=value`; repeated: all of them', schema: {type: array, items: {type: string}}}
                - {name: state, in: query, description: 'Repeated: any of them', schema: {type: array, items: {$ref: '#/components/schemas/State'}}}
                - {name: limit, in: query, schema: {type: integer, minimum: 1, maximum: 200, default: 50}}
                - {name: cursor, in: query, description: '`next_cursor` of the page before', schema: {type: string}}
              responses:
                '200':
                  description: One page
                  content:
                    application/json:
                      schema:
                        type: object
                        required: [items]
                        properties:
                          items: {type: array, items: {$ref: '#/components/schemas/Sandbox'}}
                          next_cursor: {type: string, description: Absent on the last page}
                default: {$ref: '#/components/responses/Error'}
            post:
              operationId: createSandbox
              tags: [sandboxes]
              summary: Create a sandbox; answers when it runs
              parameters:
                - name: Idempotency-Key
                  in: header
                  description: |
                    A repeated request with the same key returns the first one's sandbox (for 24 hours); with another body it is
                    refused with `idempotency_conflict`.
                  schema: {type: string, minLength: 1, maxLength: 128}
              requestBody:
                required: true
                content: {application/json: {schema: {$ref: '#/components/schemas/SandboxSpec'}}}
              responses:
                '201': {description: It runs, content: {application/json: {schema: {$ref: '#/components/schemas/Sandbox'}}}}
                default: {$ref: '#/components/responses/Error'}
          /v1/sandboxes/{sandbox}:
            parameters:
              - {$ref: '#/components/parameters/sandbox'}
            get:
              operationId: getSandbox
              tags: [sandboxes]
              summary: One sandbox; neither wakes it nor counts as use
              responses:
                '200': {$ref: '#/components/responses/Sandbox'}
                default: {$ref: '#/components/responses/Error'}
            patch:
              operationId: updateSandbox
              tags: [sandboxes]
              summary: Change labels or lifecycle
              requestBody:
                required: true
                content:
                  application/json:
                    schema:
                      type: object
                      additionalProperties: false
                      properties:
                        labels: {$ref: '#/components/schemas/Labels', description: Replaces all labels}
                        lifecycle: {$ref: '#/components/schemas/LifecycleSpec'}
              responses:
                '200': {$ref: '#/components/responses/Sandbox'}
                default: {$ref: '#/components/responses/Error'}
            delete:
              operationId: deleteSandbox
              tags: [sandboxes]
              summary: Remove a sandbox with everything in it, whatever is under way with it
              responses:
                '204': {description: It is gone}
                default: {$ref: '#/components/responses/Error'}
          /v1/sandboxes/{sandbox}/pause:
            parameters:
              - {$ref: '#/components/parameters/sandbox'}
            post:
              operationId: pauseSandbox
              tags: [sandboxes]
              summary: Freeze all processes in RAM
              responses:
                '200': {$ref: '#/components/responses/Sandbox'}
                default: {$ref: '#/components/responses/Error'}
          /v1/sandboxes/{sandbox}/resume:
            parameters:
              - {$ref: '#/components/parameters/sandbox'}
            post:
              operationId: resumeSandbox
              tags: [sandboxes]
              summary: Make it run, from paused, standby, stopped or failed
              responses:
                '200': {$ref: '#/components/responses/Sandbox'}
                default: {$ref: '#/components/responses/Error'}
          /v1/sandboxes/{sandbox}/standby:
            parameters:
              - {$ref: '#/components/parameters/sandbox'}
            post:
              operationId: standbySandbox
              tags: [sandboxes]
              summary: Write its memory to disk and end its processes on the host
              responses:
                '200': {$ref: '#/components/responses/Sandbox'}
                default: {$ref: '#/components/responses/Error'}
          /v1/sandboxes/{sandbox}/stop:
            parameters:
              - {$ref: '#/components/parameters/sandbox'}
            post:
              operationId: stopSandbox
              tags: [sandboxes]
              summary: End its processes and keep its files
              responses:
                '200': {$ref: '#/components/responses/Sandbox'}
                default: {$ref: '#/components/responses/Error'}
          /v1/sandboxes/{sandbox}/metrics:
            parameters:
              - {$ref: '#/components/parameters/sandbox'}
            get:
              operationId: getSandboxMetrics
              tags: [sandboxes]
              summary: Usage; neither wakes it nor counts as use
              responses:
                '200': {description: Usage now, content: {application/json: {schema: {$ref: '#/components/schemas/SandboxMetrics'}}}}
                default: {$ref: '#/components/responses/Error'}

          /v1/sandboxes/{sandbox}/exec:
            parameters:
              - {$ref: '#/components/parameters/sandbox'}
            post:
              operationId: exec
              tags: [processes]
              summary: Run a command to its end and return its output
              description: |
                A command that fails is a result, not an error. If the client goes away, the command goes on.
              requestBody:
                required: true
                content: {application/json: {schema: {$ref: '#/components/schemas/ExecRequest'}}}
              responses:
                '200': {description: It ended, content: {application/json: {schema: {$ref: '#/components/schemas/ExecResult'}}}}
                default: {$ref: '#/components/responses/Error'}
          /v1/sandboxes/{sandbox}/processes:
            parameters:
              - {$ref: '#/components/parameters/sandbox'}
            get:
              operationId: listProcesses
              tags: [processes]
              summary: Processes that were started through the API, running ones and the latest 1,024 that ended
              responses:
                '200':
                  description: All of them
                  content:
                    application/json:
                      schema:
                        type: object
                        required: [items]
                        properties: {items: {type: array, items: {$ref: '#/components/schemas/Process'}}}
                default: {$ref: '#/components/responses/Error'}
            post:
              operationId: startProcess
              tags: [processes]
              summary: Start a process and return while it runs
              requestBody:
                required: true
                content: {application/json: {schema: {$ref: '#/components/schemas/ExecRequest'}}}
              responses:
                '201': {description: It runs, content: {application/json: {schema: {$ref: '#/components/schemas/Process'}}}}
                default: {$ref: '#/components/responses/Error'}
          /v1/sandboxes/{sandbox}/processes/table:
            parameters:
              - {$ref: '#/components/parameters/sandbox'}
            get:
              operationId: getProcessTable
              tags: [processes]
              summary: Every process inside
              responses:
                '200':
                  description: The table
                  content:
                    application/json:
                      schema:
                        type: object
                        required: [items]
                        properties: {items: {type: array, items: {$ref: '#/components/schemas/ProcessTableEntry'}}}
                default: {$ref: '#/components/responses/Error'}
          /v1/sandboxes/{sandbox}/processes/{process}:
            parameters:
              - {$ref: '#/components/parameters/sandbox'}
              - {$ref: '#/components/parameters/process'}
            get:
              operationId: getProcess
              tags: [processes]
              summary: One process
              responses:
                '200': {description: The process, content: {application/json: {schema: {$ref: '#/components/schemas/Process'}}}}
                default: {$ref: '#/components/responses/Error'}
          /v1/sandboxes/{sandbox}/processes/{process}/wait:
            parameters:
              - {$ref: '#/components/parameters/sandbox'}
              - {$ref: '#/components/parameters/process'}
            get:
              operationId: waitForProcess
              tags: [processes]
              summary: Wait until a process has ended
              parameters:
                - {name: timeout, in: query, description: Seconds; then `deadline_exceeded`, schema: {type: number, minimum: 0, maximum: 3600, default: 60}}
              responses:
                '200': {description: How it ended, content: {application/json: {schema: {$ref: '#/components/schemas/Exit'}}}}
                default: {$ref: '#/components/responses/Error'}
          /v1/sandboxes/{sandbox}/processes/{process}/signal:
            parameters:
              - {$ref: '#/components/parameters/sandbox'}
              - {$ref: '#/components/parameters/process'}
            post:
              operationId: signalProcess
              tags: [processes]
              summary: Send a signal
              requestBody:
                required: true
                content:
                  application/json:
                    schema:
                      type: object
                      additionalProperties: false
                      required: [signal]
                      properties:
                        signal:
                          description: Number, or name with or without SIG
                          oneOf: [{type: integer, minimum: 1, maximum: 64}, {type: string, examples: [TERM]}]
                        group: {type: boolean, default: true, description: Whether the whole process group gets it}
              responses:
                '204': {description: It is sent}
                default: {$ref: '#/components/responses/Error'}
          /v1/sandboxes/{sandbox}/processes/{process}/stdin:
            parameters:
              - {$ref: '#/components/parameters/sandbox'}
              - {$ref: '#/components/parameters/process'}
            post:
              operationId: writeStdin
              tags: [processes]
              summary: Write the body to a process's standard input
              parameters:
                - {name: close, in: query, description: Whether standard input is closed afterwards, schema: {type: boolean, default: false}}
              requestBody:
                content: {application/octet-stream: {schema: {type: string, format: binary}}}
              responses:
                '204': {description: It is on its way}
                default: {$ref: '#/components/responses/Error'}
          /v1/sandboxes/{sandbox}/processes/{process}/resize:
            parameters:
              - {$ref: '#/components/parameters/sandbox'}
              - {$ref: '#/components/parameters/process'}
            post:
              operationId: resizeTerminal
              tags: [processes]
              summary: Change the size of a process's terminal
              requestBody:
                required: true
                content: {application/json: {schema: {$ref: '#/components/schemas/Terminal'}}}
              responses:
                '204': {description: It has the new size}
                default: {$ref: '#/components/responses/Error'}
          /v1/sandboxes/{sandbox}/processes/{process}/output:
            parameters:
              - {$ref: '#/components/parameters/sandbox'}
              - {$ref: '#/components/parameters/process'}
            get:
              operationId: getOutput
              tags: [processes]
              summary: Retained output from an offset on; followed on request
              description: |
                Offsets count the bytes of both outputs since the process began. With `follow=true` the answer is a stream of
                server-sent events: `event: output` (data OutputChunk, id the offset after it), then `event: exit` (data Exit).
                A follower neither wakes the sandbox nor keeps it awake; while it sleeps the stream stays open.
              parameters:
                - {name: offset, in: query, schema: {type: integer, minimum: 0, default: 0}}
                - {name: limit, in: query, description: Bytes; without follow, schema: {type: integer, minimum: 1, maximum: 16777216, default: 1048576}}
                - {$ref: '#/components/parameters/follow'}
                - {$ref: '#/components/parameters/lastEventID'}
              responses:
                '200':
                  description: Output
                  content:
                    application/json: {schema: {$ref: '#/components/schemas/Output'}}
                    text/event-stream: {schema: {type: string}}
                default: {$ref: '#/components/responses/Error'}
          /v1/sandboxes/{sandbox}/processes/{process}/attach:
            parameters:
              - {$ref: '#/components/parameters/sandbox'}
              - {$ref: '#/components/parameters/process'}
            get:
              operationId: attach
              tags: [processes]
              summary: Attach to a process by WebSocket
              description: |
                Binary messages begin with a channel byte: from the client 0 is standard input; from the server 1 is standard
                output (and a terminal's output), 2 standard error. Text messages are JSON. From the client:
                `{"type":"resize","columns":80,"rows":24}`, `{"type":"close_stdin"}`, `{"type":"signal","signal":2}`. From the
                server: `{"type":"attached","process":Process,"offset":N}` first, `{"type":"exit","exit":Exit}` last, and
                `{"type":"error","error":{…}}`. Closing the socket detaches; the process goes on. Messages have at most 1 MiB.
              parameters:
                - {name: offset, in: query, description: 'Where the output begins; -1: from now on', schema: {type: integer, minimum: -1, default: 0}}
              responses:
                '101': {description: It is a WebSocket now}
                default: {$ref: '#/components/responses/Error'}
          /v1/sandboxes/{sandbox}/ports/{port}:
            parameters:
              - {$ref: '#/components/parameters/sandbox'}
              - {name: port, in: path, required: true, schema: {type: integer, minimum: 1, maximum: 65535}}
            get:
              operationId: connectPort
              tags: [processes]
              summary: Connect to a TCP port inside by WebSocket
              description: |
                Binary messages are the connection's bytes, both ways. The text message `{"type":"close_write"}` of the client is
                half a close; `{"type":"error","error":{…}}` of the server says why there is no connection (`connection_refused`).
              responses:
                '101': {description: It is a WebSocket now}
                default: {$ref: '#/components/responses/Error'}

          /v1/sandboxes/{sandbox}/files:
            parameters:
              - {$ref: '#/components/parameters/sandbox'}
              - {$ref: '#/components/parameters/path'}
            get:
              operationId: readFile
              tags: [files]
              summary: A file's contents, or a range of them
              parameters:
                - {name: Range, in: header, description: One range of bytes; others are ignored, schema: {type: string, examples: ['bytes=0-99']}}
              responses:
                '200': {$ref: '#/components/responses/Contents'}
                '206': {$ref: '#/components/responses/Contents'}
                default: {$ref: '#/components/responses/Error'}
            head:
              operationId: headFile
              tags: [files]
              summary: A file's description in headers
              responses:
                '200': {description: The headers of a read}
                default: {description: The headers of an error}
            put:
              operationId: writeFile
              tags: [files]
              summary: Write a file from the body; the whole file is replaced at once unless an offset is given
              parameters:
                - {name: mode, in: query, description: 'Octal, of a new file', schema: {type: string, default: '0644'}}
                - {name: user, in: query, description: 'Owner of a new file; default: the template''s user', schema: {type: string}}
                - {name: create_parents, in: query, schema: {type: boolean, default: true}}
                - {name: offset, in: query, description: Writes in place from there, schema: {type: integer, minimum: 0}}
              requestBody:
                required: true
                content: {application/octet-stream: {schema: {type: string, format: binary}}}
              responses:
                '200': {description: The file, content: {application/json: {schema: {$ref: '#/components/schemas/File'}}}}
                default: {$ref: '#/components/responses/Error'}
            delete:
              operationId: removeFile
              tags: [files]
              summary: Remove a file or directory
              parameters:
                - {name: recursive, in: query, schema: {type: boolean, default: false}}
              responses:
                '204': {description: It is gone}
                default: {$ref: '#/components/responses/Error'}
          /v1/sandboxes/{sandbox}/files/stat:
            parameters:
              - {$ref: '#/components/parameters/sandbox'}
              - {$ref: '#/components/parameters/path'}
            get:
              operationId: statFile
              tags: [files]
              summary: What is at a path
              parameters:
                - {name: follow, in: query, description: Whether a symlink stands for its target, schema: {type: boolean, default: true}}
              responses:
                '200': {description: The file, content: {application/json: {schema: {$ref: '#/components/schemas/File'}}}}
                default: {$ref: '#/components/responses/Error'}
          /v1/sandboxes/{sandbox}/files/list:
            parameters:
              - {$ref: '#/components/parameters/sandbox'}
              - {$ref: '#/components/parameters/path'}
            get:
              operationId: listFiles
              tags: [files]
              summary: The entries of a directory, with paths relative to it
              parameters:
                - {name: depth, in: query, schema: {type: integer, minimum: 1, maximum: 64, default: 1}}
              responses:
                '200':
                  description: All of them
                  content:
                    application/json:
                      schema:
                        type: object
                        required: [items]
                        properties: {items: {type: array, items: {$ref: '#/components/schemas/File'}}}
                default: {$ref: '#/components/responses/Error'}
          /v1/sandboxes/{sandbox}/files/mkdir:
            parameters:
              - {$ref: '#/components/parameters/sandbox'}
            post:
              operationId: makeDirectory
              tags: [files]
              summary: Make a directory
              requestBody:
                required: true
                content:
                  application/json:
                    schema:
                      type: object
                      additionalProperties: false
                      required: [path]
                      properties:
                        path: {$ref: '#/components/schemas/Path'}
                        parents: {type: boolean, default: false, description: Also makes what is above it; an existing one is fine}
                        mode: {$ref: '#/components/schemas/Mode'}
                        user: {type: string}
              responses:
                '204': {description: It is there}
                default: {$ref: '#/components/responses/Error'}
          /v1/sandboxes/{sandbox}/files/move:
            parameters:
              - {$ref: '#/components/parameters/sandbox'}
            post:
              operationId: moveFile
              tags: [files]
              summary: Move or rename
              requestBody:
                required: true
                content:
                  application/json:
                    schema:
                      type: object
                      additionalProperties: false
                      required: [from, to]
                      properties:
                        from: {$ref: '#/components/schemas/Path'}
                        to: {$ref: '#/components/schemas/Path'}
                        overwrite: {type: boolean, default: false}
              responses:
                '204': {description: It is moved}
                default: {$ref: '#/components/responses/Error'}
          /v1/sandboxes/{sandbox}/files/chmod:
            parameters:
              - {$ref: '#/components/parameters/sandbox'}
            post:
              operationId: changeMode
              tags: [files]
              summary: Change permission bits
              requestBody:
                required: true
                content:
                  application/json:
                    schema:
                      type: object
                      additionalProperties: false
                      required: [path, mode]
                      properties:
                        path: {$ref: '#/components/schemas/Path'}
                        mode: {$ref: '#/components/schemas/Mode'}
                        recursive: {type: boolean, default: false}
              responses:
                '204': {description: It is changed}
                default: {$ref: '#/components/responses/Error'}
          /v1/sandboxes/{sandbox}/files/chown:
            parameters:
              - {$ref: '#/components/parameters/sandbox'}
            post:
              operationId: changeOwner
              tags: [files]
              summary: Change the owner
              requestBody:
                required: true
                content:
                  application/json:
                    schema:
                      type: object
                      additionalProperties: false
                      required: [path, owner]
                      properties:
                        path: {$ref: '#/components/schemas/Path'}
                        owner: {type: string, description: 'user, user:group, uid or uid:gid'}
                        recursive: {type: boolean, default: false}
              responses:
                '204': {description: It is changed}
                default: {$ref: '#/components/responses/Error'}
          /v1/sandboxes/{sandbox}/files/symlink:
            parameters:
              - {$ref: '#/components/parameters/sandbox'}
            post:
              operationId: makeSymlink
              tags: [files]
              summary: Make a symbolic link
              requestBody:
                required: true
                content:
                  application/json:
                    schema:
                      type: object
                      additionalProperties: false
                      required: [target, path]
                      properties:
                        target: {type: string, description: What it points to; may be relative}
                        path: {$ref: '#/components/schemas/Path'}
                        user: {type: string}
              responses:
                '204': {description: It is there}
                default: {$ref: '#/components/responses/Error'}
          /v1/sandboxes/{sandbox}/files/watch:
            parameters:
              - {$ref: '#/components/parameters/sandbox'}
              - {$ref: '#/components/parameters/path'}
            get:
              operationId: watchFiles
              tags: [files]
              summary: Changes in a directory as server-sent events
              description: |
                `event: watch`, data a WatchEvent. An open watch needs the sandbox's processes and keeps it awake.
              parameters:
                - {name: recursive, in: query, schema: {type: boolean, default: false}}
              responses:
                '200': {description: A stream without end, content: {text/event-stream: {schema: {type: string}}}}
                default: {$ref: '#/components/responses/Error'}

        components:
          securitySchemes:
            key: {type: http, scheme: bearer}
          parameters:
            sandbox: {name: sandbox, in: path, required: true, description: Id (`sb_…`) or name, schema: {type: string}}
            process: {name: process, in: path, required: true, schema: {type: integer, minimum: 1}}
            path:
              name: path
              in: query
              required: true
              description: Absolute, percent-encoded bytes, at most 4,095 of them, without `..`
              schema: {type: string}
            follow: {name: follow, in: query, description: Stream what comes, schema: {type: boolean, default: false}}
            lastEventID: {name: Last-Event-ID, in: header, description: With follow, schema: {type: string}}
          responses:
            Sandbox: {description: The sandbox, content: {application/json: {schema: {$ref: '#/components/schemas/Sandbox'}}}}
            Contents:
              description: The bytes
              headers:
                X-Nightjar-File: {description: A File as JSON in ASCII, schema: {type: string}}
              content: {application/octet-stream: {schema: {type: string, format: binary}}}
            Error:
              description: It did not work; the status belongs to the code
              headers:
                X-Request-ID: {schema: {type: string}}
                Retry-After: {description: Seconds; with 503, schema: {type: integer}}
                Allow: {description: With 405, schema: {type: string}}
              content: {application/json: {schema: {$ref: '#/components/schemas/Error'}}}
          schemas:
            Error:
              type: object
              required: [error]
              properties:
                error:
                  type: object
                  required: [code, message, retryable, request_id]
                  properties:
                    code: {$ref: '#/components/schemas/ErrorCode'}
                    message: {type: string}
                    hint: {type: string, description: What to do about it}
                    retryable: {type: boolean}
                    request_id: {type: string}
            ErrorCode:
              type: string
              description: New codes may come.
              enum:
                - invalid_request # 400
                - invalid_json # 400
                - unknown_field # 400
                - invalid_name # 400
                - invalid_path # 400
                - invalid_cursor # 400
                - unauthorized # 401
                - permission_denied # 403
                - route_not_found # 404
                - sandbox_not_found # 404
                - template_not_found # 404
                - process_not_found # 404
                - file_not_found # 404
                - method_not_allowed # 405
                - name_taken # 409
                - invalid_state # 409
                - idempotency_conflict # 409
                - process_exited # 409
                - file_exists # 409
                - not_a_directory # 409
                - is_a_directory # 409
                - directory_not_empty # 409
                - checkpoint_blocked # 409
                - output_lost # 410
                - body_too_large # 413
                - unsupported_media_type # 415
                - range_not_satisfiable # 416
                - unsupported # 422
                - cannot_execute # 422
                - no_such_user # 422
                - upgrade_required # 426
                - cancelled # 499
                - driver_failed # 500
                - guest_failed # 500
                - store_failed # 500
                - internal_error # 500
                - memory_lost # 500
                - connection_refused # 502
                - unavailable # 503
                - overloaded # 503
                - deadline_exceeded # 504
                - no_space # 507
            Time: {type: string, format: date-time}
            Path: {type: string, maxLength: 4095, pattern: '^/'}
            Mode: {type: string, pattern: '^[0-7]{1,5}$', examples: ['0755']}
            Labels: {type: object, maxProperties: 32, additionalProperties: {type: string, maxLength: 128}}
            State:
              type: string
              enum: [creating, running, paused, suspending, standby, resuming, stopping, stopped, failed]
            LifecycleSpec:
              type: object
              additionalProperties: false
              properties:
                idle_timeout: {type: number, minimum: 1, maximum: 2592000, default: 15, description: Seconds without use until on_idle happens}
                on_idle: {type: string, enum: [standby, stop, delete, none], default: standby}
                max_age: {type: [number, 'null'], minimum: 1, maximum: 31536000, description: 'Seconds after creation at which it is deleted, or stopped if it is durable'}
                auto_resume: {type: boolean, default: true, description: Whether a request wakes it}
            LimitsSpec:
              type: object
              additionalProperties: false
              properties:
                memory_mib: {type: integer, minimum: 128, maximum: 1048576, default: 2048}
                cpus: {type: number, minimum: 0.1, maximum: 256, default: 2}
                pids: {type: integer, minimum: 16, maximum: 65536, default: 1024}
            SandboxSpec:
              type: object
              additionalProperties: false
              properties:
                name: {type: string, minLength: 1, maxLength: 63, pattern: '^[a-z0-9]([a-z0-9-]*[a-z0-9])?$', description: Makes it durable}
                template: {type: string, default: base}
                labels: {$ref: '#/components/schemas/Labels'}
                env: {type: object, maxProperties: 256, additionalProperties: {type: string}, description: For every process}
                lifecycle: {$ref: '#/components/schemas/LifecycleSpec'}
                limits: {$ref: '#/components/schemas/LimitsSpec'}
                network: {type: string, enum: [none], default: none}
            Sandbox:
              type: object
              required: [id, durable, state, awake_because, template, template_version, isolation, labels, lifecycle, limits, network, created_at, state_changed_at, last_active_at, wakes]
              properties:
                id: {type: string, pattern: '^sb_[a-z2-7]{20}$'}
                name: {type: string}
                durable: {type: boolean}
                state: {$ref: '#/components/schemas/State'}
                awake_because: {type: array, items: {type: string}, description: Why it does not sleep}
                template: {type: string}
                template_version: {type: string}
                isolation: {type: string}
                labels: {$ref: '#/components/schemas/Labels'}
                lifecycle: {$ref: '#/components/schemas/LifecycleSpec'}
                limits: {$ref: '#/components/schemas/LimitsSpec'}
                network: {type: string}
                created_at: {$ref: '#/components/schemas/Time'}
                state_changed_at: {$ref: '#/components/schemas/Time'}
                last_active_at: {$ref: '#/components/schemas/Time'}
                idle_at: {$ref: '#/components/schemas/Time', description: When it will have been idle long enough}
                expires_at: {$ref: '#/components/schemas/Time'}
                wakes: {type: integer, description: How often it woke from standby}
                checkpoint_bytes: {type: integer, description: 'While it sleeps: bytes of its memory on disk'}
                problem:
                  type: object
                  required: [code, message, at]
                  properties:
                    code: {$ref: '#/components/schemas/ErrorCode'}
                    message: {type: string}
                    at: {$ref: '#/components/schemas/Time'}
            SandboxMetrics:
              type: object
              required: [state, cpu_seconds, memory_bytes, host_processes, disk_bytes]
              properties:
                state: {$ref: '#/components/schemas/State'}
                cpu_seconds: {type: number, description: On the host since it was last started or woken}
                memory_bytes: {type: integer, description: On the host now}
                host_processes: {type: integer}
                disk_bytes: {type: integer}
                guest:
                  type: object
                  required: [cpu_user_seconds, cpu_system_seconds, memory_total_bytes, memory_available_bytes, processes, uptime_seconds]
                  properties:
                    cpu_user_seconds: {type: number}
                    cpu_system_seconds: {type: number}
                    memory_total_bytes: {type: integer}
                    memory_available_bytes: {type: integer}
                    processes: {type: integer}
                    uptime_seconds: {type: number}
            Terminal:
              type: object
              additionalProperties: false
              required: [columns, rows]
              properties:
                columns: {type: integer, minimum: 1, maximum: 1000}
                rows: {type: integer, minimum: 1, maximum: 1000}
            ExecRequest:
              type: object
              additionalProperties: false
              required: [command]
              properties:
                command: {type: array, minItems: 1, maxItems: 1024, items: {type: string}, description: The first is looked up in PATH}
                env: {type: object, maxProperties: 256, additionalProperties: {type: string}}
                directory: {$ref: '#/components/schemas/Path'}
                user: {type: string, description: 'Name, uid, name:group or uid:gid; default: the template''s'}
                stdin: {type: string, description: For exec only}
                stdin_base64: {type: string, description: For exec only}
                open_stdin: {type: boolean, default: false, description: For processes only; keeps standard input open for later writes}
                terminal: {$ref: '#/components/schemas/Terminal', description: For processes only}
                timeout: {type: number, minimum: 0.001, maximum: 86400, description: 'Seconds; then SIGTERM, and SIGKILL 2 s later'}
                limits:
                  type: array
                  items:
                    type: object
                    additionalProperties: false
                    required: [resource, soft, hard]
                    properties:
                      resource: {type: string, enum: [as, core, cpu, data, fsize, locks, memlock, msgqueue, nice, nofile, nproc, rss, rtprio, rttime, sigpending, stack]}
                      soft: {type: integer, minimum: 0}
                      hard: {type: integer, minimum: 0}
                background: {type: boolean, default: false, description: For processes only; does not keep the sandbox awake by itself}
                max_output: {type: integer, minimum: 0, maximum: 16777216, default: 1048576, description: For exec only; bytes of each output}
                retained_output: {type: integer, minimum: 4096, maximum: 16777216, default: 1048576}
            ExecResult:
              type: object
              required: [id, exit_code, timed_out, stdout, stderr, stdout_truncated, stderr_truncated, duration_ms]
              properties:
                id: {type: integer}
                exit_code: {type: integer, minimum: 0, maximum: 255, description: 128 + signal if a signal ended it}
                signal: {type: integer}
                timed_out: {type: boolean}
                stdout: {type: string, description: UTF-8; other bytes are replaced}
                stderr: {type: string}
                stdout_base64: {type: string, description: 'The exact bytes, if they are not UTF-8'}
                stderr_base64: {type: string}
                stdout_truncated: {type: boolean}
                stderr_truncated: {type: boolean}
                duration_ms: {type: number}
            Process:
              type: object
              required: [id, pid, command, directory, user, terminal, background, started_at, output_start, output_end]
              properties:
                id: {type: integer, description: Counts from 1 in the sandbox's life}
                pid: {type: integer}
                command: {type: array, items: {type: string}}
                directory: {type: string}
                user: {type: string}
                terminal: {type: boolean}
                background: {type: boolean}
                started_at: {$ref: '#/components/schemas/Time'}
                output_start: {type: integer, description: Offset of the oldest retained byte}
                output_end: {type: integer}
                exit: {$ref: '#/components/schemas/Exit'}
            Exit:
              type: object
              required: [code, timed_out, ended_at, cpu_seconds, max_memory_bytes]
              properties:
                code: {type: integer}
                signal: {type: integer}
                timed_out: {type: boolean}
                ended_at: {$ref: '#/components/schemas/Time'}
                cpu_seconds: {type: number}
                max_memory_bytes: {type: integer}
            ProcessTableEntry:
              type: object
              required: [pid, parent, uid, state, memory_bytes, cpu_seconds, command]
              properties:
                pid: {type: integer}
                parent: {type: integer}
                uid: {type: integer}
                state: {type: string, enum: [R, S, D, Z, T]}
                memory_bytes: {type: integer}
                cpu_seconds: {type: number}
                command: {type: string}
            OutputChunk:
              type: object
              required: [offset, stream, data_base64]
              properties:
                offset: {type: integer}
                stream: {type: string, enum: [stdout, stderr]}
                data_base64: {type: string}
            Output:
              type: object
              required: [chunks, next_offset]
              properties:
                chunks: {type: array, items: {$ref: '#/components/schemas/OutputChunk'}}
                next_offset: {type: integer}
                exit: {$ref: '#/components/schemas/Exit', description: If it has ended and all of its output is here}
            File:
              type: object
              required: [path, kind, size, mode, uid, gid, modified_at]
              properties:
                path: {type: string}
                path_base64: {type: string, description: 'The exact bytes, if they are not UTF-8'}
                kind: {type: string, enum: [file, directory, symlink, other]}
                size: {type: integer}
                mode: {type: string}
                uid: {type: integer}
                gid: {type: integer}
                modified_at: {$ref: '#/components/schemas/Time'}
                target: {type: string, description: Of a symlink}
            WatchEvent:
              type: object
              required: [kind, path]
              properties:
                kind: {type: string, enum: [created, modified, removed, renamed, attributes, overflow]}
                path: {type: string, description: Relative to the watched directory}
                from: {type: string, description: The old path of a rename}
            Event:
              type: object
              required: [sequence, at, sandbox, type, detail]
              properties:
                sequence: {type: integer}
                at: {$ref: '#/components/schemas/Time'}
                sandbox: {type: string}
                name: {type: string}
                type: {type: string, examples: [sandbox.created, sandbox.standby]}
                detail: {type: object, additionalProperties: {type: string}}
            Template:
              type: object
              required: [name, version, description, created_at, size_bytes, isolation, default_user, working_directory, environment]
              properties:
                name: {type: string}
                version: {type: string}
                description: {type: string}
                created_at: {$ref: '#/components/schemas/Time'}
                size_bytes: {type: integer}
                isolation: {type: array, items: {type: string}}
                default_user: {type: string}
                working_directory: {type: string}
                environment: {type: object, additionalProperties: {type: string}}
            Ability:
              type: object
              required: [available]
              properties:
                available: {type: boolean}
                reason: {type: string}
            Capabilities:
              type: object
              required: [isolation, network]
              properties:
                isolation:
                  type: array
                  items:
                    type: object
                    required: [name, version, run, pause, standby, limits]
                    properties:
                      name: {type: string}
                      version: {type: string}
                      run: {$ref: '#/components/schemas/Ability'}
                      pause: {$ref: '#/components/schemas/Ability'}
                      standby: {$ref: '#/components/schemas/Ability'}
                      limits: {$ref: '#/components/schemas/Ability'}
                network: {type: array, items: {type: string}}
            Health:
              type: object
              required: [status, sandboxes]
              properties:
                status: {type: string, enum: [ok, starting]}
                sandboxes: {type: object, additionalProperties: {type: integer}}
            Version:
              type: object
              required: [version, api, wire_generation]
              properties:
                version: {type: string}
                api: {type: string}
                wire_generation: {type: integer}
        """# + "\n"
}
