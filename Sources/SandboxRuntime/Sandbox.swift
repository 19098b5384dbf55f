internal import SandboxImages
internal import SandboxModel
internal import Store
internal import Synchronization
internal import Wire

/// One sandbox: what never changes about it, and its machine.
final class Sandbox: Sendable {
    let id: SandboxID
    let name: String?
    let createdAt: Timestamp
    /// When it was created, on the clock that never jumps.
    private let born: Moment
    let tier: String
    let templateName: String
    let templateVersion: String
    let limits: ResourceLimits
    /// Known once the template was read; a sandbox cannot run before.
    let template: Mutex<Prepared?>
    let machine: Mutex<SandboxMachine>
    /// When its counters were read last, and of which incarnation.
    let lastMetered = Mutex<(of: ExecutionID, at: Moment)?>(nil)
    /// What the guest said of itself last, of which incarnation and when.
    let lastMetrics = Mutex<(of: ExecutionID, at: Moment, value: GuestMetrics)?>(nil)

    /// - Parameter wall: The time of day at `now`, to place what the record says.
    init(
        record: SandboxRecord, phase: SandboxMachine.Phase, template: Prepared? = nil, now: Moment, wall: Timestamp
    ) {
        let moment = { (then: Timestamp) in now.advanced(by: -max(0, wall.seconds(since: then))) }
        id = record.id
        name = record.spec.value.name
        createdAt = record.createdAt
        born = moment(record.createdAt)
        tier = record.isolation
        templateName = record.spec.value.template
        templateVersion = record.templateVersion
        limits = ResourceLimits(record.spec.value.limits)
        self.template = Mutex(template)
        machine = Mutex(
            SandboxMachine(
                phase: phase, record: record, now: now, changedAt: moment(record.status.changedAt)))
    }

    /// What processes get if the request says nothing.
    var defaults: GuestDefaults {
        template.withLock { $0?.defaults } ?? GuestDefaults(user: "", directory: "", environment: [:])
    }

    var durable: Bool { name != nil }

    var state: SandboxState { machine.withLock { $0.state } }

    /// Whether it has reached its maximal age. A time of day that jumps makes nothing older or younger.
    func isExpired(_ lifecycle: LifecyclePolicy, at now: Moment) -> Bool {
        lifecycle.maxAge.map { now.seconds(since: born) >= $0 } ?? false
    }

    /// As the API shows it.
    func resource(clock: any RuntimeClock) -> SandboxResource {
        let machine = machine.withLock { $0 }
        let (now, moment) = (clock.now, clock.moment)
        let spec = machine.spec.value
        let status = machine.status
        let state = machine.state
        let verdict = state == .running ? machine.idle.verdict(spec.lifecycle) : nil
        // A moment as the time of day.
        let day = { (then: Moment) in now.adding(seconds: then.seconds(since: moment)) }
        var lastActive = status.lastActiveAt
        if state == .running {
            lastActive = machine.idle.activities.isEmpty ? max(lastActive, day(machine.idle.idleSince)) : now
        }
        return SandboxResource(
            id: id, name: name, durable: durable, state: state, awakeBecause: verdict?.reasons ?? [],
            template: templateName, templateVersion: templateVersion, isolation: tier, labels: spec.labels,
            lifecycle: spec.lifecycle, limits: limits, network: spec.network, createdAt: createdAt,
            stateChangedAt: status.changedAt, lastActiveAt: min(lastActive, now), idleAt: verdict?.idleAt.map(day),
            expiresAt: spec.lifecycle.maxAge.map { createdAt.adding(seconds: $0) }, wakes: status.wakes,
            checkpointBytes: state == .standby ? status.checkpoint?.bytes : nil, problem: status.problem)
    }
}

/// A template as one sandbox uses it.
struct Prepared: Sendable {
    var rootfs: String
    var defaults: GuestDefaults

    init(_ template: Template, _ spec: SandboxSpec) {
        rootfs = template.rootfs
        defaults = GuestDefaults(
            user: template.resource.defaultUser, directory: template.resource.workingDirectory,
            environment: template.resource.environment.merging(spec.environment) { $1 },
            timeout: spec.limits.execTimeout, retainedOutput: ResourceLimits(spec.limits).retainedOutput)
    }
}
