import Foundation

extension TestServer {
    /// What the server occupies in memory.
    func residentMebibytes() throws -> Int {
        let server = Host.processes().first { $0.commandLine.contains("serve --data-dir \(dataDirectory) ") }
        guard let pid = server?.pid else { throw TestFailure("no server runs") }
        let status = try String(contentsOfFile: "/proc/\(pid)/status", encoding: .utf8)
        guard let kibibytes = status.firstMatch(of: /VmRSS:\s+([0-9]+) kB/).flatMap({ Int($0.1) }) else {
            throw TestFailure("the server's memory cannot be read")
        }
        return kibibytes / 1024
    }
}
