import Foundation
import Glibc
import SandboxModel

extension TestServer {
    private func names(in directory: String) -> [String] {
        (try? FileManager.default.contentsOfDirectory(atPath: directory)) ?? []
    }

    /// Slots on the machine, by whether they belong to a sandbox.
    private func slots(assigned: Bool) -> [String] {
        names(in: runDirectory + "/gvisor").filter { $0 != "root" && $0 != "probe" }.filter {
            FileManager.default.fileExists(atPath: "\(runDirectory)/gvisor/\($0)/assigned") == assigned
        }
    }

    func assignedSlots() -> [String] { slots(assigned: true) }

    /// Processes of slots that belong to a sandbox.
    func sandboxProcesses() -> [Host.Entry] {
        let slots = assignedSlots().map { "\(runDirectory)/gvisor/\($0)/" }
        return Host.processes().filter { process in slots.contains { process.commandLine.contains($0) } }
    }

    /// What the machine has of this server beyond what these sandboxes need.
    func leaks(expecting sandboxes: [SandboxResource]) async throws -> [String] {
        noteSlots()
        var found = mounts()
        let ids = Set(sandboxes.map(\.id.rawValue))
        let directories = Set(names(in: dataDirectory + "/sandboxes"))
        found += directories.symmetricDifference(ids).map { "directory \($0)" }
        found += names(in: dataDirectory + "/trash").map { "trash \($0)" }
        for sandbox in sandboxes {
            let images = names(in: "\(dataDirectory)/sandboxes/\(sandbox.id)/checkpoint")
            let isRight = sandbox.state == .standby ? images.count == 1 : images.isEmpty
            if !isRight || images.contains(where: { $0.hasSuffix(".new") }) {
                found.append("images \(images) of a sandbox that is \(sandbox.state)")
            }
        }
        let awake = sandboxes.filter { $0.state == .running || $0.state == .paused }.count
        let assigned = assignedSlots()
        if assigned.count != awake { found.append("\(assigned.count) slots of \(awake) sandboxes that are awake") }
        let spare = slots(assigned: false)
        if spare.count > 2 { found.append("\(spare.count) slots without a sandbox") }
        let known = Set(assigned + spare)
        found += cgroups().filter { path in !known.contains { path.hasSuffix("/" + $0) } }
        found += processes().filter { line in
            line.contains("/gvisor/") && !known.contains { line.contains("/gvisor/\($0)") }
        }
        return found
    }
}
