// Made from openapi.yaml; see OpenAPIDocument.swift.
extension OpenAPIDocument {
    static let part1 = #"""
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
            `Authorization: Bearer KEY`. The Unix socket needs no key: whoever may open the file may do everything. A key has
            scopes: `sandbox:read` sees everything and neither changes nor wakes anything, `sandbox:write` uses and changes
            sandboxes, `admin` also manages keys and reads the audit log. A request that its key may not make is refused with
            `403 forbidden`. Each key has a rate; beyond it, requests are refused with `429 rate_limited` and `Retry-After`.

            **JSON** is read strictly: unknown fields, duplicate keys and wrong types are errors that name the place. Bodies have
            at most 1 MiB and 32 levels. Absent values are left out of answers.

            **Errors** have one form and a stable `code`; `retryable` says whether the same request may succeed later.
            `X-Request-ID` is on every answer; a client may choose it (1 to 128 visible ASCII characters).

            **Waiting for room.** A request that makes or wakes a sandbox waits while the node is full (`GET /v1/node`); with
            `X-Nightjar-Wait: SECONDS` (0 to 3600) at most so long, then it is answered with 503 `overloaded`.

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
          - {name: usage}
          - {name: access}

        paths:
          /v1/health:
            get:
              operationId: getHealth
              tags: [system]
              summary: Whether the server is ready, and how many sandboxes are in which state
              security: []
              responses:
                '200': {description: The server answers, content: {application/json: {schema: {$ref: '#/components/schemas/Health'}}}}
                '400': {$ref: '#/components/responses/400'}
                '431': {$ref: '#/components/responses/431'}
                '500': {$ref: '#/components/responses/500'}
                '503': {$ref: '#/components/responses/503'}
          /v1/version:
            get:
              operationId: getVersion
              tags: [system]
              summary: Versions of the server and its interfaces
              security: []
              responses:
                '200': {description: The versions, content: {application/json: {schema: {$ref: '#/components/schemas/Version'}}}}
                '400': {$ref: '#/components/responses/400'}
                '431': {$ref: '#/components/responses/431'}
                '500': {$ref: '#/components/responses/500'}
                '503': {$ref: '#/components/responses/503'}
          /v1/openapi.yaml:
            get:
              operationId: getDocument
              tags: [system]
              summary: This document
              security: []
              responses:
                '200': {description: OpenAPI 3.1, content: {application/yaml: {schema: {type: string}}}}
                '400': {$ref: '#/components/responses/400'}
                '431': {$ref: '#/components/responses/431'}
                '500': {$ref: '#/components/responses/500'}
                '503': {$ref: '#/components/responses/503'}
          /metrics:
            get:
              operationId: getServerMetrics
              tags: [system]
              summary: The server's metrics in Prometheus's text format
              responses:
                '200': {description: Text format 0.0.4, content: {text/plain: {schema: {type: string}}}}
                '400': {$ref: '#/components/responses/400'}
                '401': {$ref: '#/components/responses/401'}
                '403': {$ref: '#/components/responses/403'}
                '429': {$ref: '#/components/responses/429'}
                '431': {$ref: '#/components/responses/431'}
                '500': {$ref: '#/components/responses/500'}
                '503': {$ref: '#/components/responses/503'}
          /v1/capabilities:
            get:
              operationId: getCapabilities
              tags: [system]
              summary: What this machine can do, and why not where it cannot
              responses:
                '200': {description: Tiers and networks, content: {application/json: {schema: {$ref: '#/components/schemas/Capabilities'}}}}
                '400': {$ref: '#/components/responses/400'}
                '401': {$ref: '#/components/responses/401'}
                '403': {$ref: '#/components/responses/403'}
                '429': {$ref: '#/components/responses/429'}
                '431': {$ref: '#/components/responses/431'}
                '500': {$ref: '#/components/responses/500'}
                '503': {$ref: '#/components/responses/503'}
          /v1/node:
            get:
              operationId: getNode
              tags: [system]
              summary: What the node has for sandboxes, what is promised of it, and who waits
              description: |
                A sandbox with processes holds its limits of the node's capacity times its overcommitment; one in standby holds
                nothing. A creation or wake that does not fit puts idle sandboxes to standby, least recently used first, and waits
                its turn; if there is no room in time, it is refused with `overloaded`. Waiting requests take turns by the value
                of the label `queue.fair_label`. `X-Nightjar-Wait: SECONDS` (0 to 3600) on any request says how long it waits
                instead of `queue.timeout`.
              responses:
                '200': {description: The node now, content: {application/json: {schema: {$ref: '#/components/schemas/Node'}}}}
                '400': {$ref: '#/components/responses/400'}
                '401': {$ref: '#/components/responses/401'}
                '403': {$ref: '#/components/responses/403'}
                '429': {$ref: '#/components/responses/429'}
                '431': {$ref: '#/components/responses/431'}
                '500': {$ref: '#/components/responses/500'}
                '503': {$ref: '#/components/responses/503'}
          /v1/usage:
            get:
              operationId: getUsage
              tags: [usage]
              summary: What sandboxes have used, those that are gone included, in pages
              description: |
                Whole hours are told: `from` is rounded down and `to` up. A sandbox that runs is read every 10 s; sleep is told up
                to now. Use belongs to the labels that the sandbox had then. Groups and buckets without any use are left out.
                Lines come in the order of group and time.
              parameters:
                - {name: from, in: query, description: 'UTC; default: 24 hours before the hour of `to`', schema: {$ref: '#/components/schemas/Time'}}
                - {name: to, in: query, description: 'UTC; default: now. At most 400 days after `from`', schema: {$ref: '#/components/schemas/Time'}}
                - name: group_by
                  in: query
                  description: What a line stands for, a sandbox, a value of the label KEY (`label:KEY`) or its absence, or everything
                  schema: {type: string, default: sandbox, pattern: '^(sandbox|total|label:[^=]{1,128})$'}
                - {name: bucket, in: query, description: 'A line for each hour or day (UTC), or one for all', schema: {type: string, enum: [hour, day, all], default: all}}
                - {name: sandbox, in: query, description: 'Id or name, also of one that is gone', schema: {$ref: '#/components/schemas/SandboxReference'}}
                - {name: label, in: query, description: '`key=value`; repeated: all of them', schema: {type: array, items: {type: string, pattern: '^[^=]+='}}}
                - {name: limit, in: query, schema: {type: integer, minimum: 1, maximum: 1000, default: 100}}
                - {name: cursor, in: query, description: '`next_cursor` of the page before, with the same `from`, `to`, grouping and filters', schema: {type: string, minLength: 1, maxLength: 8192}}
              responses:
                '200': {description: One page, content: {application/json: {schema: {$ref: '#/components/schemas/Usage'}}}}
                '400': {$ref: '#/components/responses/400'}
                '401': {$ref: '#/components/responses/401'}
                '403': {$ref: '#/components/responses/403'}
                '404': {$ref: '#/components/responses/404'}
                '429': {$ref: '#/components/responses/429'}
                '431': {$ref: '#/components/responses/431'}
                '500': {$ref: '#/components/responses/500'}
                '503': {$ref: '#/components/responses/503'}
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
                '400': {$ref: '#/components/responses/400'}
                '401': {$ref: '#/components/responses/401'}
                '403': {$ref: '#/components/responses/403'}
                '429': {$ref: '#/components/responses/429'}
                '431': {$ref: '#/components/responses/431'}
                '500': {$ref: '#/components/responses/500'}
                '503': {$ref: '#/components/responses/503'}
          /v1/templates/{template}:
            parameters:
              - {name: template, in: path, required: true, schema: {$ref: '#/components/schemas/Name'}}
            get:
              operationId: getTemplate
              tags: [system]
              summary: One template
              responses:
                '200': {description: The template, content: {application/json: {schema: {$ref: '#/components/schemas/Template'}}}}
                '400': {$ref: '#/components/responses/400'}
                '401': {$ref: '#/components/responses/401'}
                '403': {$ref: '#/components/responses/403'}
                '404': {$ref: '#/components/responses/404'}
                '429': {$ref: '#/components/responses/429'}
                '431': {$ref: '#/components/responses/431'}
                '500': {$ref: '#/components/responses/500'}
                '503': {$ref: '#/components/responses/503'}

