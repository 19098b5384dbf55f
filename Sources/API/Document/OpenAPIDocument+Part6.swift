// Made from openapi.yaml; see OpenAPIDocument.swift.
extension OpenAPIDocument {
    static let part6 = #"""
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
