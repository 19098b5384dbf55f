internal import Glibc
internal import SandboxModel
internal import Synchronization

/// The mode and size of the terminal that this process runs in.
enum TerminalMode {
    private static let saved = Mutex<termios?>(nil)

    static var standardInputIsTerminal: Bool { isatty(STDIN_FILENO) == 1 }
    static var standardOutputIsTerminal: Bool { isatty(STDOUT_FILENO) == 1 }
    static var standardErrorIsTerminal: Bool { isatty(STDERR_FILENO) == 1 }

    /// Every key goes through as it is, until ``restore()``.
    static func makeRaw() {
        saved.withLock { saved in
            var mode = termios()
            guard saved == nil, tcgetattr(STDIN_FILENO, &mode) == 0 else { return }
            saved = mode
            cfmakeraw(&mode)
            tcsetattr(STDIN_FILENO, TCSADRAIN, &mode)
        }
    }

    /// Puts the terminal back to what it was; nothing to do if it was not changed.
    static func restore() {
        saved.withLock { saved in
            guard var mode = saved else { return }
            saved = nil
            tcsetattr(STDIN_FILENO, TCSADRAIN, &mode)
        }
    }

    /// Columns and rows; 80 by 24 if there is no terminal to ask.
    static func size() -> ExecRequest.Terminal {
        var size = winsize()
        for descriptor in [STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO]
        where ioctl(descriptor, UInt(TIOCGWINSZ), &size) == 0 && size.ws_col > 0 && size.ws_row > 0 {
            return .init(columns: min(Int(size.ws_col), 1000), rows: min(Int(size.ws_row), 1000))
        }
        return .init(columns: 80, rows: 24)
    }
}
