public import LinuxSystem
internal import SandboxModel
public import Shim

/// The server's side of a shim's socket.
///
/// All calls throw ``SandboxError`` with `driver_failed` (with what the shim said as its cause), `deadline_exceeded` or
/// `cancelled`, unless they say otherwise.
public struct ShimClient: Sendable {
    /// The socket.
    public let path: String

    public init(path: String) { self.path = path }

    /// What a shim says of its slot.
    public struct Information: Sendable {
        /// The pid of the process that is the sandbox.
        public var sandbox: Int32
        /// gVisor: the pid of the process that opens files for it.
        public var gofer: Int32?
        /// `created`: nothing of a sandbox was put into it; `attached`: something was; `ended`.
        public var state: String
        /// Jail: whether nothing but files that were put into it is left in it.
        public var isSealed: Bool
        /// Jail: the files that were put into it, by name, and whether they may be written.
        public var files: [String: Bool]
    }

    /// A connection that says: this server lives.
    public func connect(shielded: Bool = false) throws(SystemError) -> UnixSocket {
        try UnixSocket.connect(path, shielded: shielded)
    }

    /// Sends one request on a connection of its own and returns the answer.
    ///
    /// - Parameter shielded: Whether to wait on even when the task is cancelled.
    public func request(
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

    public func information(until deadline: ContinuousClock.Instant) async throws -> Information {
        let text = String(decoding: try await request(.info, until: deadline).payload, as: UTF8.self)
        var values: [Substring: Substring] = [:]
        var files: [String: Bool] = [:]
        for line in text.split(separator: "\n") {
            let words = line.split(separator: " ", maxSplits: 2)
            if words.count == 3, words[0] == "file" { files[String(words[2])] = words[1] == "w" }
            if words.count == 2 { values[words[0]] = words[1] }
        }
        guard let sandbox = values["sandbox"].flatMap({ Int32($0) }), let state = values["state"] else {
            throw SandboxError(.driverFailed, "The sandbox's shim does not know its sandbox.")
        }
        return Information(
            sandbox: sandbox, gofer: values["gofer"].flatMap { Int32($0) }, state: String(state),
            isSealed: values["sealed"] == "1", files: files)
    }

    /// A descriptor of the guest's channel.
    public func channel(until deadline: ContinuousClock.Instant) async throws -> FileDescriptor {
        guard let descriptor = try await request(.channel, until: deadline).descriptor else {
            throw SandboxError(.driverFailed, "The sandbox's shim did not hand over the channel.")
        }
        return descriptor
    }

    /// Sets whether what runs in the slot ends when there is no server.
    public func setProvisional(_ provisional: Bool, until deadline: ContinuousClock.Instant) async throws {
        _ = try await request(.provisional, [provisional ? 1 : 0], until: deadline)
    }

    /// Ends everything of the slot and has it removed. Goes on even when the task is cancelled.
    public func kill(until deadline: ContinuousClock.Instant) async throws {
        _ = try await request(.kill, until: deadline, shielded: true)
    }

    /// How a sandbox ended, as far as its shim knows.
    public struct Ending: Sendable {
        /// As a shell tells it: 128 and the signal's number for one that was killed. `nil`: unknown.
        public var code: Int32?
        /// Whether the shim ended it because nothing else helped against a lack of memory.
        public var outOfMemory = false
    }

    /// Returns when the sandbox has ended; there is no deadline.
    public func ended() async throws -> Ending {
        let lines = String(decoding: try await request(.watch, until: nil).payload, as: UTF8.self).split(
            separator: "\n")
        let code = lines.first { $0.hasPrefix("code ") }.flatMap { Int32($0.dropFirst(5)) }
        return Ending(code: code, outOfMemory: lines.contains("oom"))
    }
}

// MARK: gVisor

extension ShimClient {
    /// Puts the sandbox's root in place of the empty one.
    public func attachRoot(_ root: ShimRoot, until deadline: ContinuousClock.Instant) async throws {
        _ = try await request(.attachRoot, root.encoded, until: deadline)
    }

    /// Watches the sandbox's memory from now on.
    public func guardMemory(_ marks: ShimMarks, until deadline: ContinuousClock.Instant) async throws {
        _ = try await request(.guardMemory, marks.encoded, until: deadline)
    }

    /// A descriptor of the root of the image that is the writable layer. As long as it is open, the image is in use.
    public func layer(until deadline: ContinuousClock.Instant) async throws -> FileDescriptor {
        guard let descriptor = try await request(.layer, until: deadline).descriptor else {
            throw SandboxError(.driverFailed, "The sandbox's shim did not hand over the layer.")
        }
        return descriptor
    }
}

// MARK: Jail

extension ShimClient {
    /// Puts files into the jail: all of them or none. Those that may be written get the jail's user as their owner;
    /// the others must be readable for everybody. It works before and after ``seal(until:)``, and nothing takes a file
    /// out again.
    ///
    /// - Parameter files: 1 to 16; each name can be taken once in a jail's life.
    public func attachFiles(_ files: [ShimFile], until deadline: ContinuousClock.Instant) async throws {
        _ = try await request(.attachFiles, ShimFile.encode(files), until: deadline)
    }

    /// Takes everything out of the jail but the files that were put into it: programs, libraries and devices. What the
    /// program has open or mapped of these stays, and nothing more can be loaded. May be repeated.
    ///
    /// QEMU loads its accelerator and the firmware when it makes its machine. One that was started with `-preconfig` is
    /// sealed after `x-exit-preconfig` and before its guest runs; sealed earlier, it ends there.
    public func seal(until deadline: ContinuousClock.Instant) async throws {
        _ = try await request(.seal, until: deadline)
    }
}
