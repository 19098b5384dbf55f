// What is in a jail, shared by its making and its changes.
#pragma once
#include <stdint.h>

// Directories of the host with programs and libraries.
static const char *const nj_jail_trees[] = {"usr", "lib", "lib32", "lib64", "libx32", "bin", "sbin"};

// From linux/mount.h, which does not go together with sys/mount.h in every libc.
enum {
    NJ_MOUNT_READ_ONLY = 1,
    NJ_MOUNT_NO_SUID = 2,
    NJ_MOUNT_NO_DEVICES = 4,
    NJ_MOUNT_NO_EXECUTION = 8,
    NJ_RECURSIVE = 0x8000,
};

// A detached copy of the mount at a path, or, with an empty path, of an opened file. Returns a descriptor or -1.
int nj_open_tree(int directory, const char *path, unsigned flags);
// Attributes of a detached mount, which also becomes private. Returns 0 or -1.
int nj_set_mount(int tree, uint64_t attributes, unsigned flags);
// Attaches a detached mount. Returns 0 or -1.
int nj_move_mount(int tree, const char *target);
