import SandboxModel

@testable import GuestInit
@testable import Shim

/// What becomes part of a path on the host, and the guest's paths: whatever is accepted must be what it claims to be.
func fuzzPaths(_ input: UnsafeBufferPointer<UInt8>) {
    guard let first = input.first else { return }
    let bytes = Array(input.dropFirst())
    switch first % 4 {
    case 0: checkNames(String(decoding: bytes, as: UTF8.self))
    case 1: checkGuestPath(bytes)
    case 2: checkShim(bytes)
    default: checkArguments(bytes)
    }
}

/// Identifiers and names are used as they are as one component of a path on the host.
private func checkNames(_ text: String) {
    if let id = SandboxID(text) { checkComponent(id.rawValue, text) }
    if let id = ExecutionID(text) { checkComponent(id.rawValue, text) }
    if (try? SandboxSpec.check(name: text, what: "name")) != nil { checkComponent(text, text) }
    var spec = SandboxSpec()
    spec.template = text
    if let valid = try? spec.validated() { checkComponent(valid.value.template, text) }
}

private func checkComponent(_ name: String, _ text: String) {
    precondition(Array(name.utf8) == Array(text.utf8), "another name than was given")
    precondition((1...63).contains(name.utf8.count), "a length that no file system takes for sure")
    precondition(
        name.utf8.allSatisfy { (0x61...0x7A).contains($0) || (0x30...0x39).contains($0) || $0 == 0x2D || $0 == 0x5F },
        "a character that may mean something in a path")
}

private func checkGuestPath(_ bytes: [UInt8]) {
    guard let path = try? Path.checked(bytes) else { return }
    precondition(path.first == Path.slash && path.count < Path.maximumLength && !path.contains(0))
    precondition(path == [Path.slash] || path.last != Path.slash)
    precondition((try? Path.checked(path)) == path, "is another one when it is checked again")
    let (parent, name) = (Path.parent(path), Path.name(path))
    precondition(!name.contains(Path.slash))
    precondition(parent.first == Path.slash)
    guard path != [Path.slash] else { return }
    guard let joined = try? Path.checked(Path.join(parent, name)) else { preconditionFailure("cannot be joined") }
    // Slashes that follow each other are one.
    precondition(components(joined) == components(path), "is another one when it is joined again")
    _ = Path.display(path)
}

private func components(_ path: [UInt8]) -> [ArraySlice<UInt8>] { path.split(separator: Path.slash) }

/// What a shim reads from its socket.
private func checkShim(_ bytes: [UInt8]) {
    var buffer = bytes
    while let body = ShimMessage.next(&buffer), !body.isEmpty {
        precondition(body.count <= ShimMessage.maximum)
        checkRoot(Array(body.dropFirst()))
        checkFiles(Array(body.dropFirst()))
    }
    checkRoot(bytes)
    checkFiles(bytes)
}

private func checkFiles(_ bytes: [UInt8]) {
    guard let files = ShimFile.decode(bytes) else { return }
    precondition(files.allSatisfy { $0.path.utf8.first == Path.slash && components(Array($0.name.utf8)).count == 1 })
    precondition(ShimFile.decode(ShimFile.encode(files)) == files, "are others when they are read again")
}

private func checkRoot(_ bytes: [UInt8]) {
    guard let root = ShimRoot(bytes) else { return }
    let own =
        switch root.layer {
        case .directories(let upper, let work): [upper, work]
        case .image(let path, let place): [path, place]
        }
    let paths = own + root.lower
    precondition(paths.allSatisfy { $0.utf8.first == Path.slash && !$0.utf8.contains(0) })
    // Bytes that are not UTF-8 are repaired, so the text is compared.
    precondition(ShimRoot(root.encoded) == root, "is another one when it is read again")
}

private func checkArguments(_ bytes: [UInt8]) {
    let words = bytes.split(separator: 0x20, omittingEmptySubsequences: false).map {
        String(decoding: $0, as: UTF8.self)
    }
    guard let arguments = ShimArguments(words) else { return }
    precondition(arguments.slot.utf8.first == Path.slash)
    switch arguments.kind {
    case .gVisor(let mountPoint): precondition(mountPoint.utf8.first == Path.slash)
    case .jail(let jail): precondition(jail.user != 0 && jail.user != .max)
    }
    precondition(arguments.cgroups.allSatisfy { $0.utf8.first == Path.slash })
    precondition((1...3600).contains(arguments.patience) && !arguments.command.isEmpty)
}
