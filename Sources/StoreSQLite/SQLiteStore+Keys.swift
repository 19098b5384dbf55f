internal import Foundation
internal import GRDB
internal import SandboxModel
public import Store

extension SQLiteStore: KeyStore {
    public func keys() async throws -> [KeyRecord] {
        try await read { db in
            try Row.fetchAll(db, sql: "SELECT * FROM api_keys ORDER BY created_at, id").map(Self.key)
        }
    }

    public func put(_ key: KeyRecord) async throws {
        try await write(.device) { db in
            try db.execute(
                sql: """
                    INSERT OR REPLACE INTO api_keys (id, label, scopes, digest, created_at, expires_at) \
                    VALUES (?, ?, ?, ?, ?, ?)
                    """,
                arguments: [
                    key.id, key.label, key.scopes.map(\.rawValue).sorted().joined(separator: " "), Data(key.digest),
                    key.createdAt.unixNanoseconds, key.expiresAt?.unixNanoseconds,
                ])
        }
    }

    public func removeKey(_ id: String) async throws -> Bool {
        try await write(.device) { db in
            try db.execute(sql: "DELETE FROM api_keys WHERE id = ?", arguments: [id])
            return db.changesCount == 1
        }
    }

    private static func key(_ row: Row) throws -> KeyRecord {
        let scopes: String = row["scopes"]
        let known = scopes.split(separator: " ").map { AccessScope(rawValue: String($0)) }
        let digest: Data = row["digest"]
        // A scope that is not understood must not silently become less or more.
        guard digest.count == 32, !known.isEmpty, known.allSatisfy({ $0 != nil }) else {
            throw SandboxRow.corrupt("key")
        }
        let expiresAt: Int64? = row["expires_at"]
        return KeyRecord(
            id: row["id"], label: row["label"], scopes: Set(known.compactMap { $0 }), digest: Array(digest),
            createdAt: Timestamp(unixNanoseconds: row["created_at"]),
            expiresAt: expiresAt.map { Timestamp(unixNanoseconds: $0) })
    }
}
