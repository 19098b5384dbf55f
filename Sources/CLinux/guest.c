#define _GNU_SOURCE
#include "guest.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/random.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <termios.h>
#include <unistd.h>

// The child shares the parent's memory until it reaches its program, so it reports through this. Raw system calls
// where glibc's wrappers would signal the other threads of the parent (setuid and its like).
struct child_context {
    const struct nj_spawn *spawn;
    volatile int32_t step;
    volatile int32_t error;
};

static void fail(struct child_context *context, int32_t step) {
    context->step = step;
    context->error = errno;
    _exit(127);
}

static void execute(struct child_context *context) {
    const struct nj_spawn *s = context->spawn;
    int denied = 0;
    errno = ENOENT;
    for (char *const *path = s->candidates; *path != NULL; path++) {
        execve(*path, s->argv, s->envp);
        if (errno == ENOEXEC) {
            s->shell_argv[1] = *path;
            execve("/bin/sh", s->shell_argv, s->envp);
            errno = ENOEXEC;
            break;
        }
        if (errno == EACCES) denied = 1;
        if (errno != ENOENT && errno != ENOTDIR && errno != EACCES) break;
    }
    if (denied && (errno == ENOENT || errno == ENOTDIR)) errno = EACCES;
    fail(context, NJ_STEP_EXECUTE);
}

static int child(void *argument) {
    struct child_context *context = argument;
    const struct nj_spawn *s = context->spawn;
    if (setsid() < 0) fail(context, NJ_STEP_SESSION);
    for (int target = 0; target < 3; target++)
        if (dup2(s->descriptors[target], target) < 0) fail(context, NJ_STEP_DESCRIPTORS);
    if (s->terminal && ioctl(0, TIOCSCTTY, 0) < 0) fail(context, NJ_STEP_TERMINAL);
    for (size_t i = 0; i < s->limit_count; i++) {
        struct { uint64_t soft, hard; } limit = {s->limits[i].soft, s->limits[i].hard};
        if (syscall(SYS_prlimit64, 0, s->limits[i].resource, &limit, NULL) < 0) fail(context, NJ_STEP_LIMITS);
    }
    if (syscall(SYS_setgroups, s->group_count, s->groups) < 0 && (errno != EPERM || s->uid != 0))
        fail(context, NJ_STEP_USER);
    if (syscall(SYS_setresgid, s->gid, s->gid, s->gid) < 0) fail(context, NJ_STEP_USER);
    if (syscall(SYS_setresuid, s->uid, s->uid, s->uid) < 0) fail(context, NJ_STEP_USER);
    if (chdir(s->directory) < 0 && !(s->directory_is_a_wish && chdir("/") == 0)) fail(context, NJ_STEP_DIRECTORY);
    struct sigaction standard = {.sa_handler = SIG_DFL};
    sigaction(SIGPIPE, &standard, NULL);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execute(context);
    return 127;
}

pid_t nj_spawn(const struct nj_spawn *spawn, int32_t *failed_step, int32_t *failed_errno) {
    static char stack[64 * 1024] __attribute__((aligned(64)));
    struct child_context context = {.spawn = spawn};
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pid_t pid = clone(child, stack + sizeof stack, CLONE_VM | CLONE_VFORK | SIGCHLD, &context);
    int error = errno;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (pid < 0) {
        *failed_step = NJ_STEP_CLONE;
        *failed_errno = error;
        return -1;
    }
    if (context.step == 0) return pid;
    *failed_step = context.step;
    *failed_errno = context.error;
    while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {}
    return -1;
}

int32_t nj_open_terminal(uint16_t columns, uint16_t rows, int32_t *master, int32_t *slave) {
    int m = open("/dev/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (m < 0) m = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC | O_NONBLOCK);
    if (m < 0) return errno;
    int number = -1, unlock = 0, error = 0;
    if (ioctl(m, TIOCSPTLCK, &unlock) < 0 || ioctl(m, TIOCGPTN, &number) < 0) {
        error = errno;
        close(m);
        return error;
    }
    char path[32] = "/dev/pts/", digits[12];
    int length = 0;
    do digits[length++] = (char)('0' + number % 10);
    while ((number /= 10) > 0);
    size_t at = strlen(path);
    while (length > 0) path[at++] = digits[--length];
    int s = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    if (s < 0) {
        error = errno;
        close(m);
        return error;
    }
    struct winsize size = {.ws_col = columns, .ws_row = rows};
    ioctl(s, TIOCSWINSZ, &size);
    *master = m;
    *slave = s;
    return 0;
}

int32_t nj_resize_terminal(int32_t master, uint16_t columns, uint16_t rows) {
    struct winsize size = {.ws_col = columns, .ws_row = rows};
    return ioctl(master, TIOCSWINSZ, &size) < 0 ? errno : 0;
}

int32_t nj_guest_pipe(int32_t ends[2]) { return pipe2(ends, O_CLOEXEC); }

int32_t nj_bytes_readable(int32_t descriptor) {
    int count = 0;
    return ioctl(descriptor, FIONREAD, &count) < 0 ? -1 : count;
}

void nj_loopback_up(void) {
    int s = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (s < 0) return;
    struct ifreq request = {0};
    strcpy(request.ifr_name, "lo");
    if (ioctl(s, SIOCGIFFLAGS, &request) == 0 && !(request.ifr_flags & IFF_UP)) {
        request.ifr_flags |= IFF_UP | IFF_RUNNING;
        ioctl(s, SIOCSIFFLAGS, &request);
    }
    close(s);
}

int32_t nj_add_entropy(const uint8_t *bytes, size_t count) {
    int d = open("/dev/urandom", O_RDWR | O_CLOEXEC);
    if (d < 0) d = open("/dev/urandom", O_WRONLY | O_CLOEXEC);
    if (d < 0) return errno;
    int32_t error = 0;
    // struct rand_pool_info: entropy in bits, size in bytes, the bytes.
    struct { int32_t bits, size; uint8_t bytes[512]; } pool = {0};
    if (count > sizeof pool.bytes) count = sizeof pool.bytes;
    pool.bits = (int32_t)count * 8;
    pool.size = (int32_t)count;
    memcpy(pool.bytes, bytes, count);
    if (ioctl(d, RNDADDENTROPY, &pool) < 0 && write(d, bytes, count) < 0) error = errno;
    // Without this Linux goes on with the old key for up to a minute, which two clones would share. gVisor has none.
    ioctl(d, RNDRESEEDCRNG);
    close(d);
    return error;
}

int32_t nj_rename_exclusive(const char *from, const char *to) {
    if (syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 1 /* RENAME_NOREPLACE */) == 0) return 0;
    if (errno != ENOSYS && errno != EINVAL) return errno;
    // A kernel or file system without the flag: look first, which leaves a gap that only another writer can hit.
    struct stat status;
    if (lstat(to, &status) == 0) return EEXIST;
    return rename(from, to) < 0 ? errno : 0;
}

