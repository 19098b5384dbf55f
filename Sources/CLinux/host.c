#define _GNU_SOURCE
#include "host.h"

#include <errno.h>
#include <linux/fs.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

// The child shares the parent's memory until it reaches its program, so it reports through this and makes only system
// calls.
struct spawn_context {
    const struct nj_command *spawn;
    volatile int32_t error;
};

// The parent's precedence over other processes is not for its children.
static int ordinary_nice, is_precedence_own;

static int each_thread(int (*change)(pid_t, int), int value) {
    DIR *threads = opendir("/proc/self/task");
    if (threads == NULL) return errno;
    int error = 0;
    for (struct dirent *entry; (entry = readdir(threads)) != NULL;)
        // One that ended meanwhile needs nothing.
        if (entry->d_name[0] != '.' && change(atoi(entry->d_name), value) < 0 && errno != ESRCH) error = errno;
    closedir(threads);
    return error;
}

static int set_nice(pid_t thread, int nice) { return setpriority(PRIO_PROCESS, (id_t)thread, nice); }

static int set_real_time(pid_t thread, int is_real_time) {
    struct sched_param parameter = {.sched_priority = is_real_time ? 1 : 0};
    return sched_setscheduler(thread, is_real_time ? SCHED_RR : SCHED_OTHER, &parameter);
}

int32_t nj_take_precedence(int32_t steps) {
    errno = 0;
    int own = getpriority(PRIO_PROCESS, 0);
    if (errno != 0) return errno;
    if (!is_precedence_own) ordinary_nice = own;
    is_precedence_own = 1;
    return each_thread(set_nice, own - steps);
}

int32_t nj_set_real_time(int32_t is_real_time) { return each_thread(set_real_time, is_real_time); }

int64_t nj_process_cpu_nanoseconds(void) {
    struct timespec time;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time) < 0) return 0;
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static int fail(struct spawn_context *context) {
    context->error = errno == 0 ? EIO : errno;
    _exit(127);
}

static int child(void *argument) {
    struct spawn_context *context = argument;
    const struct nj_command *s = context->spawn;
    // Signals stay blocked until the handlers of the parent, which would run on its memory, are gone.
    for (int number = 1; number < 65; number++) {
        struct sigaction standard = {.sa_handler = SIG_DFL};
        sigaction(number, &standard, NULL);
    }
    if (s->death_signal != 0 && prctl(PR_SET_PDEATHSIG, s->death_signal) < 0) fail(context);
    if (s->session && setsid() < 0) fail(context);
    if (is_precedence_own) {
        set_real_time(0, 0);
        set_nice(0, ordinary_nice);
    }
    int high[16];
    if (s->descriptor_count > 16) {
        errno = EINVAL;
        fail(context);
    }
    for (size_t i = 0; i < s->descriptor_count; i++)
        if ((high[i] = fcntl(s->descriptors[i], F_DUPFD_CLOEXEC, 32)) < 0) fail(context);
    for (size_t i = 0; i < s->descriptor_count; i++)
        if (dup2(high[i], (int)i) < 0) fail(context);
    // Closed at once, not by the exec: until then a copy of a lock's descriptor would keep the lock of a parent that died.
    if (syscall(SYS_close_range, (unsigned)s->descriptor_count, ~0U, 0) < 0) fail(context);
    for (const char *const *path = s->cgroups; path != NULL && *path != NULL; path++) {
        int file = open(*path, O_WRONLY | O_CLOEXEC);
        if (file < 0 || write(file, "0", 1) != 1) fail(context);
        close(file);
    }
    if (s->directory != NULL && chdir(s->directory) < 0) fail(context);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(s->path, s->argv, s->envp);
    return fail(context);
}

pid_t nj_host_spawn(const struct nj_command *command, int32_t *pidfd, int32_t *error) {
    const size_t size = 64 * 1024;
    char *stack = aligned_alloc(64, size);
    if (stack == NULL) {
        *error = ENOMEM;
        return -1;
    }
    struct spawn_context context = {.spawn = command, .error = 0};
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int descriptor = -1;
    pid_t pid = clone(child, stack + size, CLONE_VM | CLONE_VFORK | CLONE_PIDFD | SIGCHLD, &context, &descriptor);
    int failed = pid < 0 ? errno : context.error;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    free(stack);
    if (pid > 0 && failed != 0) {
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {}
        close(descriptor);
        pid = -1;
    }
    *error = failed;
    *pidfd = pid > 0 ? descriptor : -1;
    return pid;
}

