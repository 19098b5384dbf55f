internal import CLinux
internal import Glibc
internal import Wire

/// Tells the host what changes in a directory, by inotify, and in those below it if asked to.
final class Watch: StreamHandler {
    /// A directory that is watched from now on, and what was in it already.
    struct Scan: Sendable {
        var watches: [(descriptor: Int32, path: [UInt8])] = []
        var found: [[UInt8]] = []
        var failure: WireStatus?
    }

    private static let mask =
        UInt32(IN_CREATE | IN_MODIFY | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ATTRIB | IN_DELETE_SELF)
        | UInt32(IN_MOVE_SELF)
    /// How long the second half of a renaming may be missing.
    private static let moveMilliseconds: Int64 = 30

    private let root: [UInt8]
    private let isRecursive: Bool
    private let inotify: Descriptor
    private let stream: Stream
    private let loop: EventLoop
    private let pool: WorkerPool
    private let channel: Channel
    private var token: EventLoop.Token?
    private var paths: [Int32: [UInt8]] = [:]
    private var queue = WatchQueue()
    private var isScanning = false
    private var newDirectories: [[UInt8]] = []
    /// Found by a scan; their own events, which may still come, would tell them twice.
    private var alreadyTold: Set<[UInt8]> = []
    private var halfMove: (path: [UInt8], cookie: UInt32, isDirectory: Bool)?

    /// Needs an inotify instance, or throws `unsupported`.
    init(
        _ root: [UInt8], recursive: Bool, stream: Stream, loop: EventLoop, pool: WorkerPool, channel: Channel
    ) throws(WireStatus) {
        let opened = inotify_init1(Int32(IN_CLOEXEC) | Int32(IN_NONBLOCK))
        guard opened >= 0 else {
            let code: WireStatus.Code = errno == ENOSYS ? .unsupported : .failed
            throw WireStatus(code, "Nothing can be watched: \(SystemError.text(errno))", errno: errno)
        }
        inotify = Descriptor(opened)
        self.root = root
        isRecursive = recursive
        self.stream = stream
        self.loop = loop
        self.pool = pool
        self.channel = channel
    }

    func begin() {
        stream.handler = self
        scan([[]]) { [self] result in
            if let failure = result.failure { return channel.close(stream, failure) }
            adopt(result)
            guard let token = loop.add(inotify.value, .read, { [unowned self] _ in readable() }) else {
                return channel.close(stream, SystemError.status(errno, "Nothing can be watched"))
            }
            self.token = token
            channel.send(.ok, on: stream)
        }
    }

    func closed(_ stream: Stream) { stopReading() }

    func produce(limit: Int, for stream: Stream) -> Produced {
        guard limit > 0 else { return Produced(next: .wait) }
        let bytes = queue.take(limit)
        return Produced(bytes: bytes, next: queue.isEmpty ? .wait : .again)
    }

    private func stopReading() {
        if let token { loop.remove(token, inotify.value) }
        token = nil
    }

    private func tell(_ kind: WatchEvent.Kind, _ path: [UInt8], from: [UInt8] = []) {
        queue.append(WatchEvent(kind: kind, path: path, from: from))
        channel.ready(stream)
    }

    // MARK: Scans

    private func scan(_ directories: [[UInt8]], then: @escaping (Scan) -> Void) {
        isScanning = true
        let (root, recursive, inotify) = (root, isRecursive, inotify)
        pool.submit {
            var scan = Scan()
            for directory in directories { scan.add(directory, of: root, recursive: recursive, inotify) }
            return scan
        } then: { [self] result in
            isScanning = false
            if stream.isOpen { then(result) }
        }
    }

    private func adopt(_ scan: Scan) {
        for watch in scan.watches { paths[watch.descriptor] = watch.path }
    }

    /// Watches directories that have appeared. Nothing is read meanwhile, since their events could not be named.
    private func scanNewDirectories() {
        guard !newDirectories.isEmpty, !isScanning, stream.isOpen else { return }
        let directories = newDirectories
        newDirectories = []
        stopReading()
        scan(directories) { [self] result in
            adopt(result)
            for path in result.found {
                alreadyTold.insert(path)
                tell(.created, path)
            }
            if result.failure != nil { tell(.overflow, []) }
            token = loop.add(inotify.value, .read) { [unowned self] _ in readable() }
            readable()
            if !isScanning { alreadyTold = [] }
        }
    }

    // MARK: Events

    private func readable() {
        var buffer = [UInt8](repeating: 0, count: 64 * 1024)
        var turns = 16
        while turns > 0 {
            turns -= 1
            let count = buffer.withUnsafeMutableBytes { read(inotify.value, $0.baseAddress, $0.count) }
            guard count > 0 else { break }
            buffer.withUnsafeBytes { parse(UnsafeRawBufferPointer(rebasing: $0[0..<count])) }
        }
        if let cookie = halfMove?.cookie {
            loop.after(milliseconds: Watch.moveMilliseconds) { [self] in
                if stream.isOpen, halfMove?.cookie == cookie { movedAway() }
            }
        }
        scanNewDirectories()
    }

