internal import Foundation
internal import IsolationShim
internal import LinuxSystem
internal import SandboxModel

/// The control socket of one sandbox process: a JSON object per call and one per answer, descriptors beside the call.
///
/// It is private to runsc's version. Checked against 20240729.
struct RunscControl {
    let path: String

    private struct Answer: Decodable {
        var success: Bool
        var err: String?
    }

    /// Makes one call on a connection of its own.
    ///
    /// - Parameters:
    ///   - argument: JSON.
    ///   - descriptors: They stay the caller's.
    /// - Throws: ``SandboxError`` with `driver_failed`, `deadline_exceeded` or `cancelled`.
    func call(
        _ method: String, _ argument: String, descriptors: [FileDescriptor] = [],
        until deadline: ContinuousClock.Instant
    ) async throws {
        let answer: Answer
        do {
            let socket = try UnixSocket.connect(path)
            let request = "{\"method\":\"\(method)\",\"arg\":\(argument)}"
            try await socket.send(Array(request.utf8), descriptors: descriptors, until: deadline)
            answer = try await receive(from: socket, until: deadline)
        } catch let error as SandboxError {
            throw error
        } catch {
            throw SandboxError(.driverFailed, "gVisor's sandbox process does not answer.", cause: error)
        }
        guard answer.success else {
            let name = method.split(separator: ".").last ?? ""
            throw SandboxError(
                .driverFailed, "gVisor refused the call \(name).", cause: Complaint(answer.err ?? "no reason given"))
        }
    }

    private func receive(from socket: UnixSocket, until deadline: ContinuousClock.Instant) async throws -> Answer {
        var bytes: [UInt8] = []
        while bytes.count < 1 << 20 {
            let part = try await socket.receive(until: deadline).bytes
            bytes += part
            if let answer = try? JSONDecoder().decode(Answer.self, from: Data(bytes)) { return answer }
            if part.isEmpty { throw Complaint("the connection closed after \(bytes.count) bytes of an answer") }
        }
        throw Complaint("an answer without end")
    }

    /// Addresses and routes of the loopback, which runsc's own start and restore commands set up.
    static let loopback = """
        {"LoopbackLinks":[{"Name":"lo","Addresses":[{"Address":"127.0.0.1","PrefixLen":8},\
        {"Address":"::1","PrefixLen":128}],"Routes":[{"Destination":{"IP":"127.0.0.0","Mask":"/wAAAA=="}},\
        {"Destination":{"IP":"::1","Mask":"/////////////////////w=="}}]}]}
        """
}
