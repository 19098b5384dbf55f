// swift-tools-version: 6.2
import PackageDescription

// The module graph is one-way; `scripts/check-modules` compares this manifest with the table in docs/architecture.md.

let swiftSettings: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .enableUpcomingFeature("ExistentialAny"),
    .enableUpcomingFeature("InternalImportsByDefault"),
    .enableUpcomingFeature("MemberImportVisibility"),
]

func module(_ name: String, _ dependencies: [Target.Dependency] = [], exclude: [String] = []) -> Target {
    .target(name: name, dependencies: dependencies, exclude: exclude, swiftSettings: swiftSettings)
}

func tool(_ name: String, path: String, _ dependencies: [Target.Dependency]) -> Target {
    .executableTarget(name: name, dependencies: dependencies, path: path, swiftSettings: swiftSettings)
}

func tests(_ name: String, _ dependencies: [Target.Dependency] = [], resources: [Resource] = []) -> Target {
    .testTarget(
        name: name, dependencies: dependencies, path: "Tests/\(name)", resources: resources,
        swiftSettings: swiftSettings)
}

extension Target.Dependency {
    static let hummingbird = product(name: "Hummingbird", package: "hummingbird")
    static let hummingbirdCore = product(name: "HummingbirdCore", package: "hummingbird")
    static let grdb = product(name: "GRDB", package: "GRDB.swift")
    static let arguments = product(name: "ArgumentParser", package: "swift-argument-parser")
    static let logging = product(name: "Logging", package: "swift-log")
    static let metrics = product(name: "Metrics", package: "swift-metrics")
    static let coreMetrics = product(name: "CoreMetrics", package: "swift-metrics")
    static let nioCore = product(name: "NIOCore", package: "swift-nio")
    static let nioPosix = product(name: "NIOPosix", package: "swift-nio")
    static let nioHTTP1 = product(name: "NIOHTTP1", package: "swift-nio")
    static let nioWebSocket = product(name: "NIOWebSocket", package: "swift-nio")
    static let nioFoundation = product(name: "NIOFoundationCompat", package: "swift-nio")
    static let httpTypes = product(name: "HTTPTypes", package: "swift-http-types")
    static let nioHTTPTypes = product(name: "NIOHTTPTypes", package: "swift-nio-extras")
    static let nioHTTPTypesHTTP1 = product(name: "NIOHTTPTypesHTTP1", package: "swift-nio-extras")
    static let lifecycle = product(name: "ServiceLifecycle", package: "swift-service-lifecycle")
    static let unixSignals = product(name: "UnixSignals", package: "swift-service-lifecycle")
    static let crypto = product(name: "Crypto", package: "swift-crypto")
    static let yams = product(name: "Yams", package: "Yams")
}

