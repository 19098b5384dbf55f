// Made from openapi.yaml; see OpenAPIDocument.swift.
extension OpenAPIDocument {
    static let part2 = #"""
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
        """# + "\n"
}