int64_t nj_send_descriptors(
    int32_t socket, const void *bytes, size_t length, const int32_t *descriptors, size_t count) {
    union {
        char space[CMSG_SPACE(16 * sizeof(int))];
        struct cmsghdr aligned;
    } control;
    if (count > 16) return -EINVAL;
    struct iovec vector = {.iov_base = (void *)bytes, .iov_len = length};
    struct msghdr message = {.msg_iov = &vector, .msg_iovlen = 1};
    if (count > 0) {
        memset(&control, 0, sizeof control);
        message.msg_control = control.space;
        message.msg_controllen = CMSG_SPACE(count * sizeof(int));
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(header), descriptors, count * sizeof(int));
    }
    ssize_t sent;
    do sent = sendmsg(socket, &message, MSG_NOSIGNAL);
    while (sent < 0 && errno == EINTR);
    return sent < 0 ? -errno : sent;
}

int64_t nj_receive_descriptors(int32_t socket, void *bytes, size_t length, int32_t *descriptors, size_t *count) {
    union {
        char space[CMSG_SPACE(16 * sizeof(int))];
        struct cmsghdr aligned;
    } control;
    size_t capacity = *count;
    *count = 0;
    struct iovec vector = {.iov_base = bytes, .iov_len = length};
    struct msghdr message = {
        .msg_iov = &vector, .msg_iovlen = 1, .msg_control = control.space, .msg_controllen = sizeof control.space};
    ssize_t received;
    do received = recvmsg(socket, &message, MSG_CMSG_CLOEXEC);
    while (received < 0 && errno == EINTR);
    if (received < 0) return -errno;
    for (struct cmsghdr *header = CMSG_FIRSTHDR(&message); header != NULL; header = CMSG_NXTHDR(&message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
        size_t came = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < came; i++) {
            int descriptor;
            memcpy(&descriptor, CMSG_DATA(header) + i * sizeof(int), sizeof descriptor);
            if (*count < capacity) descriptors[(*count)++] = descriptor;
            else close(descriptor);
        }
    }
    return received;
}

int32_t nj_unix_socket(const char *path, int32_t backlog) {
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof address.sun_path) return -ENAMETOOLONG;
    strcpy(address.sun_path, path);
    int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s < 0) return -errno;
    int failed;
    if (backlog > 0) {
        // The mode is set before anybody can connect: on a bound socket that does not listen yet.
        failed = bind(s, (struct sockaddr *)&address, sizeof address) < 0 || chmod(path, 0600) < 0
            || listen(s, backlog) < 0;
    } else {
        failed = connect(s, (struct sockaddr *)&address, sizeof address) < 0;
    }
    if (!failed) return s;
    int error = errno;
    close(s);
    return -error;
}

int64_t nj_peer_user(int32_t socket) {
    struct ucred peer;
    socklen_t length = sizeof peer;
    return getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &length) < 0 ? -errno : (int64_t)peer.uid;
}

int32_t nj_become_subreaper(void) { return prctl(PR_SET_CHILD_SUBREAPER, 1) < 0 ? errno : 0; }

int32_t nj_host_signals(const int32_t *signals, size_t count) {
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < count; i++) sigaddset(&set, signals[i]);
    pthread_sigmask(SIG_BLOCK, &set, NULL);
    int descriptor = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    return descriptor < 0 ? -errno : descriptor;
}

int32_t nj_pidfd_open(pid_t pid) {
    long descriptor = syscall(SYS_pidfd_open, pid, 0);
    return descriptor < 0 ? -errno : (int32_t)descriptor;
}

int32_t nj_pidfd_signal(int32_t pidfd, int32_t signal) {
    return syscall(SYS_pidfd_send_signal, pidfd, signal, NULL, 0) < 0 ? errno : 0;
}

