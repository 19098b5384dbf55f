// A place in which a program has nothing of the host but what it needs to start, and then only files that it is given.
// For processes with one thread.
#pragma once
#include <stdint.h>
#include <sys/types.h>

/// Everything a jailed program is made of. All memory stays the caller's.
struct nj_jail {
    /// An empty directory. The jail's root is mounted on it, in the jail's own namespace.
    const char *place;
    /// The user and the group that the program runs as; not 0.
    uint32_t user;
    /// Paths `/dev/NAME` of character devices that it may use; ends with NULL; at most 8.
    const char *const *devices;
    /// The program, absolute and below /usr (or what is a link into it), and its arguments; ends with NULL.
    char *const *argv;
    char *const *envp;
    /// descriptors[i] becomes descriptor i; all others are closed. At most 16.
    const int32_t *descriptors;
    size_t descriptor_count;
    /// `cgroup.procs` files that it is put into first; ends with NULL.
    const char *const *cgroups;
};

/// Jails a program and returns its pid once it has been reached. It ends with the calling process. On failure returns
/// -1 with an errno, and the name of the step that failed in `step` (at least 32 bytes); nothing is left then.
pid_t nj_jail_start(const struct nj_jail *jail, int32_t *error, char *step);

struct nj_jail_file {
    /// A regular file of the host.
    const char *path;
    /// Its name in the jail's root directory: one component that is not there yet.
    const char *name;
    /// Non-zero: the program may write it, and the file gets the jail's user as its owner.
    int32_t is_writable;
};

/// Puts files into the jail of process `pid`: all of them or none. Without `is_writable`, a file must allow all users to
/// read it. Returns 0, or an errno with the step that failed.
int32_t nj_jail_attach(pid_t pid, uint32_t user, const struct nj_jail_file *files, size_t count, char *step);

/// Takes everything out of the jail of process `pid` that is not a file that was put into it: programs, libraries and
/// devices. What it has open or mapped of these stays. May be repeated. Returns 0, or an errno with the step that failed.
int32_t nj_jail_seal(pid_t pid, char *step);
