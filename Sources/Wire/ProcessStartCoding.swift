extension ProcessStart {
    func encode(_ w: inout WireWriter) {
        w.strings(arguments)
        w.list(environment.sorted { $0.key < $1.key }) {
            $0.string($1.key)
            $0.string($1.value)
        }
        w.string(directory)
        w.string(user)
        w.u8(input.rawValue)
        w.optional(terminal) {
            $0.u16($1.columns)
            $0.u16($1.rows)
        }
        w.u64(timeoutMilliseconds)
        w.list(limits) {
            $0.u8($1.resource)
            $0.u64($1.soft)
            $0.u64($1.hard)
        }
        w.u32(retainedBytes)
        w.string(tag)
        w.bool(attach)
        w.bool(killOnDetach)
    }

    init(_ r: inout WireReader) throws(WireError) {
        self.init(arguments: try r.strings())
        let pairs = try r.list(ofAtLeast: 8) { (r: inout WireReader) throws(WireError) -> (String, String) in
            (try r.string(), try r.string())
        }
        environment = Dictionary(pairs, uniquingKeysWith: { $1 })
        directory = try r.string()
        user = try r.string()
        guard let input = ProcessStart.Input(rawValue: try r.u8()) else { throw .badMessage("unknown input mode") }
        self.input = input
        terminal = try r.optional { (r: inout WireReader) throws(WireError) -> ProcessStart.Terminal in
            .init(columns: try r.u16(), rows: try r.u16())
        }
        timeoutMilliseconds = try r.u64()
        limits = try r.list(ofAtLeast: 17) { (r: inout WireReader) throws(WireError) -> ProcessStart.Limit in
            .init(resource: try r.u8(), soft: try r.u64(), hard: try r.u64())
        }
        retainedBytes = try r.u32()
        tag = try r.string()
        attach = try r.bool()
        killOnDetach = try r.bool()
    }
}
