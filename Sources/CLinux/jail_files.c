// Changes of a jail from outside: a helper enters its mount namespace.
#define _GNU_SOURCE
#include "jail_files.h"
#include "helper.h"
#include "jail.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_open_tree
#define SYS_open_tree 428
#define SYS_move_mount 429
#endif
#ifndef SYS_mount_setattr
#define SYS_mount_setattr 442
#endif

enum { TREE_CLONE = 1, FROM_EMPTY_PATH = 4, MAX_FILES = 64 };

int nj_open_tree(int directory, const char *path, unsigned flags) {
    unsigned all = TREE_CLONE | O_CLOEXEC | flags | (*path == 0 ? AT_EMPTY_PATH : AT_SYMLINK_NOFOLLOW);
    return (int)syscall(SYS_open_tree, directory, path, all);
}

int nj_set_mount(int tree, uint64_t attributes, unsigned flags) {
    struct {
        uint64_t set, clear, propagation, user_namespace;
    } what = {.set = attributes, .propagation = MS_PRIVATE};
    return (int)syscall(SYS_mount_setattr, tree, "", AT_EMPTY_PATH | flags, &what, sizeof what);
}

int nj_move_mount(int tree, const char *target) {
    return (int)syscall(SYS_move_mount, tree, "", AT_FDCWD, target, FROM_EMPTY_PATH);
}

// MARK: Files

struct attachment {
    pid_t pid;
    uint32_t user;
    const struct nj_jail_file *files;
    size_t count;
};

// Opens a file as a name only, which has no effect on whatever it turns out to be.
static int open_checked(const struct nj_jail_file *file, uint32_t user) {
    int descriptor = open(file->path, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    struct stat status;
    if (descriptor < 0 || fstat(descriptor, &status) < 0) nj_stop("open");
    errno = EINVAL;
    if (!S_ISREG(status.st_mode)) nj_stop("not a regular file");
    mode_t wanted = file->is_writable ? S_IRUSR | S_IWUSR : status.st_uid == user ? S_IRUSR : S_IROTH;
    errno = EACCES;
    if ((status.st_mode & wanted) != wanted) nj_stop("file mode");
    return descriptor;
}

static int make_mount(const struct nj_jail_file *file, int descriptor, uint32_t user) {
    uint64_t attributes = NJ_MOUNT_NO_SUID | NJ_MOUNT_NO_DEVICES | NJ_MOUNT_NO_EXECUTION;
    if (!file->is_writable) attributes |= NJ_MOUNT_READ_ONLY;
    if (file->is_writable && fchownat(descriptor, "", user, user, AT_EMPTY_PATH) < 0) nj_stop("owner");
    int tree = nj_open_tree(descriptor, "", 0);
    if (tree < 0) nj_stop("copy of the mount");
    if (nj_set_mount(tree, attributes, 0) < 0) nj_stop("mount attributes");
    return tree;
}

static int32_t attach(const void *context) {
    const struct attachment *what = context;
    int files[MAX_FILES];
    errno = E2BIG;
    if (what->count > MAX_FILES) nj_stop("files");
    for (size_t i = 0; i < what->count; i++) {
        const char *name = what->files[i].name;
        errno = EINVAL;
        if (*name == 0 || *name == '.' || strchr(name, '/') != NULL) nj_stop("name");
        files[i] = open_checked(&what->files[i], what->user);
    }
    for (size_t i = 0; i < what->count; i++) files[i] = make_mount(&what->files[i], files[i], what->user);
    nj_enter_root(what->pid);
    umask(077);
    for (size_t i = 0; i < what->count; i++) {
        const char *name = what->files[i].name, *step = name;
        int place = open(name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0400);
        if (place >= 0 && nj_move_mount(files[i], name) == 0) {
            close(place);
            continue;
        }
        int error = errno;
        if (place >= 0) unlink(name);
        while (i-- > 0) {
            umount2(what->files[i].name, MNT_DETACH | UMOUNT_NOFOLLOW);
            unlink(what->files[i].name);
        }
        errno = error;
        nj_stop(step);
    }
    return -1;
}

int32_t nj_jail_attach(pid_t pid, uint32_t user, const struct nj_jail_file *files, size_t count, char *step) {
    struct attachment what = {.pid = pid, .user = user, .files = files, .count = count};
    int32_t none;
    return nj_run_helper(attach, &what, step, &none);
}

// MARK: The seal

// Removes a directory with what is mounted on it, or on the files in it.
static void remove_tree(const char *name) {
    struct stat status;
    if (lstat(name, &status) < 0) {
        if (errno == ENOENT) return;
        nj_stop(name);
    }
    if (S_ISLNK(status.st_mode) && unlink(name) < 0) nj_stop(name);
    if (!S_ISDIR(status.st_mode)) return;
    // Not mounted: a directory of the jail's own.
    if (umount2(name, MNT_DETACH | UMOUNT_NOFOLLOW) < 0 && errno != EINVAL) nj_stop(name);
    DIR *directory = opendir(name);
    if (directory == NULL || chdir(name) < 0) nj_stop(name);
    for (struct dirent *entry; (entry = readdir(directory)) != NULL;) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        umount2(entry->d_name, MNT_DETACH | UMOUNT_NOFOLLOW);
        if (unlink(entry->d_name) < 0) nj_stop(entry->d_name);
    }
    closedir(directory);
    if (chdir("/") < 0 || rmdir(name) < 0) nj_stop(name);
}

static int32_t seal(const void *context) {
    nj_enter_root(*(const pid_t *)context);
    for (size_t i = 0; i < sizeof nj_jail_trees / sizeof *nj_jail_trees; i++) remove_tree(nj_jail_trees[i]);
    remove_tree("dev");
    DIR *root = opendir(".");
    if (root == NULL) nj_stop("root directory");
    for (struct dirent *entry; (entry = readdir(root)) != NULL;) {
        struct stat status;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        errno = EBUSY;
        if (lstat(entry->d_name, &status) < 0 || !S_ISREG(status.st_mode)) nj_stop(entry->d_name);
    }
    return -1;
}

int32_t nj_jail_seal(pid_t pid, char *step) {
    int32_t none;
    return nj_run_helper(seal, &pid, step, &none);
}
