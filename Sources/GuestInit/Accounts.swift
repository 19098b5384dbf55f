internal import CLinux
internal import Glibc
internal import Wire

/// Who a process runs as, or who owns a file.
struct Account: Sendable, Hashable {
    var name: String
    var uid: UInt32
    var gid: UInt32
    /// All groups, `gid` among them.
    var groups: [UInt32]
    var home: String
    var shell: String
}

/// `/etc/passwd` and `/etc/group`, read by ourselves: glibc's lookups load plugins, which a static binary cannot.
struct AccountFiles: Sendable {
    struct User: Sendable, Hashable {
        var name: String
        var uid: UInt32
        var gid: UInt32
        var home: String
        var shell: String
    }
    struct Group: Sendable, Hashable {
        var name: String
        var gid: UInt32
        var members: [String]
    }

    var users: [User] = []
    var groups: [Group] = []

    /// Lines that cannot be understood are skipped.
    init(passwd: [UInt8], group: [UInt8]) {
        for fields in AccountFiles.lines(passwd) where fields.count >= 7 {
            guard let uid = UInt32(fields[2]), let gid = UInt32(fields[3]), !fields[0].isEmpty else { continue }
            users.append(User(name: fields[0], uid: uid, gid: gid, home: fields[5], shell: fields[6]))
        }
        for fields in AccountFiles.lines(group) where fields.count >= 3 {
            guard let gid = UInt32(fields[2]), !fields[0].isEmpty else { continue }
            let members = fields.count > 3 ? fields[3].split(separator: ",").map(String.init) : []
            groups.append(Group(name: fields[0], gid: gid, members: members))
        }
    }

    private static func lines(_ bytes: [UInt8]) -> [[String]] {
        bytes.split(separator: UInt8(ascii: "\n")).map { line in
            line.split(separator: UInt8(ascii: ":"), omittingEmptySubsequences: false)
                .map { String(decoding: $0, as: UTF8.self) }
        }
    }

    /// Resolves `name`, `uid`, `name:group` or `uid:gid`; empty is root.
    func account(_ text: String) throws(WireStatus) -> Account {
        let parts = text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false).map(String.init)
        var account = try user(parts.first ?? "")
        if parts.count == 2 {
            account.gid = try group(parts[1])
            account.groups = [account.gid]
        }
        return account
    }

    private func user(_ text: String) throws(WireStatus) -> Account {
        let known =
            text.isEmpty
            ? users.first { $0.uid == 0 }
            : users.first { $0.name == text } ?? UInt32(text).flatMap { uid in users.first { $0.uid == uid } }
        if let known {
            var gids = [known.gid]
            for group in groups where group.members.contains(known.name) && !gids.contains(group.gid) {
                gids.append(group.gid)
            }
            return Account(
                name: known.name, uid: known.uid, gid: known.gid, groups: gids, home: known.home, shell: known.shell)
        }
        if text.isEmpty || text == "root" {
            return Account(name: "root", uid: 0, gid: 0, groups: [0], home: "/root", shell: "/bin/sh")
        }
        // The largest number means "unchanged" to the kernel, which here would mean root.
        guard let uid = UInt32(text), uid != .max else {
            throw WireStatus(.noSuchUser, "There is no user \(Path.display(text)) in the sandbox")
        }
        return Account(name: text, uid: uid, gid: uid, groups: [uid], home: "/", shell: "/bin/sh")
    }

    private func group(_ text: String) throws(WireStatus) -> UInt32 {
        if let group = groups.first(where: { $0.name == text }) { return group.gid }
        guard let gid = UInt32(text), gid != .max else {
            throw WireStatus(.noSuchUser, "There is no group \(Path.display(text)) in the sandbox")
        }
        return gid
    }
}

/// Reads the account files again only when they changed.
final class Accounts {
    private struct Stamp: Equatable {
        var inode: UInt64
        var size: Int64
        var modified: Int64

        init(_ path: String) {
            var status = stat()
            let found = stat(path, &status) == 0
            inode = found ? UInt64(status.st_ino) : 0
            size = found ? Int64(status.st_size) : -1
            modified = found ? nj_modified_nanoseconds(&status) : 0
        }
    }

    private var stamps: [Stamp] = []
    private var files = AccountFiles(passwd: [], group: [])

    func resolve(_ text: String) throws(WireStatus) -> Account {
        let current = [Stamp("/etc/passwd"), Stamp("/etc/group")]
        if current != stamps {
            files = AccountFiles(
                passwd: SmallFile.read("/etc/passwd") ?? [], group: SmallFile.read("/etc/group") ?? [])
            stamps = current
        }
        return try files.account(text)
    }
}