let package = Package(
    name: "nightjar",
    platforms: [.macOS(.v26)],
    products: [
        .executable(name: "nightjar", targets: ["nightjar"]),
        .executable(name: "nightjar-init", targets: ["nightjar-init"]),
        .executable(name: "nightjar-shim", targets: ["nightjar-shim"]),
    ],
    dependencies: [
        .package(url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1"),
        .package(url: "https://github.com/groue/GRDB.swift", exact: "7.10.0"),
        .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
        .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
        .package(url: "https://github.com/apple/swift-metrics", exact: "2.13.0"),
        .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-extras", exact: "1.35.2"),
        .package(url: "https://github.com/apple/swift-http-types", exact: "1.8.0"),
        .package(url: "https://github.com/apple/swift-crypto", exact: "4.5.2"),
        .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
        .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
    ],
    targets: [
        // Ground
        .target(name: "CLinux"),
        module("Wire"),
        module("SandboxModel"),
        module("LinuxSystem", ["SandboxModel", "CLinux"]),
        module("QMP", ["LinuxSystem", "SandboxModel"]),
        module("MachineMemory", ["LinuxSystem", "SandboxModel", "CLinux"]),
        module("Faults", ["SandboxModel"]),
        // Guest and shim: static, without Foundation and NIO
        module("GuestInit", ["Wire", "CLinux"]),
        module("Shim", ["CLinux"]),
        tool("nightjar-init", path: "Sources/nightjar-init", ["GuestInit"]),
        tool("nightjar-shim", path: "Sources/nightjar-shim", ["Shim"]),
        // Parts
        module("GuestClient", ["Wire", "SandboxModel", .nioCore, .nioPosix, .logging]),
        module("Isolation", ["SandboxModel", "GuestClient"]),
        module("IsolationShim", ["Isolation", "LinuxSystem", "SandboxModel", "Shim", "Faults"]),
        module(
            "IsolationGVisor",
            [
                "Isolation", "IsolationShim", "GuestClient", "LinuxSystem", "SandboxModel", "Shim", "Faults", .logging,
            ]),
        module(
            "IsolationMicroVM",
            [
                "Isolation", "IsolationShim", "QMP", "GuestClient", "LinuxSystem", "SandboxModel", "Shim", .logging,
            ]),
        module("SandboxStorage", ["SandboxModel", "LinuxSystem", "Faults"]),
        module("SandboxImages", ["SandboxModel", "SandboxStorage"]),
        module("Store", ["SandboxModel"]),
        module("StoreSQLite", ["Store", "SandboxModel", "Faults", .grdb]),
        module("Access", ["SandboxModel", "Store", .logging, .crypto]),
        // Logic
        module(
            "SandboxRuntime",
            [
                "SandboxModel", "Isolation", "GuestClient", "SandboxStorage", "SandboxImages", "Store", "Wire",
                "Faults", .logging,
                .metrics, .lifecycle,
            ]),
        // Adapters
        module(
            "HTTPKit",
            [
                "Access", "SandboxModel", .hummingbird, .hummingbirdCore, .nioCore, .nioPosix, .nioHTTP1,
                .nioWebSocket, .nioFoundation, .httpTypes, .nioHTTPTypes, .nioHTTPTypesHTTP1, .logging, .metrics,
                .coreMetrics,
            ]),
        module(
            "API",
            [
                "Access", "HTTPKit", "SandboxModel", "SandboxRuntime", "GuestClient", "Wire", .hummingbird, .httpTypes,
                .nioCore, .logging,
            ],
            exclude: ["openapi.yaml"]),
        // Composition root and client
        module(
            "Server",
            [
                "API", "Access", "HTTPKit", "SandboxModel", "SandboxRuntime", "SandboxStorage", "SandboxImages",
                "Store", "StoreSQLite", "Isolation", "IsolationGVisor", "IsolationMicroVM", "LinuxSystem",
                "GuestClient", "Faults",
                .hummingbird,
                .hummingbirdCore, .logging,
                .metrics,
                .coreMetrics, .lifecycle, .unixSignals, .nioCore, .nioPosix, .crypto,
            ]),
        module(
            "Client",
            [
                "SandboxModel", .nioCore, .nioPosix, .nioHTTP1, .nioWebSocket, .nioFoundation,
            ]),
        module("CLI", ["Client", "SandboxModel", "Server", "LinuxSystem", .arguments, .logging]),
        tool("nightjar", path: "Sources/nightjar", ["CLI"]),
    ]
)

// Building all test targets takes minutes; NJ_TESTS=WireTests,GuestInitTests leaves only those in the manifest.
let testTargets: [Target] = [
    tests("WireTests", ["Wire"]),
    tests("SandboxModelTests", ["SandboxModel"]),
    tests("LinuxSystemTests", ["LinuxSystem", "SandboxModel"]),
    tests("QMPTests", ["QMP", "LinuxSystem", "SandboxModel"]),
    tests("MachineMemoryTests", ["MachineMemory", "QMP", "LinuxSystem", "SandboxModel", "CLinux"]),
    tests("GuestInitTests", ["GuestInit", "Wire", "CLinux"]),
    tests("GuestClientTests", ["GuestClient", "Wire", "SandboxModel", "LinuxSystem", .nioCore, .nioPosix, .logging]),
    tests(
        "IsolationGVisorTests",
        ["IsolationGVisor", "Isolation", "IsolationShim", "GuestClient", "LinuxSystem", "SandboxModel", .logging]),
    tests(
        "IsolationMicroVMTests",
        [
            "IsolationMicroVM", "Isolation", "IsolationShim", "GuestClient", "LinuxSystem", "SandboxModel",
            "SandboxStorage", "Shim", "Wire", .logging,
        ]),
    tests("StoreTests", ["Store", "StoreSQLite", "SandboxModel"]),
    tests("AccessTests", ["Access", "Store", "StoreSQLite", "SandboxModel", .logging]),
    tests(
        "SandboxRuntimeTests",
        [
            "SandboxRuntime", "Store", "StoreSQLite", "Isolation", "GuestClient", "SandboxModel", "SandboxStorage",
            "SandboxImages", "Wire", .logging,
        ]),
    tests(
        "HTTPKitTests",
        [
            "Access", "HTTPKit", "SandboxModel", "Store", .hummingbird, .hummingbirdCore, .nioCore, .nioPosix,
            .httpTypes, .logging,
            .coreMetrics,
        ]),
    tests(
        "APITests",
        [
            "API", "Access", "HTTPKit", "SandboxModel", "SandboxRuntime", "SandboxStorage", "SandboxImages",
            "StoreSQLite", .hummingbird,
            .hummingbirdCore, .httpTypes, .nioCore, .logging, .yams,
        ]),
    tests(
        "ClientTests",
        [
            "Access", "Client", "HTTPKit", "SandboxModel", "Store", .hummingbird, .hummingbirdCore, .nioCore, .nioPosix,
            .httpTypes, .logging,
        ]),
    tests("CLITests", ["CLI", "Client", "SandboxModel", .arguments]),
    tests("EndToEndTests", ["Client", "SandboxModel", "LinuxSystem", "Faults", "Wire"]),
]
let chosen = Context.environment["NJ_TESTS"].map { Set($0.split(separator: ",").map(String.init)) }
package.targets += testTargets.filter { chosen?.contains($0.name) ?? true }