int32_t nj_pidfd_reap(int32_t pidfd, int32_t *status) {
    siginfo_t info = {0};
    int result;
    do result = waitid(P_PIDFD, (id_t)pidfd, &info, WEXITED | WNOHANG);
    while (result < 0 && errno == EINTR);
    if (result < 0) return -errno;
    if (info.si_pid == 0) return 0;
    *status = info.si_code == CLD_EXITED ? (info.si_status & 0xff) << 8 : info.si_status & 0x7f;
    return 1;
}

int32_t nj_clear_file_flags(int32_t descriptor) {
    long flags = 0;
    if (ioctl(descriptor, FS_IOC_GETFLAGS, &flags) < 0) return errno;
    if ((flags & (FS_IMMUTABLE_FL | FS_APPEND_FL)) == 0) return 0;
    flags &= ~(long)(FS_IMMUTABLE_FL | FS_APPEND_FL);
    return ioctl(descriptor, FS_IOC_SETFLAGS, &flags) < 0 ? errno : 0;
}

int32_t nj_rename(const char *from, const char *to, uint32_t flags) {
    return syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, flags) < 0 ? errno : 0;
}

int32_t nj_open_at(int32_t directory, const char *path, int32_t flags, uint32_t mode) {
    int descriptor;
    do descriptor = openat(directory, path, flags | O_CLOEXEC, mode);
    while (descriptor < 0 && errno == EINTR);
    return descriptor < 0 ? -errno : descriptor;
}

int32_t nj_set_nonblocking(int32_t descriptor, int32_t on) {
    int flags = fcntl(descriptor, F_GETFL);
    if (flags < 0) return errno;
    flags = on ? flags | O_NONBLOCK : flags & ~O_NONBLOCK;
    return fcntl(descriptor, F_SETFL, flags) < 0 ? errno : 0;
}

int32_t nj_duplicate(int32_t descriptor) {
    int copy = fcntl(descriptor, F_DUPFD_CLOEXEC, 3);
    return copy < 0 ? -errno : copy;
}

int32_t nj_pipe(int32_t *ends) { return pipe2(ends, O_CLOEXEC) < 0 ? errno : 0; }

int32_t nj_socket_pair(int32_t *ends) {
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) < 0 ? errno : 0;
}

int32_t nj_accept(int32_t listener) {
    int descriptor;
    do descriptor = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    while (descriptor < 0 && errno == EINTR);
    return descriptor < 0 ? -errno : descriptor;
}

int32_t nj_sync_file_system(int32_t descriptor) { return syncfs(descriptor) < 0 ? errno : 0; }

int32_t nj_begin_writing_back(int32_t descriptor, int64_t offset, int64_t count) {
    return sync_file_range(descriptor, offset, count, SYNC_FILE_RANGE_WRITE) < 0 ? errno : 0;
}

int32_t nj_set_cores(int32_t thread, const uint8_t *bits, size_t bytes) {
    return sched_setaffinity(thread, bytes, (const cpu_set_t *)(const void *)bits) == 0 ? 0 : errno;
}

int32_t nj_cores(uint8_t *bits, size_t bytes) {
    return sched_getaffinity(0, bytes, (cpu_set_t *)(void *)bits) == 0 ? 0 : errno;
}

#if defined(__x86_64__)
static void both_clocks(uint64_t *ticks, int64_t *nanoseconds) {
    struct timespec time;
    uint64_t before, after, best = UINT64_MAX;
    // Whoever is interrupted between the two readings reads again.
    for (int attempt = 0; attempt < 8; attempt++) {
        before = __builtin_ia32_rdtsc();
        clock_gettime(CLOCK_MONOTONIC_RAW, &time);
        after = __builtin_ia32_rdtsc();
        if (after - before >= best) continue;
        best = after - before;
        *ticks = before + best / 2;
        *nanoseconds = time.tv_sec * 1000000000 + time.tv_nsec;
    }
}

uint64_t nj_timestamp_kilohertz(void) {
    uint64_t first = 0, last = 0;
    int64_t begin = 0, end = 0;
    both_clocks(&first, &begin);
    usleep(20000);
    both_clocks(&last, &end);
    return end > begin ? (uint64_t)((last - first) / ((end - begin) / 1e6)) : 0;
}
#else
uint64_t nj_timestamp_kilohertz(void) { return 0; }
#endif
