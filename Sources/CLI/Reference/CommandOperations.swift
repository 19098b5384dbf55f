/// What each command does, in operations of the API. A test holds every command to an entry, every entry to operations that
/// exist, and every operation to a command or to a reason why there is none.
enum CommandOperations {
    case operations([String])
    /// Does nothing that a server would do.
    case local(String)

    static let table: [String: CommandOperations] = [
        "run": .operations(["createSandbox", "startProcess", "attach", "signalProcess", "deleteSandbox"]),
        "create": .operations(["createSandbox"]),
        "ls": .operations(["listSandboxes"]),
        "top": .operations(["listSandboxes", "getSandboxMetrics"]),
        "inspect": .operations(["getSandbox", "getSandboxMetrics"]),
        "pause": .operations(["pauseSandbox"]),
        "standby": .operations(["standbySandbox"]),
        "resume": .operations(["resumeSandbox"]),
        "stop": .operations(["stopSandbox"]),
        "rm": .operations(["listSandboxes", "deleteSandbox"]),
        "exec": .operations(["startProcess", "attach"]),
        "shell": .operations(["startProcess", "attach"]),
        "cp": .operations([
            "readFile", "writeFile", "statFile", "listFiles", "makeDirectory", "makeSymlink", "changeMode",
        ]),
        "logs": .operations(["getOutput"]),
        "ps": .operations(["listProcesses", "getProcessTable"]),
        "signal": .operations(["signalProcess"]),
        "serve": .local("is the server"),
        "audit": .operations(["listAudit", "verifyAudit"]),
        "key create": .operations(["createKey"]),
        "key ls": .operations(["listKeys"]),
        "key rm": .operations(["revokeKey"]),
        "events": .operations(["listEvents"]),
        "template ls": .operations(["listTemplates"]),
        "capabilities": .operations(["getCapabilities"]),
        "node": .operations(["getNode"]),
        "usage": .operations(["getUsage"]),
        "doctor": .local("looks at the machine itself"),
        "demo": .operations(["createSandbox", "exec", "standbySandbox", "getSandbox", "deleteSandbox"]),
        "completion": .local("prints a script"),
        "version": .operations(["getVersion"]),
    ]

    /// Operations that no command needs.
    static let withoutCommand: [String: String] = [
        "getHealth": "for load balancers and scripts",
        "getDocument": "for tools that read OpenAPI",
        "getServerMetrics": "for Prometheus",
        "getTemplate": "`template ls` shows all",
        "updateSandbox": "labels and lifecycle are given at the creation",
        "getProcess": "`ps` shows all",
        "waitForProcess": "`exec` and `logs -f` end with the process",
        "writeStdin": "`exec` and `shell` write while attached",
        "resizeTerminal": "`shell` does it while attached",
        "connectPort": "for programs that speak WebSocket",
        "headFile": "`statFile` says the same",
        "removeFile": "`exec` runs rm",
        "moveFile": "`exec` runs mv",
        "changeOwner": "`cp --user` chooses the owner",
        "watchFiles": "for programs",
    ]

    var names: [String] {
        switch self {
        case .operations(let names): names
        case .local: []
        }
    }

    var markdown: String {
        switch self {
        case .operations(let names): names.map { "[`\($0)`](api.md#\($0.lowercased()))" }.joined(separator: ", ")
        case .local(let why): "– (\(why))"
        }
    }
}
