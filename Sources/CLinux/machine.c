#define _GNU_SOURCE
#include "machine.h"
#include "layer_image.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/reboot.h>
#include <sys/syscall.h>
#include <unistd.h>

int32_t nj_mount_at(const char *type, const char *source, const char *target, uint32_t flags, const char *options) {
    static const unsigned long values[] = {MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_MOVE, MS_BIND, MS_REMOUNT};
    unsigned long all = 0;
    for (unsigned bit = 0; bit < sizeof values / sizeof *values; bit++)
        if (flags & 1u << bit) all |= values[bit];
    return mount(source, target, type, all, options) < 0 ? errno : 0;
}

int32_t nj_load_module(const char *path) {
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return errno;
    int error = syscall(SYS_finit_module, file, "", 0) < 0 ? errno : 0;
    close(file);
    return error;
}

static int32_t failed(const char **step, const char *name) {
    *step = name;
    return errno == 0 ? EIO : errno;
}

int32_t nj_mount_layered(const char *place, const char *lower, const char *target, const char **step) {
    int layer = open(place, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (layer < 0) return failed(step, "layer");
    // The init of a machine is always a new one: a restored machine does not come here.
    const char *unprepared = nj_prepare_layer(layer, "upper", "work", 1);
    close(layer);
    if (unprepared != NULL) return failed(step, unprepared);
    char options[512], work[128];
    snprintf(work, sizeof work, "%s/work", place);
    if (nj_remove_volatile_mark(work) < 0) return failed(step, "work directory");
    int length = snprintf(
        options, sizeof options, "lowerdir=%s,upperdir=%s/upper,workdir=%s", lower, place, work);
    for (const char *const *setting = nj_overlay_settings; *setting != NULL; setting += 2)
        if (length >= 0 && (size_t)length < sizeof options)
            length += snprintf(options + length, sizeof options - length, ",%s=%s", setting[0], setting[1]);
    if (length < 0 || (size_t)length >= sizeof options) {
        errno = ENAMETOOLONG;
        return failed(step, "overlay");
    }
    return mount("nightjar", target, "overlay", 0, options) < 0 ? failed(step, "overlay") : 0;
}

int32_t nj_switch_root(const char *place) {
    // The initial file system cannot be exchanged (pivot_root), only covered.
    if (chdir(place) < 0 || mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0) return errno;
    return 0;
}

int32_t nj_freeze_file_system(int32_t directory) { return ioctl(directory, FIFREEZE, 0) < 0 ? errno : 0; }

void nj_power_off(void) {
    reboot(RB_POWER_OFF);
    reboot(RB_AUTOBOOT);
}
