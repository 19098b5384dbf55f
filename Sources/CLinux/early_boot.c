// The Swift runtime asks /proc for its own path before main and aborts without it. PID 1 of an empty root file system
// has no /proc yet, so it is mounted before anything of Swift runs. Never setenv here: the runtime would then lose the
// command line.
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

__attribute__((constructor(101))) static void nj_mount_proc_for_pid_1(void) {
    if (getpid() != 1 || access("/proc/self/exe", F_OK) == 0) return;
    mkdir("/proc", 0555);
    mount("proc", "/proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
}
