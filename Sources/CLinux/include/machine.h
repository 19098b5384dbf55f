// What PID 1 of a machine needs and Swift cannot say: modules, disks, the root, the end.
#pragma once
#include <stdint.h>

enum nj_mount_flag {
    NJ_READ_ONLY = 1,
    NJ_NO_SUID = 2,
    NJ_NO_DEVICES = 4,
    NJ_NO_EXECUTE = 8,
    NJ_MOVE = 16,
    NJ_BIND = 32,
    NJ_REMOUNT = 64,
};
/// `mount(2)`; `options` may be NULL. Returns 0 or an errno.
int32_t nj_mount_at(const char *type, const char *source, const char *target, uint32_t flags, const char *options);
/// Loads a kernel module from a file that is not compressed. Returns 0 or an errno.
int32_t nj_load_module(const char *path);
/// Makes the file system of a writable layer that is mounted at `place` ready, as the host does for its own overlays,
/// and mounts an overlay of it and the lower directories (topmost first, with colons between them). Returns 0, or an
/// errno with the name of the step that failed in `*step`.
int32_t nj_mount_layered(const char *place, const char *lower, const char *target, const char **step);
/// Makes the mount at `place` the root of this process and of all that it starts. Returns 0 or an errno.
int32_t nj_switch_root(const char *place);
/// Writes everything of the file system to its disk and lets nobody write any more, so that its next user finds it
/// whole. Returns 0 or an errno.
int32_t nj_freeze_file_system(int32_t directory);
/// Turns the machine off, or, where that is not possible, restarts it. Returns only if neither is.
void nj_power_off(void);
