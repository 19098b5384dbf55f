// Made from openapi.yaml; see OpenAPIDocument.swift.
extension OpenAPIDocument {
    static let part3 = #"""
                      properties:
                        signal:
                          description: Number, or name with or without SIG
                          oneOf:
                            - {type: integer, minimum: 1, maximum: 64}
                            - type: string
                              pattern: '^(SIG)?(HUP|INT|QUIT|ILL|TRAP|ABRT|BUS|FPE|KILL|USR1|SEGV|USR2|PIPE|ALRM|TERM|STKFLT|CHLD|CONT|STOP|TSTP|TTIN|TTOU|URG|XCPU|XFSZ|VTALRM|PROF|WINCH|IO|PWR|SYS)$'
                              examples: [TERM]
                        group: {type: boolean, default: true, description: Whether the whole process group gets it}
              responses:
                '204': {description: It is sent}
                '400': {$ref: '#/components/responses/400'}
                '401': {$ref: '#/components/responses/401'}
                '403': {$ref: '#/components/responses/403'}
                '404': {$ref: '#/components/responses/404'}
                '408': {$ref: '#/components/responses/408'}
                '409': {$ref: '#/components/responses/409'}
                '413': {$ref: '#/components/responses/413'}
                '415': {$ref: '#/components/responses/415'}
                '422': {$ref: '#/components/responses/422'}
                '429': {$ref: '#/components/responses/429'}
                '431': {$ref: '#/components/responses/431'}
                '499': {$ref: '#/components/responses/499'}
                '500': {$ref: '#/components/responses/500'}
                '503': {$ref: '#/components/responses/503'}
                '504': {$ref: '#/components/responses/504'}
                '507': {$ref: '#/components/responses/507'}
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
                '400': {$ref: '#/components/responses/400'}
                '401': {$ref: '#/components/responses/401'}
                '403': {$ref: '#/components/responses/403'}
                '404': {$ref: '#/components/responses/404'}
                '408': {$ref: '#/components/responses/408'}
                '409': {$ref: '#/components/responses/409'}
                '413': {$ref: '#/components/responses/413'}
                '415': {$ref: '#/components/responses/415'}
                '422': {$ref: '#/components/responses/422'}
                '429': {$ref: '#/components/responses/429'}
                '431': {$ref: '#/components/responses/431'}
                '499': {$ref: '#/components/responses/499'}
                '500': {$ref: '#/components/responses/500'}
                '503': {$ref: '#/components/responses/503'}
                '504': {$ref: '#/components/responses/504'}
                '507': {$ref: '#/components/responses/507'}
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
                '400': {$ref: '#/components/responses/400'}
                '401': {$ref: '#/components/responses/401'}
                '403': {$ref: '#/components/responses/403'}
                '404': {$ref: '#/components/responses/404'}
                '408': {$ref: '#/components/responses/408'}
                '409': {$ref: '#/components/responses/409'}
                '413': {$ref: '#/components/responses/413'}
                '415': {$ref: '#/components/responses/415'}
                '422': {$ref: '#/components/responses/422'}
                '429': {$ref: '#/components/responses/429'}
                '431': {$ref: '#/components/responses/431'}
                '499': {$ref: '#/components/responses/499'}
                '500': {$ref: '#/components/responses/500'}
                '503': {$ref: '#/components/responses/503'}
                '504': {$ref: '#/components/responses/504'}
                '507': {$ref: '#/components/responses/507'}
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
                - {name: offset, in: query, schema: {$ref: '#/components/schemas/Offset', default: 0}}
                - {name: limit, in: query, description: Bytes; without follow, schema: {type: integer, minimum: 1, maximum: 16777216, default: 1048576}}
                - {$ref: '#/components/parameters/follow'}
                - {$ref: '#/components/parameters/lastEventID'}
              responses:
                '200':
                  description: Output
                  content:
                    application/json: {schema: {$ref: '#/components/schemas/Output'}}
                    text/event-stream: {schema: {$ref: '#/components/schemas/ServerSentEvent'}}
                '400': {$ref: '#/components/responses/400'}
                '401': {$ref: '#/components/responses/401'}
                '403': {$ref: '#/components/responses/403'}
                '404': {$ref: '#/components/responses/404'}
                '409': {$ref: '#/components/responses/409'}
                '422': {$ref: '#/components/responses/422'}
                '429': {$ref: '#/components/responses/429'}
                '431': {$ref: '#/components/responses/431'}
                '499': {$ref: '#/components/responses/499'}
                '500': {$ref: '#/components/responses/500'}
                '503': {$ref: '#/components/responses/503'}
                '504': {$ref: '#/components/responses/504'}
                '507': {$ref: '#/components/responses/507'}
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
                - {name: offset, in: query, description: 'Where the output begins; -1: from now on', schema: {type: integer, minimum: -1, maximum: 9007199254740991, default: 0}}
              responses:
                '101': {description: It is a WebSocket now}
                '400': {$ref: '#/components/responses/400'}
                '401': {$ref: '#/components/responses/401'}
                '403': {$ref: '#/components/responses/403'}
                '404': {$ref: '#/components/responses/404'}
                '409': {$ref: '#/components/responses/409'}
                '422': {$ref: '#/components/responses/422'}
                '426': {$ref: '#/components/responses/426'}
                '429': {$ref: '#/components/responses/429'}
                '431': {$ref: '#/components/responses/431'}
                '499': {$ref: '#/components/responses/499'}
                '500': {$ref: '#/components/responses/500'}
                '503': {$ref: '#/components/responses/503'}
                '504': {$ref: '#/components/responses/504'}
                '507': {$ref: '#/components/responses/507'}
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
                '400': {$ref: '#/components/responses/400'}
                '401': {$ref: '#/components/responses/401'}
                '403': {$ref: '#/components/responses/403'}
                '404': {$ref: '#/components/responses/404'}
                '409': {$ref: '#/components/responses/409'}
                '422': {$ref: '#/components/responses/422'}
                '426': {$ref: '#/components/responses/426'}
                '429': {$ref: '#/components/responses/429'}
                '431': {$ref: '#/components/responses/431'}
                '499': {$ref: '#/components/responses/499'}
                '500': {$ref: '#/components/responses/500'}
                '503': {$ref: '#/components/responses/503'}
                '504': {$ref: '#/components/responses/504'}
                '507': {$ref: '#/components/responses/507'}

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
                '400': {$ref: '#/components/responses/400'}
                '401': {$ref: '#/components/responses/401'}
                '403': {$ref: '#/components/responses/403'}
                '404': {$ref: '#/components/responses/404'}
                '409': {$ref: '#/components/responses/409'}
                '422': {$ref: '#/components/responses/422'}
                '429': {$ref: '#/components/responses/429'}
                '431': {$ref: '#/components/responses/431'}
                '499': {$ref: '#/components/responses/499'}
                '500': {$ref: '#/components/responses/500'}
                '503': {$ref: '#/components/responses/503'}
                '504': {$ref: '#/components/responses/504'}
                '507': {$ref: '#/components/responses/507'}
            head:
              operationId: headFile
              tags: [files]
              summary: A file's description in headers
              responses:
                '200': {description: The headers of a read}
                '400': {$ref: '#/components/responses/HeadError'}
                '401': {$ref: '#/components/responses/HeadError'}
                '403': {$ref: '#/components/responses/HeadError'}
                '404': {$ref: '#/components/responses/HeadError'}
                '409': {$ref: '#/components/responses/HeadError'}
                '422': {$ref: '#/components/responses/HeadError'}
                '429': {$ref: '#/components/responses/HeadError'}
                '431': {$ref: '#/components/responses/HeadError'}
                '499': {$ref: '#/components/responses/HeadError'}
                '500': {$ref: '#/components/responses/HeadError'}
                '503': {$ref: '#/components/responses/HeadError'}
                '504': {$ref: '#/components/responses/HeadError'}
                '507': {$ref: '#/components/responses/HeadError'}
            put:
              operationId: writeFile
              tags: [files]
              summary: Write a file from the body, which may be empty; the whole file is replaced at once unless an offset is given
              parameters:
                - {name: mode, in: query, description: 'Octal, of a new file', schema: {$ref: '#/components/schemas/Mode', default: '0644'}}
                - {name: user, in: query, description: 'Owner of a new file; default: the template''s user', schema: {$ref: '#/components/schemas/User'}}
                - {name: create_parents, in: query, schema: {type: boolean, default: true}}
                - {name: offset, in: query, description: 'Writes in place from there, at most 1 TiB into the file; what lies before and was not written is a hole, read as zeros', schema: {type: integer, minimum: 0, maximum: 1099511627776}}
              requestBody:
                content: {application/octet-stream: {schema: {type: string, format: binary}}}
              responses:
                '200': {description: The file, content: {application/json: {schema: {$ref: '#/components/schemas/File'}}}}
                '400': {$ref: '#/components/responses/400'}
                '401': {$ref: '#/components/responses/401'}
                '403': {$ref: '#/components/responses/403'}
                '404': {$ref: '#/components/responses/404'}
                '408': {$ref: '#/components/responses/408'}
                '409': {$ref: '#/components/responses/409'}
                '413': {$ref: '#/components/responses/413'}
                '415': {$ref: '#/components/responses/415'}
                '422': {$ref: '#/components/responses/422'}
                '429': {$ref: '#/components/responses/429'}
                '431': {$ref: '#/components/responses/431'}
                '499': {$ref: '#/components/responses/499'}
                '500': {$ref: '#/components/responses/500'}
                '503': {$ref: '#/components/responses/503'}
                '504': {$ref: '#/components/responses/504'}
                '507': {$ref: '#/components/responses/507'}
            delete:
              operationId: removeFile
              tags: [files]
              summary: Remove a file or directory
              parameters:
                - {name: recursive, in: query, schema: {type: boolean, default: false}}
              responses:
                '204': {description: It is gone}
                '400': {$ref: '#/components/responses/400'}
                '401': {$ref: '#/components/responses/401'}
                '403': {$ref: '#/components/responses/403'}
                '404': {$ref: '#/components/responses/404'}
                '409': {$ref: '#/components/responses/409'}
                '422': {$ref: '#/components/responses/422'}
                '429': {$ref: '#/components/responses/429'}
                '431': {$ref: '#/components/responses/431'}
                '499': {$ref: '#/components/responses/499'}
                '500': {$ref: '#/components/responses/500'}
                '503': {$ref: '#/components/responses/503'}
                '504': {$ref: '#/components/responses/504'}
                '507': {$ref: '#/components/responses/507'}
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
                '400': {$ref: '#/components/responses/400'}
                '401': {$ref: '#/components/responses/401'}
                '403': {$ref: '#/components/responses/403'}
                '404': {$ref: '#/components/responses/404'}
                '409': {$ref: '#/components/responses/409'}
                '422': {$ref: '#/components/responses/422'}
                '429': {$ref: '#/components/responses/429'}
                '431': {$ref: '#/components/responses/431'}
                '499': {$ref: '#/components/responses/499'}
                '500': {$ref: '#/components/responses/500'}
                '503': {$ref: '#/components/responses/503'}
                '504': {$ref: '#/components/responses/504'}
                '507': {$ref: '#/components/responses/507'}
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
                '400': {$ref: '#/components/responses/400'}
                '401': {$ref: '#/components/responses/401'}
                '403': {$ref: '#/components/responses/403'}
                '404': {$ref: '#/components/responses/404'}
                '409': {$ref: '#/components/responses/409'}
                '422': {$ref: '#/components/responses/422'}
                '429': {$ref: '#/components/responses/429'}
                '431': {$ref: '#/components/responses/431'}
                '499': {$ref: '#/components/responses/499'}
                '500': {$ref: '#/components/responses/500'}
                '503': {$ref: '#/components/responses/503'}
                '504': {$ref: '#/components/responses/504'}
                '507': {$ref: '#/components/responses/507'}
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
                        user: {$ref: '#/components/schemas/User'}
              responses:
                '204': {description: It is there}
                '400': {$ref: '#/components/responses/400'}
                '401': {$ref: '#/components/responses/401'}
                '403': {$ref: '#/components/responses/403'}
                '404': {$ref: '#/components/responses/404'}
                '408': {$ref: '#/components/responses/408'}
                '409': {$ref: '#/components/responses/409'}
                '413': {$ref: '#/components/responses/413'}
                '415': {$ref: '#/components/responses/415'}
                '422': {$ref: '#/components/responses/422'}
                '429': {$ref: '#/components/responses/429'}
                '431': {$ref: '#/components/responses/431'}
                '499': {$ref: '#/components/responses/499'}
                '500': {$ref: '#/components/responses/500'}
                '503': {$ref: '#/components/responses/503'}
                '504': {$ref: '#/components/responses/504'}
                '507': {$ref: '#/components/responses/507'}
          /v1/sandboxes/{sandbox}/files/move:
            parameters:
              - {$ref: '#/components/parameters/sandbox'}
            post:
              operationId: moveFile
              tags: [files]
              summary: Move or rename
              requestBody:
        """# + "\n"
}