    private func parse(_ bytes: UnsafeRawBufferPointer) {
        var position = 0
        while position + 16 <= bytes.count {
            let watch = bytes.loadUnaligned(fromByteOffset: position, as: Int32.self)
            let mask = bytes.loadUnaligned(fromByteOffset: position + 4, as: UInt32.self)
            let cookie = bytes.loadUnaligned(fromByteOffset: position + 8, as: UInt32.self)
            let length = Int(bytes.loadUnaligned(fromByteOffset: position + 12, as: UInt32.self))
            guard position + 16 + length <= bytes.count else { return }
            let name = bytes[(position + 16)..<(position + 16 + length)].prefix { $0 != 0 }
            handle(watch, mask, cookie, Array(name))
            position += 16 + length
        }
    }

    private func handle(_ watch: Int32, _ mask: UInt32, _ cookie: UInt32, _ name: [UInt8]) {
        func has(_ flag: some BinaryInteger) -> Bool { mask & UInt32(truncatingIfNeeded: flag) != 0 }
        if has(IN_Q_OVERFLOW) { return lostEvents() }
        guard let directory = paths[watch] else { return }
        if has(IN_IGNORED) {
            paths[watch] = nil
            return
        }
        if has(IN_DELETE_SELF) || has(IN_MOVE_SELF) {
            if directory.isEmpty { tell(.removed, []) }
            return
        }
        // What concerns a directory itself is told by the one above it, under its name.
        if name.isEmpty, !directory.isEmpty { return }
        let path = Path.join(directory, name)
        let isDirectory = has(IN_ISDIR)
        if let half = halfMove, !(has(IN_MOVED_TO) && half.cookie == cookie) { movedAway() }
        if has(IN_MOVED_FROM) {
            halfMove = (path, cookie, isDirectory)
        } else if has(IN_MOVED_TO) {
            movedHere(path, isDirectory)
        } else if has(IN_CREATE) {
            created(path, isDirectory)
        } else if has(IN_DELETE) {
            alreadyTold.remove(path)
            tell(.removed, path)
        } else if has(IN_MODIFY) {
            tell(.modified, path)
        } else if has(IN_ATTRIB) {
            tell(.attributes, path)
        }
    }

    private func created(_ path: [UInt8], _ isDirectory: Bool) {
        // What a scan told is watched already.
        if alreadyTold.remove(path) != nil { return }
        tell(.created, path)
        if isDirectory, isRecursive { newDirectories.append(path) }
    }

    private func movedHere(_ path: [UInt8], _ isDirectory: Bool) {
        guard let half = halfMove else { return created(path, isDirectory) }
        halfMove = nil
        tell(.renamed, path, from: half.path)
        guard isDirectory else { return }
        for (watch, old) in paths where old == half.path || old.starts(with: half.path + [Path.slash]) {
            paths[watch] = path + old.dropFirst(half.path.count)
        }
    }

    /// The second half did not come: it went out of what is watched.
    private func movedAway() {
        guard let half = halfMove else { return }
        halfMove = nil
        tell(.removed, half.path)
        guard half.isDirectory else { return }
        for (watch, old) in paths where old == half.path || old.starts(with: half.path + [Path.slash]) {
            inotify_rm_watch(inotify.value, watch)
            paths[watch] = nil
        }
    }

    private func lostEvents() {
        halfMove = nil
        tell(.overflow, [])
        // New directories may be among what was lost; watching one twice does no harm.
        if isRecursive { newDirectories = [[]] }
    }

    fileprivate static func add(_ path: [UInt8], isRoot: Bool, _ inotify: Descriptor) -> Int32 {
        let mask = Watch.mask | UInt32(IN_ONLYDIR) | (isRoot ? 0 : UInt32(IN_DONT_FOLLOW))
        return path.withCPath { inotify_add_watch(inotify.value, $0, mask) }
    }
}

extension Watch.Scan {
    /// Watches a directory first and looks into it then, so that nothing can slip through between.
    fileprivate mutating func add(_ directory: [UInt8], of root: [UInt8], recursive: Bool, _ inotify: Descriptor) {
        let path = directory.isEmpty ? root : Path.join(root, directory)
        guard watch(directory, path, isRoot: directory.isEmpty, inotify), recursive else { return }
        do throws(WireStatus) {
            let walk = try TreeWalk(path, followRoot: directory.isEmpty)
            while let visit = try walk.next() {
                if visit.isLeaving { continue }
                let relative = Path.join(directory, visit.path)
                // The initial scan is of what was there before, which is no news.
                if !directory.isEmpty { found.append(relative) }
                if visit.status.isDirectory {
                    guard watch(relative, Path.join(root, relative), isRoot: false, inotify) else { return }
                }
            }
        } catch {
            // A new directory may be gone again; of the root it is an error.
            if directory.isEmpty { failure = error }
        }
    }

    /// False if there is no point in going on.
    private mutating func watch(_ relative: [UInt8], _ path: [UInt8], isRoot: Bool, _ inotify: Descriptor) -> Bool {
        let descriptor = Watch.add(path, isRoot: isRoot, inotify)
        if descriptor >= 0 {
            watches.append((descriptor, relative))
            return true
        }
        let error = errno
        if !isRoot, error == ENOENT || error == ENOTDIR || error == ELOOP { return true }
        let code: WireStatus.Code = error == ENOSYS ? .unsupported : SystemError.code(error)
        failure = WireStatus(
            code,
            error == ENOSPC
                ? "There are more directories than the sandbox's kernel watches"
                : "Cannot watch \(Path.display(path)): \(SystemError.text(error))", errno: error)
        return false
    }
}
