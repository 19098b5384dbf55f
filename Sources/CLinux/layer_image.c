#define _GNU_SOURCE
#include "layer_image.h"
#include "host.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

// A former user's mount goes shortly after its last process, once what it wrote last has reached the image.
enum { PATIENCE_MS = 8000, ATTEMPTS = 256 };

static int64_t now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

// Two mounts of one image would destroy it. A write lease is given only to a file's sole user, and a loop device uses
// its file like everybody else.
int32_t nj_await_sole_use(int32_t file, int32_t milliseconds) {
    int64_t deadline = now() + milliseconds;
    while (fcntl(file, F_SETLEASE, F_WRLCK) < 0) {
        if (errno != EAGAIN) return errno;
        if (now() >= deadline) return EBUSY;
        usleep(500);
    }
    return fcntl(file, F_SETLEASE, F_UNLCK) < 0 ? errno : 0;
}

// Opens a loop device that shows the file and is given up with its last user.
static int attach_loop(int file, char *name, size_t size) {
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    if (control < 0) return -1;
    int device = -1;
    for (int attempt = 0; attempt < ATTEMPTS; attempt++) {
        int number = ioctl(control, LOOP_CTL_GET_FREE);
        if (number < 0) break;
        snprintf(name, size, "/dev/loop%d", number);
        device = open(name, O_RDWR | O_CLOEXEC);
        if (device < 0) break;
        struct loop_config config = {
            .fd = (uint32_t)file, .block_size = 4096, .info = {.lo_flags = LO_FLAGS_AUTOCLEAR}};
        if (ioctl(device, LOOP_CONFIGURE, &config) == 0) break;
        int error = errno;
        close(device);
        device = -1;
        errno = error;
        // Somebody else was given the same one.
        if (error != EBUSY) break;
    }
    int error = errno;
    close(control);
    errno = error;
    return device;
}

const char *nj_mount_image(const char *image, const char *place) {
    int file = open(image, O_RDWR | O_NOFOLLOW | O_CLOEXEC);
    if (file < 0) return "layer image";
    if ((errno = nj_await_sole_use(file, PATIENCE_MS)) != 0) return "use of the layer image";
    char name[32];
    int device = attach_loop(file, name, sizeof name);
    if (device < 0) return "loop device";
    // What is deleted inside is given back to the host. Tables that were never written are zero in a sparse file, so
    // nobody needs to write them.
    if (mount(name, place, "ext4", MS_NOSUID | MS_NODEV, "discard,noinit_itable,errors=remount-ro") < 0)
        return "mount of the layer image";
    close(device);
    close(file);
    return NULL;
}

static int make(int root, const char *name, mode_t mode) {
    if (mkdirat(root, name, mode) < 0) return errno == EEXIST ? 0 : -1;
    // The mode of mkdir is cut by the umask.
    return fchmodat(root, name, mode, 0);
}

// It is moved, not removed: a guest's tree may be of any depth and size. It goes on counting for the guest.
static int set_aside(int root, const char *upper) {
    char from[64], to[64];
    struct stat status;
    snprintf(from, sizeof from, "%s/.nightjar", upper);
    if (fstatat(root, from, &status, AT_SYMLINK_NOFOLLOW) < 0) return errno == ENOENT ? 0 : -1;
    struct timespec time;
    clock_gettime(CLOCK_REALTIME, &time);
    snprintf(to, sizeof to, "aside/%lld-%ld", (long long)time.tv_sec, time.tv_nsec);
    return make(root, "aside", 0700) < 0 ? -1 : renameat(root, from, root, to);
}

const char *nj_prepare_layer(int root, const char *upper, const char *work, int fresh) {
    if (make(root, upper, 0755) < 0 || make(root, work, 0700) < 0) return "directories of the layer";
    if (fresh && set_aside(root, upper) < 0) return "what is over the init";
    return NULL;
}

const char *const nj_overlay_settings[] = {
    "index", "off", "metacopy", "off", "redirect_dir", "nofollow", "xino", "auto", NULL};

int nj_remove_volatile_mark(const char *work) {
    int directory = open(work, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (directory < 0) return -1;
    unlinkat(directory, "work/incompat/volatile/dirty", 0);
    unlinkat(directory, "work/incompat/volatile", AT_REMOVEDIR);
    unlinkat(directory, "work/incompat", AT_REMOVEDIR);
    close(directory);
    return 0;
}
