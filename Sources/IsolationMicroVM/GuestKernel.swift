internal import Foundation
internal import Glibc
internal import LinuxSystem
internal import SandboxModel

/// The kernel that machines boot, with the init that they begin with.
struct GuestKernel: Sendable, Hashable {
    /// Names the kernel and its package, for the identity of whatever is made with it.
    var version: String
    /// An ELF image, absolute; readable for everybody.
    var image: String
    /// The modules and the init, absolute; readable for everybody.
    var initramfs: String

    private struct Description: Decodable {
        var version: String
        var architecture: String
    }

    /// Finds the current kernel, and puts its modules and the init together unless this was done before. Blocks.
    ///
    /// - Throws: ``SandboxError`` with `unsupported` if there is no kernel, and ``SystemError``.
    static func current(_ configuration: MicroVMConfiguration) throws -> GuestKernel {
        let place = configuration.kernelsDirectory + "/current"
        guard let text = try? TextFile.bytes(place + "/kernel.json", limit: 1 << 20),
            let description = try? JSONDecoder().decode(Description.self, from: Data(text)),
            access(place + "/vmlinux", R_OK) == 0
        else {
            throw SandboxError(
                .unsupported, "There is no kernel for virtual machines in \(configuration.kernelsDirectory).",
                hint: "make one with `scripts/build-kernel`")
        }
        guard description.architecture == "amd64" else {
            throw SandboxError(.unsupported, "The kernel is for \(description.architecture), not for amd64.")
        }
        guard let resolved = realpath(place, nil) else { throw SystemError(errno, "resolve", place) }
        defer { free(resolved) }
        let directory = String(cString: resolved)
        let program = try TextFile.bytes(configuration.initPath, limit: 64 << 20)
        let name = Checksum.text(Checksum.of(program))
        let initramfs = "\(directory)/initramfs-\(name)"
        if access(initramfs, R_OK) != 0 {
            let modules = try TextFile.bytes(directory + "/modules.cpio", limit: 256 << 20)
            try DurableFile.replace(initramfs, with: modules + InitArchive.make(program), mode: 0o644)
        }
        return GuestKernel(version: description.version, image: directory + "/vmlinux", initramfs: initramfs)
    }
}
