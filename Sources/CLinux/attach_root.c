// Puts an overlay at the root of a mount namespace from outside. The overlay is made detached, so it is never visible
// in the host's own namespace, and it disappears with the last process of the namespace that it was attached to. An
// image that holds the writable layer goes the same way: the overlay is what keeps it mounted.
#define _GNU_SOURCE
#include "helper.h"
#include "host.h"
#include "layer_image.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SYS_move_mount
#define SYS_move_mount 429
#define SYS_fsopen 430
#define SYS_fsconfig 431
#define SYS_fsmount 432
#endif

// From linux/mount.h, which does not go together with sys/mount.h in every libc.
enum { SET_FLAG = 0, SET_STRING = 1, CREATE = 6, CLOEXEC = 1, NO_SUID = 2, NO_DEVICES = 4, FROM_EMPTY_PATH = 4 };

static void stop(const char *step) { nj_stop(step); }

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
    if (nj_remove_volatile_mark(root->work) < 0) stop("work directory");
    name_directory(work, sizeof work, root->work, "work directory");
    int context = (int)syscall(SYS_fsopen, "overlay", CLOEXEC);
    if (context < 0) stop("fsopen");
    set(context, "source", "nightjar");
    set(context, "lowerdir", lower);
    set(context, "upperdir", upper);
    set(context, "workdir", work);
    for (const char *const *setting = nj_overlay_settings; *setting != NULL; setting += 2)
        set_if_known(context, setting[0], setting[1]);
    if (root->is_volatile) set(context, "volatile", NULL);
    if (syscall(SYS_fsconfig, context, CREATE, NULL, NULL, 0) < 0) stop("overlay");
    int mount = (int)syscall(SYS_fsmount, context, CLOEXEC, NO_SUID | NO_DEVICES);
    if (mount < 0) stop("fsmount");
    return mount;
}

struct attachment {
    pid_t pid;
    const struct nj_root *root;
    const char *mount_point;
};

// Returns a descriptor of the image's root, or -1 if there is no image.
static int32_t attach(const void *context) {
    const struct attachment *what = context;
    int layer = what->root->image == NULL ? -1 : open_image(what->root);
    int mount = make_overlay(what->root);
    nj_enter_root(what->pid);
    if (syscall(SYS_move_mount, mount, "", AT_FDCWD, what->mount_point, FROM_EMPTY_PATH) < 0) stop("move_mount");
    if (chdir(what->mount_point) < 0) stop("chdir");
    if (syscall(SYS_pivot_root, ".", ".") < 0) stop("pivot_root");
    if (umount2(".", MNT_DETACH) < 0) stop("umount");
    return layer;
}

int32_t nj_attach_root(
    pid_t pid, const struct nj_root *root, const char *mount_point, char *step, int32_t *layer
) {
    struct attachment what = {.pid = pid, .root = root, .mount_point = mount_point};
    return nj_run_helper(attach, &what, step, layer);
}
