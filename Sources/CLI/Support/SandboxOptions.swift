internal import ArgumentParser
internal import SandboxModel

/// Reads a value of an enumeration by its name.
@Sendable
func choice<Value: RawRepresentable & CaseIterable>(_ text: String) throws -> Value where Value.RawValue == String {
    guard let value = Value(rawValue: text) else {
        throw ValidationError("'\(text)' is none of \(Value.allCases.map(\.rawValue).joined(separator: ", ")).")
    }
    return value
}

/// Options of a sandbox that is created.
struct SandboxOptions: ParsableArguments {
    @Option(help: "The template that it starts from.", completion: NameCompletion.templates)
    var template = "base"

    @Option(help: "A name makes it durable: it is kept until it is deleted.")
    var name: String?

    @Option(
        help: "gvisor, microvm (a kernel of its own) or auto. (default: what the template or the server says)",
        completion: .list(IsolationChoice.allCases.map(\.rawValue)), transform: choice)
    var isolation: IsolationChoice?

    @Option(name: [.customShort("l"), .long], help: "KEY=VALUE label; may be repeated.")
    var label: [KeyValue] = []

    @Option(help: "Seconds without activity until --on-idle happens.")
    var idleTimeout: Double?

    @Option(
        help: "What happens when it is idle: standby, stop, delete or none.",
        completion: .list(IdleAction.allCases.map(\.rawValue)), transform: choice)
    var onIdle: IdleAction?

    @Option(help: "Seconds after which it ends, whatever it does.")
    var maxAge: Double?

    @Flag(help: "Do not wake it when somebody calls it.")
    var noAutoResume = false

    @Option(help: "Upper bound of its memory in MiB.")
    var memory: Int?

    @Option(help: "Upper bound of its CPU use in cores.")
    var cpus: Double?

    @Option(help: "Upper bound of its processes and threads.")
    var pids: Int?

    @Option(help: "Upper bound of the files that it writes in MiB.")
    var disk: Int?

    @Option(help: "Its share of the CPU when there is not enough, 1 to 10000; the others have 100.")
    var cpuWeight: Int?

    @Option(help: "Files that one of its processes may have open.")
    var openFiles: Int?

    @Option(help: "Seconds after which a command is ended that names no timeout.")
    var execTimeout: Double?

    @Option(help: "Bytes of each process's output that are kept for later readers.")
    var retainedOutput: Int?

    func spec() -> SandboxSpec {
        var spec = SandboxSpec(name: name, template: template, labels: KeyValue.dictionary(label))
        spec.isolation = isolation
        spec.lifecycle.idleTimeout = idleTimeout ?? spec.lifecycle.idleTimeout
        spec.lifecycle.onIdle = onIdle ?? spec.lifecycle.onIdle
        spec.lifecycle.maxAge = maxAge
        spec.lifecycle.autoResume = !noAutoResume
        spec.limits = LimitsSpec(
            memoryMiB: memory, cpus: cpus, cpuWeight: cpuWeight, pids: pids, diskMiB: disk,
            openFiles: openFiles, execTimeout: execTimeout, retainedOutput: retainedOutput)
        return spec
    }
}