          /v1/events:
            get:
              operationId: listEvents
              tags: [events]
              summary: What happened to sandboxes, oldest first; followed on request
              description: |
                With `follow=true` the answer is a stream of server-sent events that does not end: `event: event`, `id` is the
                sequence number, `data` an Event. `Last-Event-ID` goes on after that event. A comment line comes every 15 s.
              parameters:
                - {name: after, in: query, description: 'Only events with a higher sequence number. With follow and without it: from now on.', schema: {$ref: '#/components/schemas/Offset'}}
                - {name: sandbox, in: query, description: Id or name, schema: {$ref: '#/components/schemas/SandboxReference'}}
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
                    text/event-stream: {schema: {$ref: '#/components/schemas/ServerSentEvent'}}
                '400': {$ref: '#/components/responses/400'}
                '401': {$ref: '#/components/responses/401'}
                '403': {$ref: '#/components/responses/403'}
                '404': {$ref: '#/components/responses/404'}
                '429': {$ref: '#/components/responses/429'}
                '431': {$ref: '#/components/responses/431'}
                '500': {$ref: '#/components/responses/500'}
                '503': {$ref: '#/components/responses/503'}

          /v1/keys:
            get:
              operationId: listKeys
              tags: [access]
              summary: All keys, oldest first, without their secrets
              description: Needs the scope `admin`. The key `key_file` is the one in the server's key file.
              responses:
                '200':
                  description: All of them
                  content:
                    application/json:
                      schema:
                        type: object
                        required: [items]
                        properties: {items: {type: array, items: {$ref: '#/components/schemas/Key'}}}
                '400': {$ref: '#/components/responses/400'}
                '401': {$ref: '#/components/responses/401'}
                '403': {$ref: '#/components/responses/403'}
                '429': {$ref: '#/components/responses/429'}
                '431': {$ref: '#/components/responses/431'}
                '500': {$ref: '#/components/responses/500'}
                '503': {$ref: '#/components/responses/503'}
            post:
              operationId: createKey
              tags: [access]
              summary: Make a key; its secret is in this answer and nowhere else
              description: Needs the scope `admin`. At most 1,000 keys exist at a time.
              requestBody:
                required: true
                content: {application/json: {schema: {$ref: '#/components/schemas/KeyRequest'}}}
              responses:
                '201': {description: 'The key, with `secret`', content: {application/json: {schema: {$ref: '#/components/schemas/Key'}}}}
                '400': {$ref: '#/components/responses/400'}
                '401': {$ref: '#/components/responses/401'}
                '403': {$ref: '#/components/responses/403'}
                '408': {$ref: '#/components/responses/408'}
                '409': {$ref: '#/components/responses/409'}
                '413': {$ref: '#/components/responses/413'}
                '415': {$ref: '#/components/responses/415'}
                '429': {$ref: '#/components/responses/429'}
                '431': {$ref: '#/components/responses/431'}
                '500': {$ref: '#/components/responses/500'}
                '503': {$ref: '#/components/responses/503'}
                '507': {$ref: '#/components/responses/507'}
          /v1/keys/{key}:
            parameters:
              - {name: key, in: path, required: true, schema: {type: string, minLength: 1, maxLength: 128, examples: [key_2bq4t6xkz3ma]}}
            delete:
              operationId: revokeKey
              tags: [access]
              summary: Make a key useless, and end its open streams
              description: Needs the scope `admin`. `key_file` is replaced by removing the file and restarting the server instead.
              responses:
                '204': {description: It is refused from now on}
                '400': {$ref: '#/components/responses/400'}
                '401': {$ref: '#/components/responses/401'}
                '403': {$ref: '#/components/responses/403'}
                '404': {$ref: '#/components/responses/404'}
                '409': {$ref: '#/components/responses/409'}
                '429': {$ref: '#/components/responses/429'}
                '431': {$ref: '#/components/responses/431'}
                '500': {$ref: '#/components/responses/500'}
                '503': {$ref: '#/components/responses/503'}
                '507': {$ref: '#/components/responses/507'}

