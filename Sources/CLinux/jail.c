// The jail of a virtual machine's monitor: what a guest finds itself in if it takes the monitor over.
#define _GNU_SOURCE
#include "jail.h"
#include "helper.h"
#include "jail_files.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/capability.h>
#include <linux/keyctl.h>
#include <linux/securebits.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { MAX_DEVICES = 8, MAX_DESCRIPTORS = 16 };

// Groups that the given devices ask for.
struct groups {
    gid_t list[MAX_DEVICES];
    size_t count;
};

static void start_afresh(const struct nj_jail *jail, int report) {
    for (int number = 1; number < 65; number++) {
        struct sigaction standard = {.sa_handler = SIG_DFL};
        sigaction(number, &standard, NULL);
    }
    if (setsid() < 0) nj_stop("session");
    if (jail->descriptor_count > MAX_DESCRIPTORS) {
        errno = EINVAL;
        nj_stop("descriptors");
    }
    int count = (int)jail->descriptor_count;
    int high[MAX_DESCRIPTORS];
    for (int i = 0; i < count; i++)
        if ((high[i] = fcntl(jail->descriptors[i], F_DUPFD_CLOEXEC, 32)) < 0) nj_stop("descriptors");
    int high_report = fcntl(report, F_DUPFD_CLOEXEC, 32);
    if (high_report < 0) nj_stop("descriptors");
    nj_report_to(high_report);
    for (int i = 0; i < count; i++)
        if (dup2(high[i], i) < 0) nj_stop("descriptors");
    if (dup3(high_report, count, O_CLOEXEC) < 0) nj_stop("descriptors");
    nj_report_to(count);
    if (syscall(SYS_close_range, (unsigned)count + 1, ~0U, 0) < 0) nj_stop("close descriptors");
}

static void join_groups(const char *const *files) {
    for (; files != NULL && *files != NULL; files++) {
        int file = open(*files, O_WRONLY | O_CLOEXEC);
        if (file < 0 || write(file, "0", 1) != 1) nj_stop("control group");
        close(file);
    }
    // Only now: the root of the new namespace is the group that the process is in.
    if (unshare(CLONE_NEWCGROUP) < 0) nj_stop("control group namespace");
}

// MARK: The root

static void make_directory(const char *path) {
    if (mkdir(path, 0755) < 0) nj_stop(path);
}

// Puts what is at a path of the host at a path of the new root.
static void bind_tree(const char *source, const char *target, uint64_t attributes, int is_recursive) {
    int tree = nj_open_tree(AT_FDCWD, source, is_recursive ? NJ_RECURSIVE : 0);
    if (tree < 0 || nj_set_mount(tree, attributes, is_recursive ? NJ_RECURSIVE : 0) < 0) nj_stop(source);
    if (nj_move_mount(tree, target) < 0) nj_stop(source);
    close(tree);
}

// Programs and libraries. On most hosts all but the first are links into it.
static void add_programs(void) {
    for (size_t i = 0; i < sizeof nj_jail_trees / sizeof *nj_jail_trees; i++) {
        char source[16];
        snprintf(source, sizeof source, "/%s", nj_jail_trees[i]);
        struct stat status;
        char link[256];
        if (lstat(source, &status) < 0) {
            if (errno == ENOENT) continue;
            nj_stop(source);
        }
        if (S_ISLNK(status.st_mode)) {
            ssize_t length = readlink(source, link, sizeof link - 1);
            if (length < 0) nj_stop(source);
            link[length] = 0;
            if (symlink(link, nj_jail_trees[i]) < 0) nj_stop(source);
        } else {
            make_directory(nj_jail_trees[i]);
            bind_tree(source, nj_jail_trees[i], NJ_MOUNT_READ_ONLY | NJ_MOUNT_NO_SUID | NJ_MOUNT_NO_DEVICES, 1);
        }
    }
}

static void add_device(const char *path, struct groups *groups) {
    struct stat status;
    const char *name = strncmp(path, "/dev/", 5) == 0 ? path + 5 : "";
    errno = EINVAL;
    if (*name == 0 || *name == '.' || strchr(name, '/') != NULL) nj_stop("device name");
    if (lstat(path, &status) < 0) nj_stop(path);
    errno = ENODEV;
    if (!S_ISCHR(status.st_mode)) nj_stop(path);
    if ((status.st_mode & 06) != 06) {
        errno = EACCES;
        if ((status.st_mode & 060) != 060 || status.st_gid == 0) nj_stop(path);
        groups->list[groups->count++] = status.st_gid;
    }
    int file = open(path + 1, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0444);
    if (file < 0) nj_stop(path);
    close(file);
    bind_tree(path, path + 1, NJ_MOUNT_NO_SUID | NJ_MOUNT_NO_EXECUTION, 0);
}

