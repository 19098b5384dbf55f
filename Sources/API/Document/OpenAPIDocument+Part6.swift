// Made from openapi.yaml; see OpenAPIDocument.swift.
extension OpenAPIDocument {
    static let part6 = #"""
              properties:
                sequence: {type: integer}
                at: {$ref: '#/components/schemas/Time'}
                who: {type: string, examples: [key_2bq4t6xkz3ma, 'uid:0']}
                label: {type: string, description: The key's label at that time}
                from: {type: string, examples: ['127.0.0.1:50122', unix uid=0 pid=4711]}
                method: {type: string}
                route: {type: string, examples: ['/v1/sandboxes/{sandbox}/exec']}
                target: {type: string}
                request_id: {type: string}
                status: {type: integer}
                code: {type: string}
                duration_ms: {type: number}
            AuditVerification:
              type: object
              required: [intact, rows, head_sequence, head_hash]
              properties:
                intact: {type: boolean}
                broken_at: {type: integer, description: The first row that does not follow from the one before}
                rows: {type: integer, description: Of which a mutation has two}
                head_sequence: {type: integer}
                head_hash: {type: string, description: Kept elsewhere, it shows later that nothing before was replaced}
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
              required: [name, version, description, created_at, size_bytes, isolation, default_user, working_directory, environment, limits]
              properties:
                name: {type: string}
                version: {type: string}
                description: {type: string}
                created_at: {$ref: '#/components/schemas/Time'}
                size_bytes: {type: integer}
                isolation: {type: array, items: {type: string}, description: Tiers that it is made for}
                default_isolation: {type: string, enum: [gvisor, microvm, auto], description: What a sandbox gets that asks for nothing else}
                default_user: {type: string}
                working_directory: {type: string}
                environment: {type: object, additionalProperties: {type: string}}
                limits: {$ref: '#/components/schemas/LimitsSpec', description: What a sandbox gets that asks for nothing else}
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
                      acceleration: {$ref: '#/components/schemas/Ability', description: 'microvm: whether the processor runs the machine (KVM), not an emulator'}
                      limits: {$ref: '#/components/schemas/Ability'}
                network: {type: array, items: {type: string}}
            Health:
              type: object
              required: [status, sandboxes, prebooted]
              properties:
                status: {type: string, enum: [ok, starting]}
                sandboxes: {type: object, additionalProperties: {type: integer}}
                prebooted: {type: integer, description: Sandboxes that were booted ahead and wait for a creation}
            Version:
              type: object
              required: [version, api, wire_generation]
              properties:
                version: {type: string}
                api: {type: string}
                wire_generation: {type: integer}
        """# + "\n"
}
