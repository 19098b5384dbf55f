internal import SandboxModel

/// QEMU's command line for one machine.
///
/// The machine type `microvm` has no firmware menus and no legacy devices but a serial line, which is the console. Files
/// are opened later, when they have been put into the jail: QEMU waits before its machine exists (`-preconfig`).
struct MachineCommand {
    /// How the guest's instructions are carried out.
    enum Accelerator: String {
        /// By emulation: everywhere, and several times slower than the processor.
        case tcg
        /// By the processor, where the host's kernel offers it.
        case kvm

        var arguments: [String] {
            switch self {
            // A larger cache of translated code does not pay and would count for each machine.
            case .tcg: ["-accel", "tcg,tb-size=64"]
            case .kvm: ["-accel", "kvm"]
            }
        }

        var devices: [String] { self == .kvm ? ["/dev/kvm"] : [] }
    }

    /// Names of the files in the jail.
    enum File {
        static let kernel = "vmlinux"
        static let initramfs = "initramfs"
        static let template = "template"
        static let layer = "layer"
    }

    var qemuPath: String
    var accelerator: Accelerator
    var memoryMiB: Int
    var processors: Int
    /// Of the host's timestamp counter, which the guest sees as it is, in kHz.
    var clockRate: UInt64

    var program: [String] {
        [
            qemuPath, "-M", "microvm,acpi=on,pic=off,pit=off", "-cpu", "max", "-m", "\(memoryMiB)", "-smp",
            "\(processors)",
        ] + accelerator.arguments + [
            "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-preconfig", "-S",
            "-sandbox", "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny",
            "-kernel", "/" + File.kernel, "-initrd", "/" + File.initramfs, "-append", kernelArguments,
            "-chardev", "stdio,id=console,signal=off", "-serial", "chardev:console",
            "-chardev", "socket,id=monitor,fd=4,server=on,wait=off", "-mon", "chardev=monitor,mode=control",
            "-chardev", "socket,id=channel,fd=3", "-device", "virtio-serial-device,max_ports=2", "-device",
            "virtserialport,chardev=channel,name=nightjar",
            "-device", "virtio-blk-device,drive=template,serial=template",
            "-device", "virtio-blk-device,drive=layer,serial=layer",
        ]
    }

    /// The kernels have no interrupt controller or timer of old to fall back to, so the clock's rate has to be given. The
    /// mitigations guard processes inside from each other; the host is guarded by its own.
    private var kernelArguments: String {
        [
            "console=ttyS0", "quiet", "reboot=t", "panic=-1", "tsc_early_khz=\(clockRate)", "no_timer_check",
            "tsc=reliable", "random.trust_cpu=on", "mitigations=off", "audit=0", "cryptomgr.notests", "no5lvl",
        ].joined(separator: " ")
    }
}
