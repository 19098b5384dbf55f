// Puts an overlay at the root of a mount namespace from outside. The overlay is made detached, so it is never visible
// in the host's own namespace, and it disappears with the last process of the namespace that it was attached to. An
// image that holds the writable layer goes the same way: the overlay is what keeps it mounted.
#define _GNU_SOURCE
#include "host.h"
#include "layer_image.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef SYS_move_mount
#define SYS_move_mount 429
#define SYS_fsopen 430
#define SYS_fsconfig 431
#define SYS_fsmount 432
#endif

// From linux/mount.h, which does not go together with sys/mount.h in every libc.
enum { SET_FLAG = 0, SET_STRING = 1, CREATE = 6, CLOEXEC = 1, NO_SUID = 2, NO_DEVICES = 4, FROM_EMPTY_PATH = 4 };

struct report {
    int32_t error;
    char step[32];
};

static int report_descriptor;

static void stop(const char *step) {
    struct report report = {.error = errno == 0 ? EIO : errno};
    strncpy(report.step, step, sizeof report.step - 1);
    ssize_t ignored = write(report_descriptor, &report, sizeof report);
    (void)ignored;
    _exit(1);
}

static void set(int context, const char *key, const char *value) {
    if (syscall(SYS_fsconfig, context, value == NULL ? SET_FLAG : SET_STRING, key, value, 0) < 0) stop(key);
}

// Options that a kernel without the feature does not know; what they turn off is off there.
static void set_if_known(int context, const char *key, const char *value) {
    syscall(SYS_fsconfig, context, SET_STRING, key, value, 0);
}

// Overlayfs takes paths, in which colons and commas are special and whose length the mount interface bounds. The
// links of /proc name the opened directories without either problem.
static void name_directory(char *text, size_t size, const char *path, const char *step) {
    int directory = open(path, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (directory < 0) stop(step);
    size_t length = strlen(text);
    int written = snprintf(text + length, size - length, "%s/proc/self/fd/%d", length == 0 ? "" : ":", directory);
    if (written < 0 || (size_t)written >= size - length) {
        errno = ENAMETOOLONG;
        stop(step);
    }
}

// A volatile overlay leaves a mark that makes the next mount fail, so that nobody takes half-written data for whole.
// After a crash of the machine the caller does not get here with the same layer.
static void remove_volatile_mark(const char *work) {
    int directory = open(work, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (directory < 0) stop("work directory");
    unlinkat(directory, "work/incompat/volatile/dirty", 0);
    unlinkat(directory, "work/incompat/volatile", AT_REMOVEDIR);
    unlinkat(directory, "work/incompat", AT_REMOVEDIR);
    close(directory);
}

// The namespace in which the image is mounted is the helper's own: it ends with it.
static int open_image(const struct nj_root *root) {
    if (unshare(CLONE_NEWNS) < 0) stop("own namespace");
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) stop("private mounts");
    const char *step = nj_mount_image(root->image, root->place);
    if (step != NULL) stop(step);
    int layer = open(root->place, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (layer < 0) stop("layer image");
    if ((step = nj_prepare_layer(layer, root->upper, root->work, root->is_fresh)) != NULL) stop(step);
    // From here on the layer's directories are found by their names alone.
    if (fchdir(layer) < 0) stop("layer image");
    return layer;
}

static int make_overlay(const struct nj_root *root) {
    char lower[256] = "", upper[64] = "", work[64] = "";
    for (const char *const *path = root->lower; *path != NULL; path++)
        name_directory(lower, sizeof lower, *path, "lower layer");
    name_directory(upper, sizeof upper, root->upper, "upper layer");
    remove_volatile_mark(root->work);
    name_directory(work, sizeof work, root->work, "work directory");
    int context = (int)syscall(SYS_fsopen, "overlay", CLOEXEC);
    if (context < 0) stop("fsopen");
    set(context, "source", "nightjar");
    set(context, "lowerdir", lower);
    set(context, "upperdir", upper);
    set(context, "workdir", work);
    // Nothing in the upper layer may point elsewhere in the lower ones, and inode numbers must be the same at the
    // next mount, when a restored sandbox looks for its files.
    set_if_known(context, "index", "off");
    set_if_known(context, "metacopy", "off");
    set_if_known(context, "redirect_dir", "nofollow");
    set_if_known(context, "xino", "auto");
    if (root->is_volatile) set(context, "volatile", NULL);
    if (syscall(SYS_fsconfig, context, CREATE, NULL, NULL, 0) < 0) stop("overlay");
    int mount = (int)syscall(SYS_fsmount, context, CLOEXEC, NO_SUID | NO_DEVICES);
    if (mount < 0) stop("fsmount");
    return mount;
}

// Returns a descriptor of the image's root, or -1 if there is no image.
static int attach(pid_t pid, const struct nj_root *root, const char *mount_point) {
    int layer = root->image == NULL ? -1 : open_image(root);
    int mount = make_overlay(root);
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/mnt", pid);
    int namespace = open(path, O_RDONLY | O_CLOEXEC);
    if (namespace < 0) stop("mount namespace");
    snprintf(path, sizeof path, "/proc/%d/root", pid);
    int old_root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (old_root < 0) stop("process root");
    if (setns(namespace, CLONE_NEWNS) < 0) stop("setns");
    if (fchdir(old_root) < 0 || chroot(".") < 0) stop("chroot");
    if (syscall(SYS_move_mount, mount, "", AT_FDCWD, mount_point, FROM_EMPTY_PATH) < 0) stop("move_mount");
    if (chdir(mount_point) < 0) stop("chdir");
    if (syscall(SYS_pivot_root, ".", ".") < 0) stop("pivot_root");
    if (umount2(".", MNT_DETACH) < 0) stop("umount");
    return layer;
}

int32_t nj_attach_root(
    pid_t pid, const struct nj_root *root, const char *mount_point, char *step, int32_t *layer
) {
    struct report report = {.error = EIO, .step = "helper"};
    *layer = -1;
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) return errno;
    pid_t helper = fork();
    if (helper == 0) {
        report_descriptor = ends[1];
        int descriptor = attach(pid, root, mount_point);
        report.error = 0;
        if (nj_send_descriptors(ends[1], &report, sizeof report, &descriptor, descriptor >= 0) < 0) stop("report");
        _exit(0);
    }
    int error = errno;
    close(ends[1]);
    if (helper < 0) {
        close(ends[0]);
        return error;
    }
    size_t count = 1;
    int64_t received = nj_receive_descriptors(ends[0], &report, sizeof report, layer, &count);
    int status = 0;
    while (waitpid(helper, &status, 0) < 0 && errno == EINTR) {}
    close(ends[0]);
    if (received == sizeof report && report.error == 0 && status == 0) return 0;
    if (received != sizeof report) report = (struct report){.error = EIO, .step = "helper"};
    if (count == 1 && *layer >= 0) close(*layer);
    *layer = -1;
    memcpy(step, report.step, sizeof report.step);
    return report.error == 0 ? EIO : report.error;
}
