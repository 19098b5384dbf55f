/// What a command returns when it succeeds.
public protocol QMPAnswer: Sendable {
    /// - Throws: ``QMPError/unexpectedAnswer(command:_:)`` if the value has another form.
    init(_ value: QMPValue) throws(QMPError)
}

/// The answer of commands that return nothing.
public struct QMPNothing: QMPAnswer, Hashable {
    public init(_ value: QMPValue) throws(QMPError) {
        guard value == .object([:]) else { throw .form("more than nothing") }
    }
}

extension QMPValue: QMPAnswer {
    public init(_ value: QMPValue) throws(QMPError) { self = value }
}

/// A version of QEMU.
public struct QMPVersion: QMPAnswer, Hashable, Comparable, CustomStringConvertible {
    public var major: Int
    public var minor: Int
    public var micro: Int
    /// The distribution's part, such as ` (Debian 1:7.2+dfsg-7)`; may be empty.
    public var package: String

    public init(_ value: QMPValue) throws(QMPError) {
        let qemu = value["qemu"]
        guard let major = qemu?["major"]?.integer, let minor = qemu?["minor"]?.integer,
            let micro = qemu?["micro"]?.integer
        else { throw .form("no version") }
        self.major = Int(major)
        self.minor = Int(minor)
        self.micro = Int(micro)
        package = value["package"]?.string ?? ""
    }

    public static func < (left: QMPVersion, right: QMPVersion) -> Bool {
        (left.major, left.minor, left.micro) < (right.major, right.minor, right.micro)
    }

    public var description: String { "\(major).\(minor).\(micro)" }
}

/// What the machine does.
public struct QMPStatus: QMPAnswer, Hashable {
    /// QEMU's word: `running`, `paused`, `prelaunch`, `inmigrate`, `shutdown`, `internal-error`, ….
    public var state: String
    public var isRunning: Bool

    public init(_ value: QMPValue) throws(QMPError) {
        guard let state = value["status"]?.string, let isRunning = value["running"]?.bool else {
            throw .form("no status")
        }
        self.state = state
        self.isRunning = isRunning
    }
}

/// How far a migration is.
public struct QMPMigration: QMPAnswer, Hashable {
    /// QEMU's word: `setup`, `active`, `completed`, `failed`, …; `nil`: there was none.
    public var state: String?
    /// Why it failed.
    public var reason: String?

    public init(_ value: QMPValue) throws(QMPError) {
        guard case .object = value else { throw .form("no object") }
        state = value["status"]?.string
        reason = value["error-desc"]?.string
    }
}

/// What the guest has left itself.
public struct QMPBalloon: QMPAnswer, Hashable {
    /// Bytes.
    public var actual: Int64

    public init(_ value: QMPValue) throws(QMPError) {
        guard let actual = value["actual"]?.integer else { throw .form("no size") }
        self.actual = actual
    }
}

/// A descriptor in a set of QEMU's.
public struct QMPDescriptor: QMPAnswer, Hashable {
    public var set: Int64
    /// The number that it has there.
    public var descriptor: Int64

    public init(_ value: QMPValue) throws(QMPError) {
        guard let set = value["fdset-id"]?.integer, let descriptor = value["fd"]?.integer else {
            throw .form("no descriptor")
        }
        self.set = set
        self.descriptor = descriptor
    }

    /// A path that names the set.
    public var path: String { "/dev/fdset/\(set)" }
}

extension QMPError {
    /// An answer of the wrong form; ``named(_:)`` adds which command it answers.
    static func form(_ what: String) -> QMPError { .unexpectedAnswer(command: "", what) }

    func named(_ command: String) -> QMPError {
        guard case .unexpectedAnswer(_, let what) = self else { return self }
        return .unexpectedAnswer(command: command, what)
    }
}
