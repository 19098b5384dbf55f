// The writable layer of a sandbox as a file system of its own. For attach_root.c.
#pragma once

/// Mounts an ext4 image on a directory of the calling process's mount namespace, which must be its own. Waits until
/// nobody else has the image open. The loop device goes with the last mount. Returns NULL, or the step that failed
/// with errno set.
const char *nj_mount_image(const char *image, const char *place);

/// Makes the layer's directories if this is its first use. `fresh`: moves what the guest put over the init out of the
/// way. Returns NULL, or the step that failed with errno set.
const char *nj_prepare_layer(int root, const char *upper, const char *work, int fresh);
