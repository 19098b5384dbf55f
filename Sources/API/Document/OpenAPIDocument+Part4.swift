// Made from openapi.yaml; see OpenAPIDocument.swift.
extension OpenAPIDocument {
    static let part4 = #"""
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
                        owner: {$ref: '#/components/schemas/User', description: 'user, user:group, uid or uid:gid'}
                        recursive: {type: boolean, default: false}
              responses:
                '204': {description: It is changed}
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
                        target: {type: string, minLength: 1, maxLength: 4095, pattern: "^[^\\x00]+$", description: What it points to; may be relative}
                        path: {$ref: '#/components/schemas/Path'}
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
                '200': {description: A stream without end, content: {text/event-stream: {schema: {$ref: '#/components/schemas/ServerSentEvent'}}}}
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

        components:
          securitySchemes:
            key: {type: http, scheme: bearer}
          parameters:
            sandbox: {name: sandbox, in: path, required: true, description: Id (`sb_…`) or name, schema: {$ref: '#/components/schemas/SandboxReference'}}
            process: {name: process, in: path, required: true, schema: {type: integer, minimum: 1, maximum: 4294967295}}
            path:
              name: path
              in: query
              required: true
              description: |
                Absolute, percent-encoded bytes, at most 4,095 of them and 255 in each component, without `..`. Bytes that are not
                UTF-8 are fine.
              schema: {$ref: '#/components/schemas/Path'}
            follow: {name: follow, in: query, description: Stream what comes, schema: {type: boolean, default: false}}
            lastEventID: {name: Last-Event-ID, in: header, description: 'With follow: go on after this', schema: {type: string, pattern: '^[0-9]{1,15}$'}}
          responses:
            Sandbox: {description: The sandbox, content: {application/json: {schema: {$ref: '#/components/schemas/Sandbox'}}}}
            Contents:
              description: The bytes
              headers:
                X-Nightjar-File: {description: A File as JSON in ASCII, schema: {type: string}}
              content: {application/octet-stream: {schema: {type: string, format: binary}}}
            '400':
              description: |
                The request is wrong: `invalid_request`, `invalid_json`, `unknown_field`, `invalid_name`, `invalid_path`, `invalid_cursor`
              headers:
                X-Request-ID: {$ref: '#/components/headers/RequestID'}
              content: {application/json: {schema: {$ref: '#/components/schemas/Error'}}}
            '401':
              description: |
                No valid key was shown: `unauthorized`
              headers:
                X-Request-ID: {$ref: '#/components/headers/RequestID'}
                WWW-Authenticate: {required: true, schema: {type: string}}
              content: {application/json: {schema: {$ref: '#/components/schemas/Error'}}}
            '403':
              description: |
                It is not allowed: `permission_denied` inside the sandbox, `forbidden` with this key
              headers:
                X-Request-ID: {$ref: '#/components/headers/RequestID'}
              content: {application/json: {schema: {$ref: '#/components/schemas/Error'}}}
            '404':
              description: |
                It is not there: `route_not_found`, `sandbox_not_found`, `template_not_found`, `process_not_found`, `key_not_found`, `file_not_found`
              headers:
                X-Request-ID: {$ref: '#/components/headers/RequestID'}
              content: {application/json: {schema: {$ref: '#/components/schemas/Error'}}}
            '405':
              description: |
                The path knows other methods: `method_not_allowed`
              headers:
                X-Request-ID: {$ref: '#/components/headers/RequestID'}
                Allow: {required: true, schema: {type: string}}
              content: {application/json: {schema: {$ref: '#/components/schemas/Error'}}}
            '408':
              description: |
                The body did not come in time: `request_timeout`
              headers:
                X-Request-ID: {$ref: '#/components/headers/RequestID'}
              content: {application/json: {schema: {$ref: '#/components/schemas/Error'}}}
            '409':
              description: |
                It collides with what is: `name_taken`, `invalid_state`, `idempotency_conflict`, `process_exited`, `file_exists`, `not_applicable`, `not_a_directory`, `is_a_directory`, `directory_not_empty`, `checkpoint_blocked`, `pids_exhausted`
              headers:
                X-Request-ID: {$ref: '#/components/headers/RequestID'}
              content: {application/json: {schema: {$ref: '#/components/schemas/Error'}}}
            '410':
              description: |
                It is there no more: `output_lost`
              headers:
                X-Request-ID: {$ref: '#/components/headers/RequestID'}
              content: {application/json: {schema: {$ref: '#/components/schemas/Error'}}}
            '413':
              description: |
                The body is too large: `body_too_large`
              headers:
                X-Request-ID: {$ref: '#/components/headers/RequestID'}
              content: {application/json: {schema: {$ref: '#/components/schemas/Error'}}}
            '415':
              description: |
                The body has another content type than is needed: `unsupported_media_type`
              headers:
                X-Request-ID: {$ref: '#/components/headers/RequestID'}
              content: {application/json: {schema: {$ref: '#/components/schemas/Error'}}}
            '416':
              description: |
                The range lies outside of the file: `range_not_satisfiable`
              headers:
                X-Request-ID: {$ref: '#/components/headers/RequestID'}
              content: {application/json: {schema: {$ref: '#/components/schemas/Error'}}}
            '422':
              description: |
                The request is understood, but cannot be done here: `unsupported`, `cannot_execute`, `no_such_user`
              headers:
                X-Request-ID: {$ref: '#/components/headers/RequestID'}
              content: {application/json: {schema: {$ref: '#/components/schemas/Error'}}}
            '426':
              description: |
                The path speaks WebSocket: `upgrade_required`
              headers:
                X-Request-ID: {$ref: '#/components/headers/RequestID'}
              content: {application/json: {schema: {$ref: '#/components/schemas/Error'}}}
            '429':
              description: |
                This key or address asks too often: `rate_limited`
              headers:
                X-Request-ID: {$ref: '#/components/headers/RequestID'}
                Retry-After: {required: true, description: Seconds, schema: {type: integer}}
              content: {application/json: {schema: {$ref: '#/components/schemas/Error'}}}
            '499':
              description: |
                It was given up, by the client or because the sandbox ends: `cancelled`
              headers:
                X-Request-ID: {$ref: '#/components/headers/RequestID'}
              content: {application/json: {schema: {$ref: '#/components/schemas/Error'}}}
            '431':
              description: |
                The request's line or its header fields are too large; the connection is closed
              headers:
                X-Request-ID: {$ref: '#/components/headers/RequestID'}
              content: {application/json: {schema: {$ref: '#/components/schemas/Error'}}}
            '500':
              description: |
                Something failed that should not: `driver_failed`, `guest_failed`, `oom_killed`, `memory_lost`, `store_failed`, `internal_error`
              headers:
                X-Request-ID: {$ref: '#/components/headers/RequestID'}
              content: {application/json: {schema: {$ref: '#/components/schemas/Error'}}}
            '502':
              description: |
                Nothing listens there; told inside a WebSocket: `connection_refused`
              headers:
                X-Request-ID: {$ref: '#/components/headers/RequestID'}
              content: {application/json: {schema: {$ref: '#/components/schemas/Error'}}}
            '503':
              description: |
                Not now: `unavailable`, `overloaded`
              headers:
                X-Request-ID: {$ref: '#/components/headers/RequestID'}
                Retry-After: {required: true, description: Seconds, schema: {type: integer}}
              content: {application/json: {schema: {$ref: '#/components/schemas/Error'}}}
            '504':
              description: |
                Not in time: `deadline_exceeded`
              headers:
                X-Request-ID: {$ref: '#/components/headers/RequestID'}
              content: {application/json: {schema: {$ref: '#/components/schemas/Error'}}}
            '507':
              description: |
                A disk is full: `no_space`
              headers:
                X-Request-ID: {$ref: '#/components/headers/RequestID'}
              content: {application/json: {schema: {$ref: '#/components/schemas/Error'}}}
            HeadError:
              description: As for GET, without a body
              headers:
                X-Request-ID: {$ref: '#/components/headers/RequestID'}
          headers:
            Location: {required: true, description: The path of what was made, schema: {type: string, pattern: '^/v1/'}}
            RequestID: {required: true, description: Also in the server's log, schema: {type: string, minLength: 1, maxLength: 128}}
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
                - key_not_found # 404
                - file_not_found # 404
                - method_not_allowed # 405
                - name_taken # 409
                - invalid_state # 409
                - idempotency_conflict # 409
                - process_exited # 409
                - file_exists # 409
                - not_applicable # 409
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
                - forbidden # 403
                - rate_limited # 429
        """# + "\n"
}
