import NIOCore
import SandboxModel
import Testing
import Wire

@testable import GuestClient

/// Waits that are too long for a test, played on the state with a clock that is ahead.
struct StateTests {
    @Test func `a guest that does not keep the timeout of a process is not waited for`() async throws {
        let late = await code {
            _ = try await withCheckedThrowingContinuation { continuation in
                var (state, effects) = (SessionState(), Effects())
                guard let id = try? state.reserve(.process) else { return }
                let now = NIODeadline.now()
                let collector = Collector(limit: 10, timeLimit: .seconds(40), continuation: continuation)
                state.collect(id, payload: [], input: nil, deadline: now + .seconds(5), collector: collector, &effects)
                let started = Frame(.message, stream: id, payload: Reply.started(.test(1)).encoded())
                #expect(throws: Never.self) { try state.receive(started, now: now, &effects) }
                state.expire(at: now + .seconds(39), &effects)
                #expect(state.openStreams == 1)
                state.expire(at: now + .seconds(41), &effects)
                #expect(state.openStreams == 0)
                effects.resumeAll()
            }
        }
        #expect(late == .deadlineExceeded)
    }

    @Test func `half a reply on a stream that the guest then closes is not counted for ever`() async throws {
        let collected = try await withCheckedThrowingContinuation { continuation in
            var (state, effects) = (SessionState(), Effects())
            guard let id = try? state.reserve(.process) else { return }
            let now = NIODeadline.now()
            let collector = Collector(limit: 10, timeLimit: nil, continuation: continuation)
            state.collect(id, payload: [], input: nil, deadline: now + .seconds(5), collector: collector, &effects)
            let half = Frame(.message, stream: id, flags: .more, payload: [1, 2, 3])
            let close = Frame(.close, stream: id, payload: WireStatus(.failed).encoded())
            #expect(throws: Never.self) { try state.receive(half, now: now, &effects) }
            #expect(state.heldMessages == 3)
            #expect(throws: Never.self) { try state.receive(close, now: now, &effects) }
            #expect(state.heldMessages == 0)
            effects.resumeAll()
        }
        #expect(collected.status?.code == .failed)
    }

    @Test func `a transfer that stands still is given up, one that goes on is not`() async throws {
        let now = NIODeadline.now()
        let first = Frame(.message, stream: 1, payload: Reply.ok.encoded())
        let data = Frame(.data, stream: 1, payload: [1])
        let item = try await withCheckedThrowingContinuation { continuation in
            var (state, effects) = (SessionState(), Effects())
            guard let id = try? state.reserve(.download) else { return }
            state.announce(id, payload: [], deadline: now + .seconds(5), &effects)
            #expect(throws: Never.self) { try state.receive(first, now: now, &effects) }
            _ = state.streams[id]?.inbox.popFirst()
            state.take(id, continuation, stall: now + .seconds(60), &effects)
            #expect(throws: Never.self) { try state.receive(data, now: now + .seconds(59), &effects) }
            state.expire(at: now + .seconds(61), &effects)
            #expect(state.openStreams == 1)
            effects.resumeAll()
        }
        guard case .data([1], _)? = item else {
            Issue.record("no data")
            return
        }
        let late = await code {
            _ = try await withCheckedThrowingContinuation { continuation in
                var (state, effects) = (SessionState(), Effects())
                guard let id = try? state.reserve(.download) else { return }
                state.announce(id, payload: [], deadline: now + .seconds(5), &effects)
                #expect(throws: Never.self) { try state.receive(first, now: now, &effects) }
                _ = state.streams[id]?.inbox.popFirst()
                state.take(id, continuation, stall: now + .seconds(60), &effects)
                state.expire(at: now + .seconds(61), &effects)
                #expect(state.openStreams == 0)
                effects.resumeAll()
            }
        }
        #expect(late == .deadlineExceeded)
    }
}
