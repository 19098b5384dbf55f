import Foundation
import SandboxModel
import Testing

@testable import LinuxSystem

@Suite(.serialized) struct CgroupTests {
    private static let layout = CgroupLayout.current()
    private static let isReady = getuid() == 0 && layout.obstacle == nil
    private static let reason: Comment = "needs root and cgroup controllers for memory, cpu and pids"

    private func withGroup(_ body: (Cgroup) async throws -> Void) async throws {
        let group = Cgroup("nightjar-test-\(randomToken(6))/group", layout: Self.layout)
        try group.create()
        do {
            try await body(group)
        } catch {
            try? await group.killAll(until: .now + .seconds(5))
            try? await group.remove(until: .now + .seconds(5))
            throw error
        }
        try await group.killAll(until: .now + .seconds(5))
        try await group.remove(until: .now + .seconds(5))
        #expect(group.directories.allSatisfy { !FileManager.default.fileExists(atPath: $0) })
        try await group.remove(until: .now + .seconds(1))
        group.removeEmptyParents()
        #expect(
            !group.directories.contains {
                FileManager.default.fileExists(atPath: ($0 as NSString).deletingLastPathComponent)
            })
    }

    private func shell(_ script: String, in group: Cgroup) throws -> ChildProcess {
        let null = try FileDescriptor.open("/dev/null", O_RDWR)
        return try ChildProcess.spawn(
            ChildCommand("/bin/sh", ["-c", script], cgroup: group), descriptors: [null.raw, null.raw, null.raw])
    }

    @Test(.enabled(if: isReady, reason)) func `a child is in its group from the start, and all of it is killed`()
        async throws
    {
        try await withGroup { group in
            let child = try shell("setsid sleep 100 & exec sleep 100", in: group)
            let deadline = ContinuousClock.now + .seconds(5)
            while try group.processes().count < 2, ContinuousClock.now < deadline {
                try await Task.sleep(for: .milliseconds(5))
            }
            #expect(try group.processes().contains(child.pid))
            try await group.killAll(until: .now + .seconds(5))
            #expect(try await child.wait(until: .now + .seconds(5)) == .signal(SIGKILL))
        }
    }

    @Test(.enabled(if: isReady, reason))
    func `what is set for all threads of a group holds for all, and can be undone`()
        async throws
    {
        try await withGroup { group in
            let child = try shell("sleep 100 & sleep 100 & wait", in: group)
            let deadline = ContinuousClock.now + .seconds(5)
            while try group.threads().count < 3, ContinuousClock.now < deadline {
                try await Task.sleep(for: .milliseconds(5))
            }
            func slacks() throws -> Set<String> {
                try Set(group.threads().map { try TextFile.read("/proc/\($0)/timerslack_ns") })
            }
            #expect(try group.setTimerSlack(.milliseconds(50), limit: 3))
            #expect(try slacks() == ["50000000\n"])
            #expect(try group.setTimerSlack(.microseconds(50), limit: 3))
            #expect(try slacks() == ["50000\n"])
            #expect(try !group.setTimerSlack(.milliseconds(50), limit: 2))
            #expect(try slacks() == ["50000\n"], "Too many threads: nothing is done.")
            let cores = CoreSet.available()
            let last = try #require(cores.last)
            func allowed() throws -> Set<String> {
                try Set(
                    group.threads().flatMap { thread in
                        try TextFile.read("/proc/\(thread)/status").split(separator: "\n")
                            .filter { $0.hasPrefix("Cpus_allowed_list:") }.map {
                                $0.split(separator: "\t")[1].description
                            }
                    })
            }
            let before = try allowed()
            #expect(try group.setCores([last], limit: 3))
            #expect(try allowed() == ["\(last)"])
            #expect(try group.setCores(cores, limit: .max))
            #expect(try allowed() == before)
            try await group.killAll(until: .now + .seconds(5))
            #expect(try await child.wait(until: .now + .seconds(5)) == .signal(SIGKILL))
        }
    }

    @Test(.enabled(if: isReady, reason)) func `a frozen group uses no CPU, goes on when thawed, and can be killed`()
        async throws
    {
        try await withGroup { group in
            let child = try shell("while :; do :; done", in: group)
            try group.freeze()
            try group.freeze()
            try await Self.wait("it stands still") {
                let before = try group.cpuNanoseconds()
                try await Task.sleep(for: .milliseconds(100))
                return try group.cpuNanoseconds() == before
            }
            let frozen = try group.cpuNanoseconds()
            try group.thaw()
            try group.thaw()
            try await Self.wait("it goes on") { try group.cpuNanoseconds() > frozen }
            try group.freeze()
            try await group.killAll(until: .now + .seconds(5))
            #expect(try await child.wait(until: .now + .seconds(5)) == .signal(SIGKILL))
        }
    }

    private static func wait(_ what: Comment, until holds: () async throws -> Bool) async throws {
        let deadline = ContinuousClock.now + .seconds(10)
        while try await !holds() {
            guard ContinuousClock.now < deadline else {
                Issue.record(what)
                return
            }
            try await Task.sleep(for: .milliseconds(2))
        }
    }

    @Test(.enabled(if: isReady, reason)) func `limits bind and usage is counted`() async throws {
        try await withGroup { group in
            try group.apply(ResourceLimits(memoryMiB: 64, cpus: 0.5, pids: 16))
            let hog = try await ChildProcess.run(
                ChildCommand("/usr/bin/python3", ["-c", "x = b'z' * (200 << 20)"], cgroup: group),
                until: .now + .seconds(20))
            #expect(hog.exit == .signal(SIGKILL))
            #expect(try group.outOfMemoryKills() > 0)
            let bomb = try await ChildProcess.run(
                ChildCommand(
                    "/bin/sh",
                    ["-c", "for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do sleep 1 & done; wait"],
                    cgroup: group),
                until: .now + .seconds(20))
            #expect(String(decoding: bomb.errors, as: UTF8.self).contains("fork"))
            #expect(try group.cpuNanoseconds() > 1_000_000)
            _ = try group.memoryBytes()
        }
    }

    @Test func `both versions and their mixture are understood`() {
        let hybrid = """
            31 24 0:27 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory
            32 24 0:28 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
            33 24 0:29 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw,nsdelegate
            """
        let mixed = CgroupLayout.parse(hybrid) { _ in [.pids] }
        #expect(
            mixed.version1 == [
                .memory: "/sys/fs/cgroup/memory", .cpu: "/sys/fs/cgroup/cpu,cpuacct",
                .cpuacct: "/sys/fs/cgroup/cpu,cpuacct",
            ])
        #expect(mixed.version2 == "/sys/fs/cgroup/unified" && mixed.obstacle == nil)
        #expect(
            Cgroup("n/x", layout: mixed).directories == [
                "/sys/fs/cgroup/cpu,cpuacct/n/x", "/sys/fs/cgroup/memory/n/x", "/sys/fs/cgroup/unified/n/x",
            ])
        let unified = "29 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw"
        #expect(CgroupLayout.parse(unified) { _ in [.memory, .cpu, .pids] }.obstacle == nil)
        #expect(CgroupLayout.parse(unified) { _ in [.cpu] }.obstacle?.contains("memory, pids") == true)
        #expect(CgroupLayout.parse("") { _ in [] }.obstacle != nil)
    }

    @Test func `version 2 is written and read by its own names`() throws {
        let scratch = try Scratch()
        let layout = CgroupLayout(version1: [:], version2: scratch.path, version2Controllers: [.memory, .cpu, .pids])
        let group = Cgroup("n/x", layout: layout)
        try group.create()
        let path = scratch.path + "/n/x/"
        for name in [
            "memory.max", "memory.high", "memory.swap.max", "memory.oom.group", "cpu.max", "cpu.weight", "pids.max",
        ] {
            try Data().write(to: URL(fileURLWithPath: path + name))
        }
        try group.apply(
            ResourceLimits(memoryMiB: 256, cpus: 1.5, cpuWeight: 300, pids: 100), memoryOverhead: 1 << 20,
            processOverhead: 10, guarded: MemoryMargins(margin: 2 << 20, reserve: 3 << 20))
        // Who passes the first is slowed down, and somebody ends a process; the second is the kernel's own.
        #expect(try TextFile.read(path + "memory.high") == "\(257 << 20)")
        #expect(try TextFile.read(path + "memory.max") == "\(262 << 20)")
        #expect(try TextFile.read(path + "cpu.weight") == "300")
        #expect(try TextFile.read(path + "memory.swap.max") == "0")
        #expect(try TextFile.read(path + "cpu.max") == "150000 100000")
        #expect(try TextFile.read(path + "pids.max") == "110")
        let readings = [
            "memory.current": "5000\n", "memory.stat": "anon 1\ninactive_file 1000\n", "cpu.stat": "usage_usec 7\n",
            "memory.events": "oom 1\noom_kill 2\n", "cgroup.procs": "12\n13\n",
        ]
        for (name, text) in readings { try Data(text.utf8).write(to: URL(fileURLWithPath: path + name)) }
        #expect(try group.memoryBytes() == 4000)
        #expect(try group.cpuNanoseconds() == 7000)
        #expect(try group.outOfMemoryKills() == 2)
        #expect(try group.processes() == [12, 13])
    }
}
