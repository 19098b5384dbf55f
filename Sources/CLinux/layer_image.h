// The writable layer of a sandbox as a file system of its own. For attach_root.c.
#pragma once

/// Mounts an ext4 image on a directory of the calling process's mount namespace, which must be its own. Waits until
/// nobody else has the image open. The loop device goes with the last mount. Returns NULL, or the step that failed
/// with errno set.
const char *nj_mount_image(const char *image, const char *place);

/// Makes the layer's directories if this is its first use. `fresh`: moves what the guest put over the init out of the
/// way. Returns NULL, or the step that failed with errno set.
const char *nj_prepare_layer(int root, const char *upper, const char *work, int fresh);

/// How an overlay over such a layer is mounted, wherever that is: keys, each with its value; ends with NULL. Nothing in
/// the upper layer may point elsewhere in the lower ones, and inode numbers must be the same at the next mount, when a
/// restored sandbox looks for its files. A kernel that does not know one of them does not have what it turns off.
extern const char *const nj_overlay_settings[];

/// A volatile overlay leaves a mark that makes the next mount fail, so that nobody takes half-written data for whole.
/// After a crash of the machine the caller does not get here with the same layer. `work` is the work directory. Returns
/// 0 or -1 with errno set.
int nj_remove_volatile_mark(const char *work);
