internal import NIOCore
internal import SandboxModel
internal import Wire

/// What has to happen after the session's lock was released: decisions are taken under it, acts follow outside.
struct Effects: Sendable {
    private enum Resumption: Sendable {
        case reader(CheckedContinuation<StreamItem?, any Error>, Result<StreamItem?, SandboxError>)
        case writer(CheckedContinuation<Bool, any Error>, Result<Bool, SandboxError>)
        case collector(CheckedContinuation<Collected, any Error>, Result<Collected, SandboxError>)
        case watcher(CheckedContinuation<SandboxError?, Never>, SandboxError?)
        case reportsEnd(AsyncStream<Incident>.Continuation)
        case report(AsyncStream<Incident>.Continuation, Incident)
        case acceptor(CheckedContinuation<IncomingService?, Never>, IncomingService?)
    }

    private var resumptions: [Resumption] = []
    /// Whether frames were queued and nobody is about to send them.
    var drain = false
    /// Whether the timer may have to fire earlier than it is set to.
    var arm = false
    /// Whether the channel is to be closed.
    var disconnect = false

    mutating func resume(
        _ reader: CheckedContinuation<StreamItem?, any Error>, _ result: Result<StreamItem?, SandboxError>
    ) {
        resumptions.append(.reader(reader, result))
    }
    mutating func resume(_ writer: CheckedContinuation<Bool, any Error>, _ result: Result<Bool, SandboxError>) {
        resumptions.append(.writer(writer, result))
    }
    mutating func resume(
        _ collector: CheckedContinuation<Collected, any Error>, _ result: Result<Collected, SandboxError>
    ) {
        resumptions.append(.collector(collector, result))
    }
    mutating func tell(_ watcher: CheckedContinuation<SandboxError?, Never>, _ end: SandboxError?) {
        resumptions.append(.watcher(watcher, end))
    }
    mutating func hand(_ acceptor: CheckedContinuation<IncomingService?, Never>, _ service: IncomingService?) {
        resumptions.append(.acceptor(acceptor, service))
    }

    mutating func tell(_ report: AsyncStream<Incident>.Continuation, _ incident: Incident) {
        resumptions.append(.report(report, incident))
    }

    mutating func finish(_ report: AsyncStream<Incident>.Continuation) { resumptions.append(.reportsEnd(report)) }

    /// Resumes everybody, in the order in which it was decided.
    func resumeAll() {
        for resumption in resumptions {
            switch resumption {
            case .reader(let continuation, let result): continuation.resume(with: result)
            case .writer(let continuation, let result): continuation.resume(with: result)
            case .collector(let continuation, let result): continuation.resume(with: result)
            case .watcher(let continuation, let end): continuation.resume(returning: end)
            case .reportsEnd(let report): report.finish()
            case .report(let report, let incident): report.yield(incident)
            case .acceptor(let continuation, let service): continuation.resume(returning: service)
            }
        }
    }
}

/// A connection from inside the sandbox to a service of the host.
struct IncomingService: Sendable {
    var name: String
    var stream: UInt32
}
