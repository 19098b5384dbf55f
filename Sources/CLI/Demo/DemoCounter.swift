internal import Foundation

/// The program that the demonstration leaves running in its sandbox, and what it answers.
enum DemoCounter {
    static let path = "/workspace/counter.py"
    static let logPath = "/workspace/counter.txt"
    static let port = 7700
    static let memoryMiB = 64

    /// Keeps a counter, a random token and 64 MiB of random bytes in memory only; the file is a log of the counter.
    static let program = """
        import hashlib, os, secrets, socket
        counter = 0
        token = secrets.token_hex(8)
        memory = os.urandom(\(memoryMiB) << 20)
        server = socket.create_server(("127.0.0.1", \(port)))
        print("ready", flush=True)
        while True:
            connection, _ = server.accept()
            counter += 1
            with open("\(logPath)", "a") as log:
                log.write(f"{counter}\\n")
            answer = f"{counter} {os.getpid()} {token} {hashlib.sha256(memory).hexdigest()}\\n"
            connection.sendall(answer.encode())
            connection.close()
        """

    /// Asks the running program; starts nothing that could keep a state.
    static let call = ["bash", "-c", "cat </dev/tcp/127.0.0.1/\(port)"]

    static let callAsTyped = "bash -c '\(call[2])'"

    struct Answer: Sendable, Equatable {
        var counter: Int
        var pid: Int
        var token: String
        var memoryHash: String

        init?(_ line: String) {
            let parts = line.split(whereSeparator: \.isWhitespace).map(String.init)
            guard parts.count == 4, let counter = Int(parts[0]), let pid = Int(parts[1]) else { return nil }
            self.counter = counter
            self.pid = pid
            token = parts[2]
            memoryHash = parts[3]
        }
    }
}
