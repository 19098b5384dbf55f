// Made from openapi.yaml; see OpenAPIDocument.swift.
extension OpenAPIDocument {
    static let part5 = #"""
                - request_timeout # 408
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
                - pids_exhausted # 409
                - oom_killed # 500
                - no_space # 507
            Capacity:
              type: object
              required: [memory_mib, cpus, sandboxes]
              properties:
                memory_mib: {type: integer, minimum: 0}
                cpus: {type: number, minimum: 0, description: Cores}
                sandboxes: {type: integer, minimum: 0, description: With processes}
            Node:
              type: object
              required: [capacity, overcommit, reserved, host, queue]
              properties:
                capacity: {$ref: '#/components/schemas/Capacity', description: What the node has for sandboxes}
                overcommit:
                  type: object
                  required: [memory, cpus]
                  description: The limits of all sandboxes with processes may reach the capacity times these
                  properties:
                    memory: {type: number, minimum: 1}
                    cpus: {type: number, minimum: 1}
                reserved: {$ref: '#/components/schemas/Capacity', description: Limits of all sandboxes with processes}
                host:
                  type: object
                  required: [memory_total_bytes, memory_available_bytes, memory_reserve_bytes, cpus]
                  properties:
                    memory_total_bytes: {type: integer, format: int64}
                    memory_available_bytes: {type: integer, format: int64}
                    memory_reserve_bytes: {type: integer, format: int64, description: With less available nothing is started and idle sandboxes are put to standby}
                    cpus: {type: integer}
                queue:
                  type: object
                  required: [waiting, limit, longest_wait, timeout, fair_label, starting, parallel_starts, leaving]
                  properties:
                    waiting: {type: integer, minimum: 0, description: Starts that wait for their turn}
                    limit: {type: integer, description: How many may wait}
                    longest_wait: {type: number, description: Seconds}
                    timeout: {type: number, description: Seconds that a request waits unless it says otherwise}
                    fair_label: {type: string, description: Waiting requests take turns by this label}
                    starting: {type: integer, minimum: 0}
                    parallel_starts: {type: integer, description: How many are started at once}
                    leaving: {type: integer, minimum: 0, description: Sandboxes that are being put to standby to make room}
            Usage:
              type: object
              required: [from, to, items]
              properties:
                from: {$ref: '#/components/schemas/Time'}
                to: {$ref: '#/components/schemas/Time'}
                items: {type: array, items: {$ref: '#/components/schemas/UsageItem'}}
                next_cursor: {type: string, description: Absent on the last page}
            UsageItem:
              type: object
              required: [from, to, cpu_seconds, running_seconds, memory_gib_seconds, limit_gib_seconds, standby_seconds, standby_gib_seconds]
              properties:
                sandbox: {type: string, description: With group_by sandbox}
                name: {type: string}
                deleted_at: {$ref: '#/components/schemas/Time'}
                label: {type: string, description: With group_by label}
                value: {type: string, description: Absent for what was used without the label}
                from: {$ref: '#/components/schemas/Time'}
                to: {$ref: '#/components/schemas/Time'}
                cpu_seconds: {type: number, minimum: 0, description: 'On the host: guest, gVisor, file access'}
                running_seconds: {type: number, minimum: 0, description: 'With processes, running or paused'}
                memory_gib_seconds: {type: number, minimum: 0, description: RAM that was really occupied}
                limit_gib_seconds: {type: number, minimum: 0, description: The memory limit while it had processes}
                standby_seconds: {type: number, minimum: 0, description: Asleep on disk}
                standby_gib_seconds: {type: number, minimum: 0, description: Memory on disk while asleep}
            Time: {type: string, format: date-time, description: 'UTC, in the years 1970 to 2199'}
            Name: {type: string, minLength: 1, maxLength: 63, pattern: '^[a-z0-9]([a-z0-9-]*[a-z0-9])?$'}
            SandboxReference:
              type: string
              minLength: 1
              maxLength: 63
              pattern: '^(sb_[a-z2-7]{20}|[a-z0-9]([a-z0-9-]*[a-z0-9])?)$'
            Offset: {type: integer, minimum: 0, maximum: 9007199254740991}
            Path:
              description: Absolute, without NUL and without the component `..`; the sandbox's file system allows 255 bytes in a component
              type: string
              minLength: 1
              maxLength: 4095
              pattern: '^/[^\x00]*$'
              not: {pattern: '/\.\.(/|$)'}
              examples: [/tmp/file]
            Mode: {type: string, pattern: '^0?[0-7]{1,4}$', examples: ['0755']}
            User:
              description: A name or number of the sandbox's users, and after a colon of its groups
              type: string
              minLength: 1
              maxLength: 128
              pattern: '^[^\x00-\x20/\x7F]+$'
              examples: [root, '1000:1000']
            Labels:
              type: object
              maxProperties: 32
              propertyNames: {minLength: 1, maxLength: 128, pattern: '^[^=\x00-\x1F]+$'}
              additionalProperties: {type: string, maxLength: 128, pattern: '^[^\x00-\x1F]*$'}
            Environment:
              description: At most 128 KiB together
              type: object
              maxProperties: 256
              propertyNames: {minLength: 1, pattern: '^[^=\x00]+$'}
              additionalProperties: {type: string, pattern: '^[^\x00]*$'}
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
                cpu_weight: {type: integer, minimum: 1, maximum: 10000, default: 100, description: Share of the CPU when there is not enough for all sandboxes}
                pids: {type: integer, minimum: 16, maximum: 65536, default: 1024}
                disk_mib: {type: integer, minimum: 64, maximum: 1048576, description: 'MiB of files that it writes; default: what the server says, 10240 unless it was started with another --disk-quota'}
                open_files: {type: integer, minimum: 64, maximum: 1048576, default: 65536, description: Per process}
                exec_timeout: {type: number, minimum: 0.001, maximum: 86400, description: 'Seconds after which a command is ended that names no timeout; default: never'}
                retained_output: {type: integer, minimum: 4096, maximum: 16777216, default: 1048576, description: 'Bytes of output kept of each process, unless its request says otherwise'}
            SandboxSpec:
              type: object
              additionalProperties: false
              properties:
                name: {$ref: '#/components/schemas/Name', description: Makes it durable}
                template: {$ref: '#/components/schemas/Name', default: base}
                labels: {$ref: '#/components/schemas/Labels'}
                env: {$ref: '#/components/schemas/Environment', description: For every process}
                lifecycle: {$ref: '#/components/schemas/LifecycleSpec'}
                limits: {$ref: '#/components/schemas/LimitsSpec'}
                network: {type: string, enum: [none], default: none}
                isolation: {type: string, enum: [gvisor, microvm, auto], description: 'microvm has a kernel of its own; auto is microvm where KVM can run one, else gvisor. Default: what the template says, and where it says nothing, what the server says, auto unless it was started with another --isolation'}
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
                isolation: {type: string, enum: [gvisor, microvm], description: The tier that it got}
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
            Command:
              description: The first is looked up in PATH; at most 1 MiB together
              type: array
              minItems: 1
              maxItems: 1024
              prefixItems: [{type: string, minLength: 1}]
              items: {type: string, maxLength: 131071, pattern: '^[^\x00]*$'}
              examples: [[sh, -c, echo hello]]
            ProcessLimits:
              type: array
              maxItems: 16
              items:
                type: object
                additionalProperties: false
                required: [resource, soft, hard]
                properties:
                  resource: {type: string, enum: [as, core, cpu, data, fsize, locks, memlock, msgqueue, nice, nofile, nproc, rss, rtprio, rttime, sigpending, stack]}
                  soft: {type: integer, minimum: 0, maximum: 18446744073709551615, description: Not above hard}
                  hard: {type: integer, minimum: 0, maximum: 18446744073709551615}
            ExecRequest:
              type: object
              additionalProperties: false
              required: [command]
              properties:
                command: {$ref: '#/components/schemas/Command'}
                env: {$ref: '#/components/schemas/Environment'}
                directory: {$ref: '#/components/schemas/Path'}
                user: {$ref: '#/components/schemas/User', description: 'Default: the template''s'}
                stdin: {type: string}
                stdin_base64: {type: string, format: byte, contentEncoding: base64}
                timeout: {type: number, minimum: 0.001, maximum: 86400, description: 'Seconds; then SIGTERM, and SIGKILL 2 s later. Default: the sandbox''s limits.exec_timeout'}
                limits: {$ref: '#/components/schemas/ProcessLimits', description: Each resource once}
                max_output: {type: integer, minimum: 0, maximum: 16777216, default: 1048576, description: Bytes of each output}
                retained_output: {type: integer, minimum: 4096, maximum: 16777216, description: 'Default: the sandbox''s limits.retained_output'}
              not: {required: [stdin, stdin_base64]}
            ProcessRequest:
              type: object
              additionalProperties: false
              required: [command]
              properties:
                command: {$ref: '#/components/schemas/Command'}
                env: {$ref: '#/components/schemas/Environment'}
                directory: {$ref: '#/components/schemas/Path'}
                user: {$ref: '#/components/schemas/User', description: 'Default: the template''s'}
                open_stdin: {type: boolean, default: false, description: Keeps standard input open for later writes}
                terminal: {$ref: '#/components/schemas/Terminal'}
                timeout: {type: number, minimum: 0.001, maximum: 86400, description: 'Seconds; then SIGTERM, and SIGKILL 2 s later. Default: the sandbox''s limits.exec_timeout'}
                limits: {$ref: '#/components/schemas/ProcessLimits', description: Each resource once}
                background: {type: boolean, default: false, description: Does not keep the sandbox awake by itself}
                retained_output: {type: integer, minimum: 4096, maximum: 16777216, description: 'Default: the sandbox''s limits.retained_output'}
            ExecResult:
              type: object
              required: [id, exit_code, timed_out, cause, stdout, stderr, stdout_truncated, stderr_truncated, duration_ms]
              properties:
                id: {type: integer}
                exit_code: {type: integer, minimum: 0, maximum: 255, description: 128 + signal if a signal ended it}
                signal: {type: integer}
                timed_out: {type: boolean}
                cause: {$ref: '#/components/schemas/ExitCause'}
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
              required: [code, timed_out, cause, ended_at, cpu_seconds, max_memory_bytes]
              properties:
                code: {type: integer}
                signal: {type: integer}
                timed_out: {type: boolean}
                cause: {$ref: '#/components/schemas/ExitCause'}
                ended_at: {$ref: '#/components/schemas/Time'}
                cpu_seconds: {type: number}
                max_memory_bytes: {type: integer}
            ExitCause:
              type: string
              enum: [exited, signal, timed_out, oom_killed, disk_full, pids_exhausted]
              description: 'Why it ended: by itself, by a signal, its time was up, it (or a process that it had started) held most of the memory when the sandbox was out of it, or it failed while the disk was full or no more processes could be started'
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
            ServerSentEvent:
              description: An event of a stream. One that is called `error` has an Error as its data and is the last.
              type: object
              required: [event, data]
              properties:
                event: {type: string}
                id: {type: string, description: To go on after it}
                data: {type: string, contentMediaType: application/json}
            WatchEvent:
              type: object
              required: [kind, path]
              properties:
                kind: {type: string, enum: [created, modified, removed, renamed, attributes, overflow]}
                path: {type: string, description: Relative to the watched directory}
                from: {type: string, description: The old path of a rename}
            Scope:
              type: string
              description: '`admin` covers `sandbox:write`, which covers `sandbox:read`.'
              enum: ['sandbox:read', 'sandbox:write', admin]
            KeyRequest:
              type: object
              additionalProperties: false
              required: [scopes]
              properties:
                scopes: {type: array, items: {$ref: '#/components/schemas/Scope'}, minItems: 1, uniqueItems: true}
                label: {type: string, description: No control characters, minLength: 1, maxLength: 128, pattern: '^[^\x00-\x1F\x7F-\x9F]+$'}
                expires_in: {type: number, description: Seconds, minimum: 1, maximum: 315360000}
            Key:
              type: object
              required: [id, scopes, created_at]
              properties:
                id: {type: string, examples: [key_2bq4t6xkz3ma, key_file]}
                label: {type: string}
                scopes: {type: array, items: {$ref: '#/components/schemas/Scope'}}
                created_at: {$ref: '#/components/schemas/Time'}
                expires_at: {$ref: '#/components/schemas/Time'}
                secret: {type: string, description: Only in the answer to its creation}
            AuditEntry:
              type: object
              required: [sequence, at, who, from, method, route, request_id]
        """# + "\n"
}