          /v1/audit:
            get:
              operationId: listAudit
              tags: [access]
              summary: Who changed what, newest first, in pages
              description: |
                Needs the scope `admin`. Every request that may change something is recorded before its effect begins; how it ended
                follows within a tenth of a second. `status` is absent while it is under way, and for good if the server was
                killed before it was written. The latest 500,000 or so are kept.
              parameters:
                - {name: who, in: query, description: 'A key''s id, or `uid:NUMBER` for a user of the Unix socket', schema: {type: string}}
                - {name: target, in: query, description: 'A sandbox as requests named it, the id of one that was created, or a key''s id', schema: {type: string}}
                - {name: limit, in: query, schema: {type: integer, minimum: 1, maximum: 1000, default: 100}}
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
                          items: {type: array, items: {$ref: '#/components/schemas/AuditEntry'}}
                          next_cursor: {type: string}
                '400': {$ref: '#/components/responses/400'}
                '401': {$ref: '#/components/responses/401'}
                '403': {$ref: '#/components/responses/403'}
                '429': {$ref: '#/components/responses/429'}
                '431': {$ref: '#/components/responses/431'}
                '500': {$ref: '#/components/responses/500'}
                '503': {$ref: '#/components/responses/503'}
          /v1/audit/verification:
            get:
              operationId: verifyAudit
              tags: [access]
              summary: Compute the hashes that tie the audit log together again
              description: Needs the scope `admin`. Reads the whole log.
              responses:
                '200': {description: What was found, content: {application/json: {schema: {$ref: '#/components/schemas/AuditVerification'}}}}
                '400': {$ref: '#/components/responses/400'}
                '401': {$ref: '#/components/responses/401'}
                '403': {$ref: '#/components/responses/403'}
                '429': {$ref: '#/components/responses/429'}
                '431': {$ref: '#/components/responses/431'}
                '500': {$ref: '#/components/responses/500'}
                '503': {$ref: '#/components/responses/503'}

          /v1/sandboxes:
            get:
              operationId: listSandboxes
              tags: [sandboxes]
              summary: Sandboxes, newest first, in pages
              parameters:
                - {name: label, in: query, description: '`key=value`; repeated: all of them', schema: {type: array, items: {type: string, pattern: '^[^=]+='}}}
                - {name: state, in: query, description: 'Repeated: any of them', schema: {type: array, items: {$ref: '#/components/schemas/State'}}}
                - {name: limit, in: query, schema: {type: integer, minimum: 1, maximum: 200, default: 50}}
                - {name: cursor, in: query, description: '`next_cursor` of the page before', schema: {type: string, minLength: 1, maxLength: 1024}}
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
                '400': {$ref: '#/components/responses/400'}
                '401': {$ref: '#/components/responses/401'}
                '403': {$ref: '#/components/responses/403'}
                '429': {$ref: '#/components/responses/429'}
                '431': {$ref: '#/components/responses/431'}
                '500': {$ref: '#/components/responses/500'}
                '503': {$ref: '#/components/responses/503'}
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
                  schema: {type: string, minLength: 1, maxLength: 128, pattern: '^[!-~]+$'}
        """# + "\n"
}
