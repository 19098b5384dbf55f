internal import Foundation

/// Shows that something takes its time: a turning mark and the seconds on standard error, if that is a terminal. What is
/// done quickly shows nothing.
struct Spinner: Sendable {
    let text: String
    let isShown: Bool

    private static let delay = Duration.milliseconds(300)
    private static let interval = Duration.milliseconds(100)
    private static let marks: [Character] = ["|", "/", "-", "\\"]

    /// - Parameters:
    ///   - text: What is under way, for example `creating work`.
    ///   - format: JSON is for programs, which nobody watches.
    init(_ text: String, _ format: OutputFormat) {
        self.text = Human.plain(text)
        isShown =
            format == .table && TerminalMode.standardErrorIsTerminal
            && ProcessInfo.processInfo.environment["TERM"] != "dumb"
    }

    /// Runs `body`; the mark turns meanwhile and is gone afterwards.
    func during<R: Sendable>(_ body: @escaping @Sendable () async throws -> R) async throws -> R {
        guard isShown else { return try await body() }
        return try await withThrowingTaskGroup(of: R?.self) { group in
            group.addTask { try await body() }
            group.addTask {
                await turn()
                return nil
            }
            defer { group.cancelAll() }
            while let result = try await group.next() {
                if let result { return result }
            }
            throw CancellationError()
        }
    }

    private func turn() async {
        let start = ContinuousClock.now
        guard (try? await Task.sleep(for: Self.delay)) != nil else { return }
        var step = 0
        while !Task.isCancelled {
            let seconds = Double((ContinuousClock.now - start).components.seconds)
            put("\r\(Self.marks[step % Self.marks.count]) \(text)\(seconds >= 2 ? " (\(Int(seconds)) s)" : "")\u{1B}[K")
            step += 1
            try? await Task.sleep(for: Self.interval)
        }
        put("\r\u{1B}[K")
    }

    private func put(_ text: String) { FileHandle.standardError.write(Data(text.utf8)) }
}
