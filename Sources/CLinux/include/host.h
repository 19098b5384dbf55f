// What the host needs and Swift cannot say: starting a process with a pidfd, passing descriptors, putting an overlay
// into another process's mount namespace, variadic system calls.
#pragma once
#include <dirent.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/types.h>

/// Everything a child process of the host is made of. All memory stays the caller's.
struct nj_command {
    const char *path;
    char *const *argv;
    char *const *envp;
    /// descriptors[i] becomes descriptor i of the child; all others are closed. At most 16.
    const int32_t *descriptors;
    size_t descriptor_count;
    /// NULL: the parent's.
    const char *directory;
    /// `cgroup.procs` files that the child writes itself into before its program starts; ends with NULL; may be NULL.
    const char *const *cgroups;
    /// Non-zero: leads a session of its own.
    int32_t session;
    /// Sent to the child when the thread that started it ends; 0: none.
    int32_t death_signal;
};

/// Starts a process and returns its pid once it has reached its program, with a close-on-exec pidfd. On failure
/// returns -1 and sets the errno; nothing is left to reap then. Any thread may call it.
pid_t nj_host_spawn(const struct nj_command *command, int32_t *pidfd, int32_t *error);

/// Lets this process's threads, and those that they start, come before others: as many steps of `nice` as given. Children
/// of `nj_host_spawn` begin without. Steps add up. Returns 0 or an errno.
int32_t nj_take_precedence(int32_t steps);
/// Whether the threads that this process has now, and those that they start, come before all that have no real-time
/// policy. Children of `nj_host_spawn` begin without, if `nj_take_precedence` was called. Returns 0 or an errno.
int32_t nj_set_real_time(int32_t is_real_time);
/// CPU time that this process has used.
int64_t nj_process_cpu_nanoseconds(void);

/// Sends bytes with descriptors attached to the first. Returns the count of bytes sent or -errno.
int64_t nj_send_descriptors(
    int32_t socket, const void *bytes, size_t length, const int32_t *descriptors, size_t count);
/// Receives bytes and at most `*count` descriptors, close-on-exec; sets `*count` to how many came. Returns the count
/// of bytes or -errno.
int64_t nj_receive_descriptors(int32_t socket, void *bytes, size_t length, int32_t *descriptors, size_t *count);

/// A listening (backlog > 0) or connected Unix stream socket, close-on-exec and non-blocking. Returns it or -errno.
int32_t nj_unix_socket(const char *path, int32_t backlog);
/// The user on the other side of a Unix socket, or -errno.
int64_t nj_peer_user(int32_t socket);

/// The writable root of a sandbox: an overlay of directories.
struct nj_root {
    /// Topmost first; ends with NULL; at most 8.
    const char *const *lower;
    /// Directories of one file system, or, with an image, the names `upper` and `work` in its root.
    const char *upper;
    const char *work;
    /// An ext4 image that holds the writable layer; NULL: there is none.
    const char *image;
    /// A directory on which the image may be mounted, where only the caller's helper sees it.
    const char *place;
    /// Non-zero: what the guest put over the init is set aside.
    int32_t is_fresh;
    /// Non-zero: the upper layer need not survive a crash of the machine.
    int32_t is_volatile;
};
/// Mounts an overlay and makes it the root of the mount namespace that process `pid` is in, without it ever showing in
/// the caller's namespace. `mount_point` is an empty directory within that process's root. Forks: only for processes
/// with one thread. Returns 0, or an errno with the name of the step that failed in `step` (at least 32 bytes). With an
/// image, `*layer` becomes a descriptor of its root directory, close-on-exec; else -1.
int32_t nj_attach_root(
    pid_t pid, const struct nj_root *root, const char *mount_point, char *step, int32_t *layer);

/// Waits until nobody else has the file open, a loop device included. Blocks, in steps of half a millisecond. Returns 0
/// or an errno: EBUSY when the time is over.
int32_t nj_await_sole_use(int32_t file, int32_t milliseconds);

/// Children of this process that ended are its own to reap, and so are orphaned grandchildren. Returns 0 or an errno.
int32_t nj_become_subreaper(void);
/// Blocks the signals and turns them into a close-on-exec, non-blocking signalfd. Returns it or -errno.
int32_t nj_host_signals(const int32_t *signals, size_t count);
/// A pidfd or -errno.
int32_t nj_pidfd_open(pid_t pid);
/// 0 or an errno.
int32_t nj_pidfd_signal(int32_t pidfd, int32_t signal);
/// Reaps the child behind a pidfd without waiting. Returns 1 if it was reaped (status as in waitpid), 0 if it still
/// runs, or -errno.
int32_t nj_pidfd_reap(int32_t pidfd, int32_t *status);
/// Sets FS_IMMUTABLE_FL and FS_APPEND_FL of an open file to off. Returns 0 or an errno.
int32_t nj_clear_file_flags(int32_t descriptor);
/// `renameat2` with RENAME_EXCHANGE or other flags. Returns 0 or an errno.
int32_t nj_rename(const char *from, const char *to, uint32_t flags);
/// `openat` with `O_CLOEXEC`. Returns the descriptor or -errno.
int32_t nj_open_at(int32_t directory, const char *path, int32_t flags, uint32_t mode);
/// Sets or clears O_NONBLOCK. Returns 0 or an errno.
int32_t nj_set_nonblocking(int32_t descriptor, int32_t on);
/// A duplicate, close-on-exec, or -errno.
int32_t nj_duplicate(int32_t descriptor);
/// A pipe, both ends close-on-exec: `ends[0]` reads, `ends[1]` writes. Returns 0 or an errno.
int32_t nj_pipe(int32_t *ends);
/// A pair of connected stream sockets, close-on-exec. Returns 0 or an errno.
int32_t nj_socket_pair(int32_t *ends);
/// Takes a connection, close-on-exec and non-blocking. Returns it or -errno.
int32_t nj_accept(int32_t listener);
/// Writes everything of the file system that a descriptor is on to its device. Returns 0 or an errno.
int32_t nj_sync_file_system(int32_t descriptor);
/// Has the device begin to write a part of a file, and does not wait for it. Returns 0 or an errno.
int32_t nj_begin_writing_back(int32_t descriptor, int64_t offset, int64_t count);
/// `sched_setaffinity` of a thread: on which cores it may run, a bit for each. Returns 0 or an errno.
int32_t nj_set_cores(int32_t thread, const uint8_t *bits, size_t bytes);
/// `sched_getaffinity` of the calling thread. Returns 0 or an errno.
int32_t nj_cores(uint8_t *bits, size_t bytes);
/// The rate of the processor's timestamp counter in kHz, measured for some 20 ms; 0 if it has none.
uint64_t nj_timestamp_kilohertz(void);

/// XXH64 of `count` bytes.
uint64_t nj_checksum(const void *bytes, size_t count, uint64_t seed);