static void mount_unless_there(const char *probe, const char *type, const char *target, const char *options) {
    if (access(probe, F_OK) == 0) return;
    mkdir(target, 0755);
    mount(type, target, type, MS_NOSUID, options);
}

int32_t nj_mount(const char *type, const char *target, const char *options) {
    return mount("none", target, type, MS_NOSUID | MS_NODEV, options) < 0 ? errno : 0;
}

void nj_mount_system(void) {
    mount_unless_there("/proc/self/exe", "proc", "/proc", NULL);
    mount_unless_there("/sys/kernel", "sysfs", "/sys", NULL);
    mount_unless_there("/dev/null", "devtmpfs", "/dev", NULL);
    if (access("/dev/null", F_OK) == 0) mount_unless_there("/dev/pts/ptmx", "devpts", "/dev/pts", "ptmxmode=0666,mode=0620");
}

int32_t nj_signals(const int32_t *signals, size_t count) {
    for (int signal_number = 1; signal_number < 32; signal_number++) signal(signal_number, SIG_DFL);
    signal(SIGPIPE, SIG_IGN);
    sigset_t set;
    sigemptyset(&set);
    for (size_t i = 0; i < count; i++) sigaddset(&set, signals[i]);
    pthread_sigmask(SIG_SETMASK, &set, NULL);
    return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

int32_t nj_openat(int32_t directory, const char *path, int32_t flags, uint32_t mode) {
    return openat(directory, path, flags | O_CLOEXEC, mode);
}

int64_t nj_modified_nanoseconds(const struct stat *status) {
    int64_t seconds = status->st_mtim.tv_sec, result;
    /* Anybody may set any time; one that nanoseconds cannot hold is cut. */
    if (__builtin_mul_overflow(seconds, 1000000000, &result) ||
        __builtin_add_overflow(result, (int64_t)status->st_mtim.tv_nsec, &result))
        return seconds < 0 ? INT64_MIN : INT64_MAX;
    return result;
}

int32_t nj_exit_code(int32_t status) { return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status); }
int32_t nj_exit_signal(int32_t status) { return WIFSIGNALED(status) ? WTERMSIG(status) : 0; }

int32_t nj_start_thread(void *(*run)(void *), void *context) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    pthread_attr_setstacksize(&attributes, 512 * 1024);
    pthread_t thread;
    int32_t error = pthread_create(&thread, &attributes, run, context);
    pthread_attr_destroy(&attributes);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return error;
}

int32_t nj_loopback_connect(uint16_t port, int32_t ipv6) {
    int s = socket(ipv6 ? AF_INET6 : AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s < 0) return -errno;
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct sockaddr_in6 v6 = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_loopback};
    const struct sockaddr *address = ipv6 ? (const struct sockaddr *)&v6 : (const struct sockaddr *)&v4;
    int one = 1;
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(s, address, ipv6 ? sizeof v6 : sizeof v4) < 0 && errno != EINPROGRESS) {
        int error = errno;
        close(s);
        return -error;
    }
    return s;
}

int32_t nj_loopback_listen(uint16_t port) {
    int s = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s < 0) return -errno;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int one = 1;
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(s, (const struct sockaddr *)&address, sizeof address) < 0 || listen(s, 128) < 0) {
        int error = errno;
        close(s);
        return -error;
    }
    return s;
}

int32_t nj_loopback_accept(int32_t listener) {
    int s = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (s < 0) return -errno;
    int one = 1;
    setsockopt(s, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    return s;
}

int32_t nj_socket_error(int32_t socket) {
    int error = 0;
    socklen_t size = sizeof error;
    return getsockopt(socket, SOL_SOCKET, SO_ERROR, &error, &size) < 0 ? errno : error;
}
