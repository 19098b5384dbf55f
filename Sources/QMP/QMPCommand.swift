public import LinuxSystem

/// One command with its arguments and the form of its answer. The commands that exist are static members.
public struct QMPCommand<Answer: QMPAnswer>: Sendable {
    /// QEMU's name of it.
    public let name: String
    let arguments: [String: QMPValue]
    /// Passed with the command; they stay the caller's.
    let descriptors: [FileDescriptor]

    init(_ name: String, _ arguments: [String: QMPValue?] = [:], descriptors: [FileDescriptor] = []) {
        self.name = name
        self.arguments = arguments.compactMapValues(\.self)
        self.descriptors = descriptors
    }

    func line(_ id: Int64) throws(QMPError) -> [UInt8] {
        var message: [String: QMPValue] = ["execute": .string(name), "id": .integer(id)]
        if !arguments.isEmpty { message["arguments"] = .object(arguments) }
        return try QMPValue.object(message).line()
    }
}

// MARK: The machine

extension QMPCommand where Answer == QMPNothing {
    /// Ends the negotiation that every connection begins with.
    static var acceptCapabilities: Self { Self("qmp_capabilities") }

    /// Stops the machine's processors and flushes its disks. The event is ``QMPEvent/Name/stop``.
    public static var stop: Self { Self("stop") }

    /// Lets the machine's processors run. The event is ``QMPEvent/Name/resume``.
    public static var cont: Self { Self("cont") }

    /// Ends QEMU. The answer comes before the end.
    public static var quit: Self { Self("quit") }

    /// Goes on with a start that `-preconfig` held.
    public static var exitPreconfig: Self { Self("x-exit-preconfig") }

    /// Makes the memory backend `id` from a file, which is mapped at once.
    ///
    /// - Parameters:
    ///   - size: Bytes; the file's size.
    ///   - isShared: Whether writes of the guest reach the file.
    public static func addMemoryFile(_ id: String, path: String, size: Int64, isShared: Bool) -> Self {
        Self(
            "object-add",
            [
                "qom-type": "memory-backend-file", "id": .string(id), "mem-path": .string(path),
                "size": .integer(size), "share": .bool(isShared),
            ])
    }

    /// Removes an object that is not in use.
    public static func removeObject(_ id: String) -> Self { Self("object-del", ["id": .string(id)]) }

    /// Sets a property of an object, such as `memory-backend` of `/machine` before the start goes on.
    public static func setProperty(_ property: String, of path: String, to value: QMPValue) -> Self {
        Self("qom-set", ["path": .string(path), "property": .string(property), "value": value])
    }

    /// Asks the guest to leave itself `bytes` of memory. Needs a balloon device.
    public static func balloon(to bytes: Int64) -> Self { Self("balloon", ["value": .integer(bytes)]) }
}

extension QMPCommand where Answer == QMPStatus {
    public static var queryStatus: Self { Self("query-status") }
}

extension QMPCommand where Answer == QMPVersion {
    public static var queryVersion: Self { Self("query-version") }
}

extension QMPCommand where Answer == QMPBalloon {
    public static var queryBalloon: Self { Self("query-balloon") }
}

extension QMPCommand where Answer == QMPValue {
    /// The value of a property.
    public static func property(_ property: String, of path: String) -> Self {
        Self("qom-get", ["path": .string(path), "property": .string(property)])
    }
}

// MARK: Disks

extension QMPCommand where Answer == QMPNothing {
    /// Adds a block node by QEMU's own options; `node-name` and `driver` are among them.
    public static func addBlockNode(_ options: [String: QMPValue]) -> Self { Self("blockdev-add", options) }

    /// Adds a node for a raw image in a file.
    ///
    /// - Parameters:
    ///   - discards: Whether what the guest discards is given back to the host's file system.
    ///   - isDirect: Whether the host's page cache is left out.
    public static func addRawImage(
        _ node: String, path: String, isReadOnly: Bool, discards: Bool = true, isDirect: Bool = false
    ) -> Self {
        let file: QMPValue = [
            "driver": "file", "filename": .string(path), "read-only": .bool(isReadOnly),
            "discard": discards ? "unmap" : "ignore", "cache": ["direct": .bool(isDirect)],
            // Two owners of one image are kept apart by whoever hands it out; a template's image has many readers.
            "locking": isReadOnly ? "off" : "auto",
        ]
        return addBlockNode([
            "node-name": .string(node), "driver": "raw", "read-only": .bool(isReadOnly),
            "discard": discards ? "unmap" : "ignore", "file": file,
        ])
    }

    /// Removes a node that nobody uses.
    public static func removeBlockNode(_ node: String) -> Self { Self("blockdev-del", ["node-name": .string(node)]) }

    /// Makes `overlay` (added with `backing: null`) take the writes that `node` took.
    public static func snapshotBlockNode(_ node: String, overlay: String) -> Self {
        Self("blockdev-snapshot", ["node": .string(node), "overlay": .string(overlay)])
    }
}

// MARK: State

extension QMPCommand where Answer == QMPNothing {
    /// Begins to send the machine's whole state; ``queryMigration`` and ``QMPEvent/Name/migration`` tell its end.
    public static func migrate(to uri: String) -> Self { Self("migrate", ["uri": .string(uri)]) }

    /// Begins to take the state of a machine that was started with `-incoming defer`.
    public static func migrateIncoming(from uri: String) -> Self { Self("migrate-incoming", ["uri": .string(uri)]) }

    public static func setMigrationCapabilities(_ capabilities: [String: Bool]) -> Self {
        let list = capabilities.sorted { $0.key < $1.key }.map { name, isOn -> QMPValue in
            ["capability": .string(name), "state": .bool(isOn)]
        }
        return Self("migrate-set-capabilities", ["capabilities": .array(list)])
    }

    public static func setMigrationParameters(_ parameters: [String: QMPValue]) -> Self {
        Self("migrate-set-parameters", parameters)
    }

    /// Writes the state of all devices, without the memory, to a file. The machine has to be stopped, and stays so.
    public static func saveDevices(to path: String) -> Self {
        Self("xen-save-devices-state", ["filename": .string(path), "live": false])
    }
}

extension QMPCommand where Answer == QMPMigration {
    public static var queryMigration: Self { Self("query-migrate") }
}

// MARK: Descriptors

extension QMPCommand where Answer == QMPNothing {
    /// Gives QEMU a descriptor under a name, for `fd:NAME`.
    public static func passDescriptor(_ descriptor: FileDescriptor, as name: String) -> Self {
        Self("getfd", ["fdname": .string(name)], descriptors: [descriptor])
    }

    /// Closes a descriptor that was passed under a name and not used.
    public static func closeDescriptor(_ name: String) -> Self { Self("closefd", ["fdname": .string(name)]) }

    /// Removes all descriptors of a set, or one.
    public static func removeDescriptors(set: Int64, descriptor: Int64? = nil) -> Self {
        Self("remove-fd", ["fdset-id": .integer(set), "fd": descriptor.map { .integer($0) }])
    }
}

extension QMPCommand where Answer == QMPDescriptor {
    /// Adds a descriptor to a set, which is a new one if none is given, for paths like `/dev/fdset/1`.
    public static func addDescriptor(_ descriptor: FileDescriptor, set: Int64? = nil) -> Self {
        Self("add-fd", ["fdset-id": set.map { .integer($0) }], descriptors: [descriptor])
    }
}
