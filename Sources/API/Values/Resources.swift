internal import HTTPKit
internal import SandboxModel
internal import Wire

extension ProcessResource {
    init(_ info: ProcessInfo) {
        self.init(
            id: info.id, pid: info.pid, command: info.arguments, directory: info.directory, user: info.user,
            terminal: info.terminal, background: info.tag == ProcessTag.background,
            startedAt: Timestamp(unixNanoseconds: info.startedUnixNanoseconds), outputStart: info.outputStart,
            outputEnd: info.outputEnd, exit: info.exit.map { ExitResource($0) })
    }
}

/// What the runtime's idle policy reads in a process's tag.
enum ProcessTag {
    static let foreground = "foreground"
    static let background = "background"
}

extension ExitResource {
    init(_ exit: ProcessExit) {
        self.init(
            code: exit.code, signal: exit.signal == 0 ? nil : Int(exit.signal), timedOut: exit.timedOut,
            cause: ExitCause(exit),
            endedAt: Timestamp(unixNanoseconds: exit.endedUnixNanoseconds),
            cpuSeconds: Double(exit.userMicroseconds + exit.systemMicroseconds) / 1_000_000,
            maxMemoryBytes: exit.maximumResidentKiB * 1024)
    }
}

extension ExitCause {
    /// What weighs most of what the guest noted.
    init(_ exit: ProcessExit) {
        let hits = exit.hits
        if hits.contains(.memory) {
            self = .outOfMemory
        } else if exit.timedOut {
            self = .timedOut
        } else if exit.code == 0 {
            self = .exited
        } else if hits.contains(.descendantMemory) {
            self = .outOfMemory
        } else if hits.contains(.disk) {
            self = .diskFull
        } else if hits.contains(.processes) {
            self = .processesExhausted
        } else {
            self = exit.signal == 0 ? .exited : .signal
        }
    }
}

extension ProcessTableEntryResource {
    init(_ entry: TableEntry) {
        self.init(
            pid: entry.pid, parent: entry.parent, uid: entry.uid, state: String(UnicodeScalar(entry.state)),
            memoryBytes: entry.residentKiB * 1024, cpuSeconds: Double(entry.cpuMilliseconds) / 1000,
            command: entry.command)
    }
}

/// Bytes from the guest as text, and as base64 where text cannot hold them.
func textAndBytes(_ bytes: [UInt8]) -> (text: String, base64: String?) {
    if let text = String(validating: bytes, as: UTF8.self) { return (text, nil) }
    return (String(decoding: bytes, as: UTF8.self), Base64.encode(bytes))
}

extension FileResource {
    init(_ info: FileInfo) {
        let path = textAndBytes(info.path)
        let kind: Kind =
            switch info.kind {
            case .file: .file
            case .directory: .directory
            case .symlink: .symlink
            case .other: .other
            }
        self.init(
            path: path.text, pathBase64: path.base64, kind: kind, size: info.size, mode: FileMode.text(info.mode),
            uid: info.uid, gid: info.gid, modifiedAt: Timestamp(unixNanoseconds: info.modifiedUnixNanoseconds),
            target: info.kind == .symlink ? String(decoding: info.target, as: UTF8.self) : nil)
    }
}

extension WatchEventResource {
    init(_ event: WatchEvent) {
        let kind: Kind =
            switch event.kind {
            case .created: .created
            case .modified: .modified
            case .removed: .removed
            case .renamed: .renamed
            case .attributes: .attributes
            case .overflow: .overflow
            }
        self.init(
            kind: kind, path: String(decoding: event.path, as: UTF8.self),
            from: event.from.isEmpty ? nil : String(decoding: event.from, as: UTF8.self))
    }
}