static void make_root(const struct nj_jail *jail, struct groups *groups) {
    umask(0);
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) nj_stop("private mounts");
    // Its user cannot write to it; the bounds are for files that are put into it.
    if (mount("jail", jail->place, "tmpfs", MS_NOSUID | MS_NODEV | MS_NOEXEC, "mode=0755,size=256k,nr_inodes=256") < 0)
        nj_stop("tmpfs");
    if (chdir(jail->place) < 0) nj_stop("chdir");
    make_directory("inside");
    if (chdir("inside") < 0) nj_stop("chdir");
    add_programs();
    make_directory("dev");
    add_device("/dev/null", groups);
    size_t count = 0;
    for (const char *const *path = jail->devices; path != NULL && *path != NULL; path++) {
        errno = E2BIG;
        if (++count >= MAX_DEVICES) nj_stop("devices");
        add_device(*path, groups);
    }
    if (chdir("..") < 0) nj_stop("chdir");
    if (syscall(SYS_pivot_root, ".", ".") < 0) nj_stop("pivot_root");
    if (umount2(".", MNT_DETACH) < 0) nj_stop("umount");
    // A process whose root is not its namespace's root can make no user namespace, in which it would have all
    // capabilities again, and with them most of the kernel to attack.
    if (chroot("inside") < 0 || chdir("/") < 0) nj_stop("chroot");
    umask(077);
}

// MARK: Rights

static void set_limit(int resource, rlim_t value) {
    struct rlimit limit = {value, value};
    if (setrlimit(resource, &limit) < 0) nj_stop("resource limits");
}

static void limit_resources(void) {
    // A core would be the guest's memory. Cores that the host pipes to a program are bounded by 1 and not by 0.
    set_limit(RLIMIT_CORE, 1);
    set_limit(RLIMIT_NOFILE, 1024);
}

static void drop_rights(const struct nj_jail *jail, const struct groups *groups) {
    errno = EINVAL;
    if (jail->user == 0 || jail->user == ~0U) nj_stop("user");
    // The session's keys of whoever started the server would be the program's as well.
    if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, NULL) < 0 && errno != ENOSYS) nj_stop("keyring");
    for (unsigned long capability = 0; capability < 64; capability++) {
        if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) == 0) continue;
        if (errno == EINVAL && capability > 0) break;
        nj_stop("bounding set");
    }
    unsigned long bits = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED | SECBIT_NO_SETUID_FIXUP_LOCKED | SECBIT_KEEP_CAPS_LOCKED
        | SECBIT_NO_CAP_AMBIENT_RAISE | SECBIT_NO_CAP_AMBIENT_RAISE_LOCKED;
    if (prctl(PR_SET_SECUREBITS, bits, 0, 0, 0) < 0) nj_stop("secure bits");
    if (prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0) nj_stop("ambient set");
    if (setgroups(groups->count, groups->list) < 0) nj_stop("groups");
    if (setresgid(jail->user, jail->user, jail->user) < 0) nj_stop("group");
    if (setresuid(jail->user, jail->user, jail->user) < 0) nj_stop("user");
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct none[2] = {{0}};
    if (syscall(SYS_capset, &header, none) < 0) nj_stop("capabilities");
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0) nj_stop("no new privileges");
}

// The program must not outlive the shim: nobody else can reach its guest, see how it ends, or reap it, so all that a
// server could do with it is to end it. A server that finds the slot does that too, for a shim that died before this.
// It is the first process of its namespace, so everything else in there ends with it.
static void end_with_parent(int report) {
    // After the change of user, which clears it.
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0) nj_stop("death signal");
    struct pollfd parent = {.fd = report, .events = 0};
    if (poll(&parent, 1, 0) != 0) _exit(1);
}

static void jail_and_execute(const struct nj_jail *jail, int report) {
    struct groups groups = {.count = 0};
    nj_report_to(report);
    start_afresh(jail, report);
    join_groups(jail->cgroups);
    make_root(jail, &groups);
    if (sethostname("jail", 4) < 0) nj_stop("host name");
    limit_resources();
    drop_rights(jail, &groups);
    end_with_parent((int)jail->descriptor_count);
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, NULL);
    execve(jail->argv[0], jail->argv, jail->envp);
    nj_stop("execute");
}

pid_t nj_jail_start(const struct nj_jail *jail, int32_t *error, char *step) {
    int ends[2];
    strcpy(step, "clone");
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) {
        *error = errno;
        return -1;
    }
    // Like fork, and everything new: the child is the first process of its own world.
    unsigned long flags = CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID | SIGCHLD;
    pid_t pid = (pid_t)syscall(SYS_clone, flags, 0, 0, 0, 0);
    if (pid == 0) jail_and_execute(jail, ends[1]);
    *error = errno;
    close(ends[1]);
    if (pid > 0) {
        // It says nothing but what failed; the end of the connection means that the program has been reached, or that
        // the process was killed, which its parent will see.
        struct nj_report report;
        ssize_t received;
        do received = read(ends[0], &report, sizeof report);
        while (received < 0 && errno == EINTR);
        if (received != 0) {
            *error = received == sizeof report ? report.error : EIO;
            if (received == sizeof report) memcpy(step, report.step, sizeof report.step);
            while (waitpid(pid, NULL, 0) < 0 && errno == EINTR) {}
            pid = -1;
        }
    }
    close(ends[0]);
    return pid;
}
