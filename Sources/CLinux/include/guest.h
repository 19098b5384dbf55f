// What the guest's init needs and Swift cannot say: a vfork-like start of a process, variadic calls, macros.
#pragma once
#include <stdint.h>
#include <sys/types.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/wait.h>

struct nj_limit {
    int32_t resource;
    uint64_t soft;
    uint64_t hard;
};

/// Everything a new process is made of. All memory stays the caller's.
struct nj_spawn {
    char *const *argv;
    char *const *envp;
    /// Paths to try in this order, as a PATH lookup does; ends with NULL.
    char *const *candidates;
    /// `/bin/sh`, a slot for the path, then the arguments: for a script without an interpreter line.
    char **shell_argv;
    /// The three standard descriptors, all of them above 2 and close-on-exec.
    int32_t descriptors[3];
    /// Non-zero: descriptors[0] becomes the controlling terminal.
    int32_t terminal;
    uint32_t uid;
    uint32_t gid;
    const uint32_t *groups;
    size_t group_count;
    const char *directory;
    /// Non-zero: if the directory cannot be entered, start in `/`.
    int32_t directory_is_a_wish;
    const struct nj_limit *limits;
    size_t limit_count;
};

enum nj_spawn_step {
    NJ_STEP_CLONE = 1,
    NJ_STEP_SESSION,
    NJ_STEP_TERMINAL,
    NJ_STEP_DESCRIPTORS,
    NJ_STEP_LIMITS,
    NJ_STEP_USER,
    NJ_STEP_DIRECTORY,
    NJ_STEP_EXECUTE,
};

/// Starts a process and returns its pid when it has reached its program. On failure returns -1 and sets what failed
/// and why; the half-made child is reaped already. Only one thread may call it at a time.
pid_t nj_spawn(const struct nj_spawn *spawn, int32_t *failed_step, int32_t *failed_errno);

/// Opens a terminal pair, both close-on-exec, the master non-blocking. Returns 0 or an errno.
int32_t nj_open_terminal(uint16_t columns, uint16_t rows, int32_t *master, int32_t *slave);
/// Returns 0 or an errno.
int32_t nj_resize_terminal(int32_t master, uint16_t columns, uint16_t rows);
/// A pipe, both ends close-on-exec. Returns 0, or -1 and errno.
int32_t nj_guest_pipe(int32_t ends[2]);
/// Bytes that a read would find; -1 if the descriptor does not tell.
int32_t nj_bytes_readable(int32_t descriptor);
/// Brings the interface `lo` up; failure does not matter.
void nj_loopback_up(void);
/// Mixes bytes into the kernel's pool and credits them where that is allowed. Returns 0 or an errno.
int32_t nj_add_entropy(const uint8_t *bytes, size_t count);
/// Renames without replacing an existing target. Returns 0 or an errno.
int32_t nj_rename_exclusive(const char *from, const char *to);
/// Mounts the kernel's file systems that PID 1 needs where they are missing; failure does not matter.
void nj_mount_system(void);
/// Mounts a file system without a device. Returns 0 or an errno.
int32_t nj_mount(const char *type, const char *target, const char *options);
/// Signals 1 to 31 to their defaults, SIGPIPE ignored, the given ones blocked and turned into a signalfd (-1: failed).
int32_t nj_signals(const int32_t *signals, size_t count);
/// `openat` with `O_CLOEXEC` and no mode. Returns the descriptor or -1.
int32_t nj_openat(int32_t directory, const char *path, int32_t flags, uint32_t mode);
/// What `st_mtim` holds, in nanoseconds since 1970.
int64_t nj_modified_nanoseconds(const struct stat *status);
/// The status' parts, which are macros.
int32_t nj_exit_code(int32_t status);
int32_t nj_exit_signal(int32_t status);
/// Starts a detached thread with all signals blocked. Returns 0 or an errno.
int32_t nj_start_thread(void *(*run)(void *), void *context);
/// A non-blocking TCP connection to the loopback's port is begun. Returns the descriptor or a negative errno.
int32_t nj_loopback_connect(uint16_t port, int32_t ipv6);
/// Listens on 127.0.0.1. Returns the descriptor or a negative errno.
int32_t nj_loopback_listen(uint16_t port);
/// The next connection of a listener, non-blocking. Returns the descriptor or a negative errno.
int32_t nj_loopback_accept(int32_t listener);
/// What became of a connection that was begun: 0 or an errno.
int32_t nj_socket_error(int32_t socket);
