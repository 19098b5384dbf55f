internal import Faults
internal import Glibc
internal import GuestClient
public import Isolation
internal import IsolationShim
internal import LinuxSystem
public import SandboxModel

extension GVisorDriver {
    public func survivors() async throws -> [ExecutionID] {
        var found: [ExecutionID] = []
        for (slot, execution) in try await recordedSlots() where !slot.id.hasPrefix(owner) {
            if let execution {
                found.append(execution)
            } else {
                // Made by a former server, wholly or in part, and given to nobody.
                await discard(slot)
            }
        }
        return found
    }

    public func reattach(_ id: ExecutionID) async throws -> any Execution {
        guard let slot = try await recordedSlots(of: id).first else {
            throw SandboxError(.driverFailed, "The sandbox's processes are gone.")
        }
        let isNew = try executions.adopt(id)
        do {
            try executions.bind(id, to: slot)
            let usesSocket = try await usesSocket()
            guard try await slot.shim.information(until: .now + .seconds(5)).state == "attached" else {
                throw SandboxError(.driverFailed, "The sandbox's processes are gone.")
            }
            try Step.reattachFound.reached()
            let guest = try await reopen(slot, usesSocket: usesSocket)
            Step.reattachOpened.passed()
            let execution = GVisorExecution(
                id: id, guest: guest, slot: slot, usesSocket: usesSocket, isNew: false,
                logger: configuration.logger)
            // The former server may have let it doze, or confined it.
            await execution.rouse()
            return execution
        } catch {
            if isNew { executions.remove(id) }
            throw driverError(error, "The sandbox cannot be reattached.")
        }
    }

    /// Opens the session of a sandbox that a former server may have left paused.
    private func reopen(_ slot: GVisorSlot, usesSocket: Bool) async throws -> GuestSession {
        try slot.thaw()
        // A shim of an older version knows no such thing, and nothing in its slot is provisional.
        try? await slot.shim.setProvisional(false, until: .now + .seconds(5))
        try Step.reattachThawed.reached()
        switch slot.mark {
        case .paused: break
        case .pausing, .resuming:
            // It died in the instant around the call: whoever answers is not paused.
            if let guest = try? await open(slot, .seconds(3)) {
                slot.mark(nil)
                return guest
            }
        case nil: return try await open(slot, .seconds(10))
        }
        // As for any resume: one that nobody paused would end, so a server after this one must know.
        slot.mark(.resuming)
        try Step.reattachMarked.reached()
        try await slot.resume(usesSocket: usesSocket, until: .now + .seconds(10))
        try Step.reattachResumed.reached()
        slot.mark(nil)
        return try await open(slot, .seconds(10))
    }

    private func open(_ slot: GVisorSlot, _ deadline: Duration) async throws -> GuestSession {
        let channel = try await slot.shim.channel(until: .now + .seconds(5))
        return try await GuestSession.open(
            descriptor: channel.take(), deadline: deadline, logger: configuration.logger)
    }

    /// Slots on disk, with the executions that they were given to.
    private func recordedSlots() async throws -> [(GVisorSlot, ExecutionID?)] {
        let (configuration, layout) = (configuration, layout)
        return try await BlockingPool.shared.run {
            let names = try ShimSlot.recorded(in: configuration.slotsDirectory, except: ["root", "probe"])
            return names.map { name in
                let slot = GVisorSlot(name, configuration: configuration, layout: layout)
                return (slot, slot.place.assignment)
            }
        }
    }

    func recordedSlots(of id: ExecutionID) async throws -> [GVisorSlot] {
        try await recordedSlots().filter { $0.1 == id }.map(\.0)
    }
}
