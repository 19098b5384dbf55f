// A library that a virtual machine's process is started with (LD_PRELOAD). When the process maps the memory file of the
// template privately, it lays the difference of this machine over that mapping, so that every page is read from the
// right file when the guest first touches it, and nothing is copied before.
//
// NIGHTJAR_MEMORY is the path of the template's memory; the difference is beside it, as PATH.difference. It has to be
// there, be it empty. The process ends with a message if anything is not as expected: with another memory than it had,
// a guest must not run. The template's file is opened for reading only, whatever the process asks for.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "machine_memory.h"

#define EXPORTED __attribute__((visibility("default")))

static char memory_path[4096 - 16];
static char difference_path[4096];

static _Noreturn void give_up(const char *why, int error) {
    char text[256];
    const char *reason = error == 0 ? NULL : strerrordesc_np(error);
    int length = snprintf(
        text, sizeof text, "nightjar-memory: %s%s%s\n", why, reason != NULL ? ": " : "", reason != NULL ? reason : "");
    // In one piece, so that whoever reads it sees all of it.
    ssize_t ignored = write(2, text, length < (int)sizeof text ? (size_t)length : sizeof text - 1);
    (void)ignored;
    _exit(70);
}

__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("NIGHTJAR_MEMORY");
    if (path == NULL || path[0] != '/') give_up("NIGHTJAR_MEMORY is no absolute path", 0);
    if (strlen(path) >= sizeof memory_path) give_up("NIGHTJAR_MEMORY is too long", 0);
    strcpy(memory_path, path);
    snprintf(difference_path, sizeof difference_path, "%s.difference", path);
}

static void read_all(int file, void *bytes, size_t count, off_t offset) {
    for (size_t done = 0; done < count;) {
        ssize_t came = pread(file, (char *)bytes + done, count - done, offset + (off_t)done);
        if (came < 0 && errno == EINTR) continue;
        if (came <= 0) give_up("the memory difference cannot be read", came < 0 ? errno : 0);
        done += (size_t)came;
    }
}

static void *raw_map(void *address, size_t length, int protection, int flags, int file, off_t offset) {
    return (void *)syscall(SYS_mmap, address, length, protection, flags, file, offset);
}

static void lay_extent(char *memory, const struct nj_memory_extent *e, int protection, int flags, int file) {
    int is_zero = e->file == 0;
    void *place = raw_map(
        memory + e->memory, e->length, protection, MAP_PRIVATE | MAP_FIXED | flags | (is_zero ? MAP_ANONYMOUS : 0),
        is_zero ? -1 : file, (off_t)e->file);
    if (place == MAP_FAILED) give_up("an extent of the memory difference cannot be mapped", errno);
}

static void lay(char *memory, size_t length, int protection, int flags) {
    int file = (int)syscall(SYS_openat, AT_FDCWD, difference_path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW, 0);
    if (file < 0) give_up("the memory difference cannot be opened", errno);
    struct stat status;
    if (fstat(file, &status) < 0 || !S_ISREG(status.st_mode)) give_up("the memory difference is not a file", 0);
    struct nj_memory_header header;
    if ((uint64_t)status.st_size < sizeof header) give_up("the memory difference is cut off", 0);
    read_all(file, &header, sizeof header, 0);
    const char *wrong = nj_memory_check_header(&header, (uint64_t)status.st_size);
    if (wrong != NULL) give_up(wrong, 0);
    if (header.memory_size != length) give_up("the memory difference is of another memory size", 0);
    size_t bytes = header.extent_count * sizeof(struct nj_memory_extent);
    struct nj_memory_extent *table = malloc(bytes + 1);
    if (table == NULL) give_up("there is no memory for the table of the memory difference", 0);
    read_all(file, table, bytes, (off_t)header.table_offset);
    wrong = nj_memory_check_table(&header, table);
    if (wrong != NULL) give_up(wrong, 0);
    for (uint64_t i = 0; i < header.extent_count; i++) lay_extent(memory, &table[i], protection, flags, file);
    free(table);
    close(file);
}

/// Whether it is the template's memory that a descriptor is of.
static int is_memory(int file, off_t *size) {
    struct stat here, there;
    if (fstat(file, &here) < 0 || stat(memory_path, &there) < 0) return 0;
    *size = here.st_size;
    return here.st_dev == there.st_dev && here.st_ino == there.st_ino;
}

EXPORTED void *mmap64(void *address, size_t length, int protection, int flags, int file, off64_t offset) {
    off_t size = 0;
    int is_ours = file >= 0 && (flags & MAP_ANONYMOUS) == 0 && is_memory(file, &size);
    if (is_ours) {
        if ((flags & MAP_TYPE) != MAP_PRIVATE) give_up("the template's memory would be shared", 0);
        if (offset != 0 || (uint64_t)size != length) give_up("the template's memory is of another size", 0);
    }
    void *place = raw_map(address, length, protection, flags, file, offset);
    if (is_ours && place != MAP_FAILED) lay(place, length, protection, flags & MAP_NORESERVE);
    return place;
}

EXPORTED void *mmap(void *address, size_t length, int protection, int flags, int file, off_t offset) {
    return mmap64(address, length, protection, flags, file, offset);
}

static int open_file(const char *path, int flags, mode_t mode) {
    if (strcmp(path, memory_path) == 0) flags = (flags & ~(O_ACCMODE | O_CREAT | O_TRUNC)) | O_RDONLY;
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

static mode_t mode_of(int flags, va_list rest) {
    return (flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE ? va_arg(rest, mode_t) : 0;
}

#define OPEN(name) \
    EXPORTED int name(const char *path, int flags, ...) { \
        va_list rest; \
        va_start(rest, flags); \
        mode_t mode = mode_of(flags, rest); \
        va_end(rest); \
        return open_file(path, flags, mode); \
    }

OPEN(open)
OPEN(open64)

// What the C library's headers make of `open` with two arguments in fortified programs.
EXPORTED int __open_2(const char *path, int flags) { return open_file(path, flags, 0); }
EXPORTED int __open64_2(const char *path, int flags) { return open_file(path, flags, 0); }
