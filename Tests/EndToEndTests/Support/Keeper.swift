import Client
import Foundation
import SandboxModel

/// A program inside that keeps a state in memory only, and tells it on a loopback port.
struct Keeper {
    struct Answer: Equatable {
        var counter: Int
        var pid: Int
        var token: String
        var memoryHash: String
    }

    static let port = 7701

    private static let program = """
        import hashlib, os, secrets, socket, sys
        counter = 0
        token = secrets.token_hex(8)
        memory = os.urandom(int(sys.argv[1]) << 20)
        server = socket.create_server(("127.0.0.1", \(port)))
        print("ready", flush=True)
        while True:
            connection, _ = server.accept()
            counter += 1
            connection.sendall(f"{counter} {os.getpid()} {token} {hashlib.sha256(memory).hexdigest()}".encode())
            connection.close()
        """

    let client: NightjarClient
    let sandbox: String
    let process: UInt32

    static func start(_ client: NightjarClient, _ sandbox: String, mebibytes: Int = 16) async throws -> Keeper {
        let process = try await client.background(sandbox, ["python3", "-c", program, "\(mebibytes)"])
        try await client.output(sandbox, process.id, contains: "ready")
        return Keeper(client: client, sandbox: sandbox, process: process.id)
    }

    /// Asks it, which counts; wakes the sandbox if it sleeps.
    func ask() async throws -> Answer {
        let text = try await client.sh(sandbox, "cat </dev/tcp/127.0.0.1/\(Self.port)")
        let parts = text.split(separator: " ").map(String.init)
        guard parts.count == 4, let counter = Int(parts[0]), let pid = Int(parts[1]) else {
            throw TestFailure("the keeper answered '\(text)'")
        }
        return Answer(counter: counter, pid: pid, token: parts[2], memoryHash: parts[3])
    }
}
