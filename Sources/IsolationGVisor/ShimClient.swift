internal import Isolation
internal import LinuxSystem
internal import SandboxModel
internal import Shim

/// The server's side of a shim's socket.
struct ShimClient {
    let path: String

    /// What a shim says of its slot.
    struct Information {
        var sandbox: Int32
        var gofer: Int32
        var state: String
    }

    /// A connection that says: this server lives.
    func connect(shielded: Bool = false) throws(SystemError) -> UnixSocket {
        try UnixSocket.connect(path, shielded: shielded)
    }

    /// Sends one request on a connection of its own and returns the answer.
    ///
    /// - Throws: ``SandboxError`` with `driver_failed`, `deadline_exceeded` or `cancelled`.
    func request(
        _ operation: ShimOperation, _ payload: [UInt8] = [], until deadline: ContinuousClock.Instant?,
        shielded: Bool = false
    ) async throws -> (payload: [UInt8], descriptor: FileDescriptor?) {
        do {
            let socket = try connect(shielded: shielded)
            try await socket.send(ShimMessage.request(operation, payload), until: deadline)
            var buffer: [UInt8] = []
            var descriptors: [FileDescriptor] = []
            while true {
                let part = try await socket.receive(until: deadline)
                guard !part.bytes.isEmpty else { throw Complaint("the shim closed the connection") }
                buffer += part.bytes
                descriptors += part.descriptors
                guard let body = ShimMessage.next(&buffer) else { continue }
                guard body.count >= 2, body[0] == operation.rawValue else { throw Complaint("a malformed answer") }
                guard body[1] == 0 else { throw Complaint(String(decoding: body.dropFirst(2), as: UTF8.self)) }
                return (Array(body.dropFirst(2)), descriptors.first)
            }
        } catch let error as SandboxError {
            throw error
        } catch {
            throw SandboxError(.driverFailed, "The sandbox's shim failed to \(operation).", cause: error)
        }
    }

    func information(until deadline: ContinuousClock.Instant) async throws -> Information {
        let text = String(decoding: try await request(.info, until: deadline).payload, as: UTF8.self)
        var values: [Substring: Substring] = [:]
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ", maxSplits: 1)
            if words.count == 2 { values[words[0]] = words[1] }
        }
        guard let sandbox = values["sandbox"].flatMap({ Int32($0) }),
            let gofer = values["gofer"].flatMap({ Int32($0) }),
            let state = values["state"]
        else { throw SandboxError(.driverFailed, "The sandbox's shim does not know its sandbox.") }
        return Information(sandbox: sandbox, gofer: gofer, state: String(state))
    }

    /// A descriptor of the guest's channel.
    func channel(until deadline: ContinuousClock.Instant) async throws -> FileDescriptor {
        guard let descriptor = try await request(.channel, until: deadline).descriptor else {
            throw SandboxError(.driverFailed, "The sandbox's shim did not hand over the channel.")
        }
        return descriptor
    }

    /// A descriptor of the root of the image that is the writable layer. As long as it is open, the image is in use.
    func layer(until deadline: ContinuousClock.Instant) async throws -> FileDescriptor {
        guard let descriptor = try await request(.layer, until: deadline).descriptor else {
            throw SandboxError(.driverFailed, "The sandbox's shim did not hand over the layer.")
        }
        return descriptor
    }
}

extension ShimRoot {
    init(_ root: SandboxRoot) {
        let layer: Layer =
            switch root.layer {
            case .directories(let upper, let work): .directories(upper: upper, work: work)
            case .image(let path, let place): .image(path: path, place: place)
            }
        self.init(lower: root.lower, layer: layer, volatile: root.volatile, fresh: root.fresh)
    }
}
