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
        /// What `--fix` would do, and what it did: nothing, if it is absent.
        var remedy: Remedy?
        var mended: String?

        enum CodingKeys: String, CodingKey {
            case what, verdict, detail, hint, mended
        }
    }

    var dataDirectory: String
    var runDirectory = "/run/nightjar"
    /// What `server.version()` said; `nil` if no server answers.
    var server: VersionResource?

    /// Versions of runsc older than this lack calls that the driver relies on.
    private static let oldestRunsc = 20_240_729
    private static let wantedSpace: UInt64 = 4 << 30

    func findings() async -> [Finding] {
        [
            system(), user(), await runsc(), fileSystem(), cgroups(), helper("nightjar-init"), helper("nightjar-shim"),
            directory(), keyFile(), space(), diskQuota(), template(), socket(), answering(),
        ]
    }

    private static let program =
        (try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")) ?? CommandLine.arguments[0]
    private var scripts: ProjectScripts { ProjectScripts(program: Self.program) }

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
        let install = scripts.remedy("install-prerequisites", "run")
        guard let path = Self.inPath("runsc") else {
            return Finding(
                what: "runsc (gVisor)", verdict: .failure, detail: "not found in PATH", hint: hint, remedy: install)
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
            hint: isNewEnough ? nil : "\(Self.oldestRunsc) or newer is needed; \(hint)",
            remedy: isNewEnough ? nil : install)
    }

    private func fileSystem() -> Finding {
        let known =
            (try? TextFile.read("/proc/filesystems"))?.split(whereSeparator: \.isWhitespace).contains("overlay")
            ?? false
        return Finding(
            what: "overlay file system", verdict: known ? .ok : .failure, detail: known ? "available" : "not available",
            hint: known ? nil : "modprobe overlay",
            remedy: known ? nil : Remedy(action: .run("/sbin/modprobe", ["overlay"])))
    }

    private func cgroups() -> Finding {
        let obstacle = CgroupLayout.current().obstacle
        return Finding(
            what: "control groups", verdict: obstacle == nil ? .ok : .warning,
            detail: obstacle ?? "memory, cpu and pids",
            hint: obstacle == nil ? nil : "without them, a sandbox's limits are not enforced")
    }

    private func helper(_ name: String) -> Finding {
        let path = URL(fileURLWithPath: Self.program).deletingLastPathComponent().appendingPathComponent(name).path
        let isThere = FileManager.default.isExecutableFile(atPath: path)
        return Finding(
            what: name, verdict: isThere ? .ok : .failure, detail: isThere ? path : "not found beside this program",
            hint: isThere ? nil : "run make build, and use out/bin/nightjar",
            remedy: isThere ? nil : scripts.remedy("build", "release"))
    }

    private func mode(_ path: String) -> Int? {
        (try? FileManager.default.attributesOfItem(atPath: path))?[.posixPermissions] as? Int
    }

    private func directory() -> Finding {
        let what = "data directory"
        guard FileManager.default.fileExists(atPath: dataDirectory) else {
            return Finding(
                what: what, verdict: .warning, detail: "\(dataDirectory) does not exist",
                hint: "the server makes it", remedy: Remedy(action: .makeDirectory(dataDirectory)))
        }
        let isOpen = (mode(dataDirectory) ?? 0o700) & 0o022 != 0
        return Finding(
            what: what, verdict: isOpen ? .failure : .ok,
            detail: isOpen ? "others may write into \(dataDirectory)" : dataDirectory,
            hint: isOpen ? "chmod 700 \(dataDirectory)" : nil,
            remedy: isOpen ? Remedy(action: .makePrivate(dataDirectory, mode: 0o700)) : nil)
    }

    private func keyFile() -> Finding {
        let path = dataDirectory + "/api-key"
        let isOpen = mode(path).map { $0 & 0o077 != 0 } ?? false
        return Finding(
            what: "API key", verdict: isOpen ? .failure : .ok,
            detail: isOpen ? "others may read \(path)" : "only its owner may read it",
            hint: isOpen ? "chmod 600 \(path); the server does not start otherwise" : nil,
            remedy: isOpen ? Remedy(action: .makePrivate(path, mode: 0o600)) : nil)
    }

    /// A server that was killed leaves its socket; the next one removes it, but clients look there first.
    private func socket() -> Finding {
        let path = runDirectory + "/nightjar.sock"
        let isThere = (try? FileManager.default.attributesOfItem(atPath: path)) != nil
        let isStale = isThere && !UnixSocketProbe.accepts(path)
        return Finding(
            what: "socket", verdict: isStale ? .warning : .ok,
            detail: isStale ? "nobody listens on \(path)" : isThere ? path : "none, as no server runs here",
            hint: isStale ? "start the server, or remove the socket" : nil,
            remedy: isStale ? Remedy(action: .remove(path)) : nil)
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

    /// What bounds the files that a sandbox writes: an ext4 image on a loop device.
    private func diskQuota() -> Finding {
        let tools = ["mke2fs", "e2fsck"].filter { !Self.isInstalled($0) }
        let hasLoop = access("/dev/loop-control", F_OK) == 0
        let isThere = hasLoop && tools.isEmpty
        return Finding(
            what: "disk quota", verdict: isThere ? .ok : .failure,
            detail: isThere
                ? "loop devices and e2fsprogs"
                : hasLoop ? "\(tools.joined(separator: " and ")) not found" : "no loop devices",
            hint: isThere
                ? nil
                : (hasLoop ? "apt-get install e2fsprogs" : "modprobe loop") + ", or serve with --disk-quota 0")
    }

    private static func isInstalled(_ tool: String) -> Bool {
        ["/usr/sbin/", "/sbin/"].contains { access($0 + tool, X_OK) == 0 }
    }

    private func template() -> Finding {
        let path = "\(dataDirectory)/templates/base/current/rootfs"
        let isThere = FileManager.default.fileExists(atPath: path)
        let isReadable = geteuid() == 0 || FileManager.default.isReadableFile(atPath: dataDirectory)
        return Finding(
            what: "template base", verdict: isThere ? .ok : isReadable ? .failure : .warning,
            detail: isThere ? path : isReadable ? "not built" : "this user may not look",
            hint: isThere ? nil : isReadable ? "run make template" : "use sudo",
            remedy: isThere || !isReadable || dataDirectory != "/var/lib/nightjar"
                ? nil : scripts.remedy("build-template", "base"))
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
