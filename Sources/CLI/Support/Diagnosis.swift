internal import Foundation
internal import LinuxSystem
internal import SandboxModel

/// What this machine needs, checked one by one.
struct Diagnosis: Sendable {
    struct Finding: Encodable, Sendable {
        enum Verdict: String, Encodable, Sendable {
            case ok, warning, failure
        }
        var what: String
        var verdict: Verdict
        var detail: String
        /// How to mend it.
        var hint: String?
    }

    var dataDirectory: String
    /// What `server.version()` said; `nil` if no server answers.
    var server: VersionResource?

    /// Versions of runsc older than this lack calls that the driver relies on.
    private static let oldestRunsc = 20_240_729
    private static let wantedSpace: UInt64 = 4 << 30

    func findings() async -> [Finding] {
        [
            system(), user(), await runsc(), fileSystem(), cgroups(), helper("nightjar-init"), helper("nightjar-shim"),
            space(), template(), answering(),
        ]
    }

    private func system() -> Finding {
        let release =
            (try? TextFile.read("/proc/sys/kernel/osrelease"))?.trimmingCharacters(in: .whitespacesAndNewlines) ?? "?"
        let numbers = release.split(whereSeparator: { !$0.isNumber }).prefix(2).compactMap { Int($0) }
        let isNewEnough = numbers.lexicographicallyPrecedes([6, 1]) == false
        return Finding(
            what: "Linux kernel", verdict: isNewEnough ? .ok : .failure, detail: release,
            hint: isNewEnough ? nil : "6.1 or newer is needed, as in Debian 12")
    }

    private func user() -> Finding {
        let isRoot = geteuid() == 0
        return Finding(
            what: "root", verdict: isRoot ? .ok : .warning,
            detail: isRoot ? "yes" : "no: this user can only be a client",
            hint: isRoot ? nil : "start the server with sudo")
    }

    private func runsc() async -> Finding {
        let hint = "run scripts/install-prerequisites"
        guard let path = Self.inPath("runsc") else {
            return Finding(what: "runsc (gVisor)", verdict: .failure, detail: "not found in PATH", hint: hint)
        }
        let command = ChildCommand(path, ["--version"])
        guard let output = try? await ChildProcess.run(command, until: .now + .seconds(10)), output.exit.isSuccess
        else {
            return Finding(what: "runsc (gVisor)", verdict: .failure, detail: "\(path) cannot be run", hint: hint)
        }
        let line = String(decoding: output.output, as: UTF8.self).split(separator: "\n").first.map(String.init) ?? ""
        let date = line.split(whereSeparator: { !$0.isNumber }).compactMap { Int($0) }.first { $0 > 20_000_000 }
        let isNewEnough = date.map { $0 >= Self.oldestRunsc } ?? true
        return Finding(
            what: "runsc (gVisor)", verdict: isNewEnough ? .ok : .failure, detail: "\(line), \(path)",
            hint: isNewEnough ? nil : "\(Self.oldestRunsc) or newer is needed; \(hint)")
    }

    private func fileSystem() -> Finding {
        let known =
            (try? TextFile.read("/proc/filesystems"))?.split(whereSeparator: \.isWhitespace).contains("overlay")
            ?? false
        return Finding(
            what: "overlay file system", verdict: known ? .ok : .failure, detail: known ? "available" : "not available",
            hint: known ? nil : "modprobe overlay")
    }

    private func cgroups() -> Finding {
        let obstacle = CgroupLayout.current().obstacle
        return Finding(
            what: "control groups", verdict: obstacle == nil ? .ok : .warning,
            detail: obstacle ?? "memory, cpu and pids",
            hint: obstacle == nil ? nil : "without them, a sandbox's limits are not enforced")
    }

    private func helper(_ name: String) -> Finding {
        let own =
            (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
        let path = URL(fileURLWithPath: own).deletingLastPathComponent().appendingPathComponent(name).path
        let isThere = FileManager.default.isExecutableFile(atPath: path)
        return Finding(
            what: name, verdict: isThere ? .ok : .failure, detail: isThere ? path : "not found beside this program",
            hint: isThere ? nil : "run make build, and use out/bin/nightjar")
    }

    private func space() -> Finding {
        var place = dataDirectory
        while !FileManager.default.fileExists(atPath: place), place != "/" {
            place = URL(fileURLWithPath: place).deletingLastPathComponent().path
        }
        guard let free = try? DiskSpace.free(place) else {
            return Finding(what: "disk space", verdict: .warning, detail: "unknown for \(place)", hint: nil)
        }
        let isEnough = free >= Self.wantedSpace
        return Finding(
            what: "disk space", verdict: isEnough ? .ok : .warning,
            detail: "\(Human.bytes(Int64(clamping: free))) free for \(dataDirectory)",
            hint: isEnough ? nil : "each sleeping sandbox needs as much as it has in memory")
    }

    private func template() -> Finding {
        let path = "\(dataDirectory)/templates/base/current/rootfs"
        let isThere = FileManager.default.fileExists(atPath: path)
        let isReadable = geteuid() == 0 || FileManager.default.isReadableFile(atPath: dataDirectory)
        return Finding(
            what: "template base", verdict: isThere ? .ok : isReadable ? .failure : .warning,
            detail: isThere ? path : isReadable ? "not built" : "this user may not look",
            hint: isThere ? nil : isReadable ? "run make template" : "use sudo")
    }

    private func answering() -> Finding {
        guard let server else {
            return Finding(
                what: "server", verdict: .warning, detail: "none answers", hint: "start one with `nightjar serve`")
        }
        let isSame = server.version == NightjarVersion.current
        return Finding(
            what: "server", verdict: isSame ? .ok : .warning, detail: "version \(server.version) answers",
            hint: isSame ? nil : "this program is \(NightjarVersion.current): restart the server (sandboxes go on)")
    }

    private static func inPath(_ name: String) -> String? {
        let path = ProcessInfo.processInfo.environment["PATH"] ?? ""
        let directories =
            path.split(separator: ":").map(String.init) + [
                "/usr/local/sbin", "/usr/sbin", "/usr/local/bin", "/usr/bin",
            ]
        return directories.map { "\($0)/\(name)" }.first { FileManager.default.isExecutableFile(atPath: $0) }
    }
}
