internal import Metrics
internal import SandboxModel

#if canImport(Glibc)
internal import Glibc
#endif

/// One line for each metric that this process always has.
enum MetricsHelp {
    static let lines = [
        "nightjar_http_requests_total": "HTTP requests answered, by route, method and status.",
        "nightjar_http_request_duration_seconds": "From a request's head to its answer.",
        "nightjar_admissions_total": "Creations, wakes and starts: let in, or the error that they were refused with.",
        "nightjar_admission_wait_seconds": "How long those waited that were let in.",
        "nightjar_admission_waiting": "Starts that wait for their turn.",
        "nightjar_admission_starting": "Starts under way.",
        "nightjar_evictions_total": "Attempts to put an idle sandbox to standby to make room, by outcome.",
        "nightjar_reserved_memory_bytes": "Memory limits of all sandboxes with processes.",
        "nightjar_reserved_cpus": "Cores that all sandboxes with processes may use.",
        "nightjar_reserved_sandboxes": "Sandboxes with processes.",
        "nightjar_budget_memory_bytes": "What the memory limits may reach: capacity times overcommitment.",
        "nightjar_budget_cpus": "What the cores may reach.",
        "nightjar_budget_sandboxes": "How many sandboxes may have processes.",
        "nightjar_usage_cpu_seconds_total": "CPU time of all sandboxes, since the server started.",
        "nightjar_usage_running_seconds_total": "Seconds that sandboxes had processes, all together.",
        "nightjar_usage_memory_byte_seconds_total": "RAM that sandboxes occupied, times seconds.",
        "nightjar_standby_bytes": "Memory of sleeping sandboxes on disk.",
        "nightjar_build_info": "Always 1; the label is the version.",
        "nightjar_process_resident_memory_bytes": "Resident memory of the server itself.",
        "nightjar_process_open_descriptors": "Open file descriptors of the server itself.",
        "nightjar_process_cpu_seconds": "CPU time of the server itself.",
    ]
}

/// The server's own usage, read when somebody asks.
enum ProcessGauges {
    static func update() {
        Gauge(label: "nightjar_build_info", dimensions: [("version", NightjarVersion.current)]).record(1)
        var usage = rusage()
        if getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage) == 0 {
            let seconds = Double(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec)
            let microseconds = Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec)
            Gauge(label: "nightjar_process_cpu_seconds").record(seconds + microseconds / 1_000_000)
        }
        if let pages = firstNumbers("/proc/self/statm").dropFirst().first {
            Gauge(label: "nightjar_process_resident_memory_bytes").record(pages * Int64(sysconf(Int32(_SC_PAGESIZE))))
        }
        Gauge(label: "nightjar_process_open_descriptors").record(Int64(openDescriptors()))
    }

    private static func firstNumbers(_ path: String) -> [Int64] {
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { return [] }
        defer { close(descriptor) }
        var buffer = [UInt8](repeating: 0, count: 256)
        let count = read(descriptor, &buffer, buffer.count)
        return String(decoding: buffer.prefix(max(0, count)), as: UTF8.self).split(separator: " ").compactMap {
            Int64($0)
        }
    }

    private static func openDescriptors() -> Int {
        guard let directory = opendir("/proc/self/fd") else { return 0 }
        defer { closedir(directory) }
        var count = 0
        while readdir(directory) != nil { count += 1 }
        // ".", ".." and the descriptor of the listing itself.
        return max(0, count - 3)
    }
}
