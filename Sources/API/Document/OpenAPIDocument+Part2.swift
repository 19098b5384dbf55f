// Made from openapi.yaml; see OpenAPIDocument.swift.
extension OpenAPIDocument {
    static let part2 = #"""
              requestBody:
                required: true
                content: {application/json: {schema: {$ref: '#/components/schemas/SandboxSpec'}}}
              responses:
                '201':
                  description: It runs
                  headers:
                    Location: {$ref: '#/components/headers/Location'}
                  content: {application/json: {schema: {$ref: '#/components/schemas/Sandbox'}}}
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
          /v1/sandboxes/{sandbox}:
            parameters:
              - {$ref: '#/components/parameters/sandbox'}
            get:
              operationId: getSandbox
              tags: [sandboxes]
              summary: One sandbox; neither wakes it nor counts as use
              responses:
                '200': {$ref: '#/components/responses/Sandbox'}
                '400': {$ref: '#/components/responses/400'}
                '401': {$ref: '#/components/responses/401'}
                '403': {$ref: '#/components/responses/403'}
                '404': {$ref: '#/components/responses/404'}
                '429': {$ref: '#/components/responses/429'}
                '431': {$ref: '#/components/responses/431'}
                '500': {$ref: '#/components/responses/500'}
                '503': {$ref: '#/components/responses/503'}
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
              operationId: deleteSandbox
              tags: [sandboxes]
              summary: Remove a sandbox with everything in it, whatever is under way with it
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
          /v1/sandboxes/{sandbox}/pause:
            parameters:
              - {$ref: '#/components/parameters/sandbox'}
            post:
              operationId: pauseSandbox
              tags: [sandboxes]
              summary: Freeze all processes in RAM
              responses:
                '200': {$ref: '#/components/responses/Sandbox'}
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
          /v1/sandboxes/{sandbox}/resume:
            parameters:
              - {$ref: '#/components/parameters/sandbox'}
            post:
              operationId: resumeSandbox
              tags: [sandboxes]
              summary: Make it run, from paused, standby, stopped or failed
              responses:
                '200': {$ref: '#/components/responses/Sandbox'}
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
          /v1/sandboxes/{sandbox}/standby:
            parameters:
              - {$ref: '#/components/parameters/sandbox'}
            post:
              operationId: standbySandbox
              tags: [sandboxes]
              summary: Write its memory to disk and end its processes on the host
              responses:
                '200': {$ref: '#/components/responses/Sandbox'}
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
          /v1/sandboxes/{sandbox}/stop:
            parameters:
              - {$ref: '#/components/parameters/sandbox'}
            post:
              operationId: stopSandbox
              tags: [sandboxes]
              summary: End its processes and keep its files
              responses:
                '200': {$ref: '#/components/responses/Sandbox'}
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
          /v1/sandboxes/{sandbox}/metrics:
            parameters:
              - {$ref: '#/components/parameters/sandbox'}
            get:
              operationId: getSandboxMetrics
              tags: [sandboxes]
              summary: Usage; neither wakes it nor counts as use
              responses:
                '200': {description: Usage now, content: {application/json: {schema: {$ref: '#/components/schemas/SandboxMetrics'}}}}
                '400': {$ref: '#/components/responses/400'}
                '401': {$ref: '#/components/responses/401'}
                '403': {$ref: '#/components/responses/403'}
                '404': {$ref: '#/components/responses/404'}
                '429': {$ref: '#/components/responses/429'}
                '431': {$ref: '#/components/responses/431'}
                '500': {$ref: '#/components/responses/500'}
                '503': {$ref: '#/components/responses/503'}

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
            post:
              operationId: startProcess
              tags: [processes]
              summary: Start a process and return while it runs
              requestBody:
                required: true
                content: {application/json: {schema: {$ref: '#/components/schemas/ProcessRequest'}}}
              responses:
                '201':
                  description: It runs
                  headers:
                    Location: {$ref: '#/components/headers/Location'}
                  content: {application/json: {schema: {$ref: '#/components/schemas/Process'}}}
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
        """# + "\n"
}
