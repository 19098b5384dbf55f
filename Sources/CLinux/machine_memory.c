// Reading the memory of a virtual machine's process.
#define _GNU_SOURCE
#include "machine_memory.h"

#include <errno.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

// Documentation/admin-guide/mm/pagemap.rst of the kernel.
#define PAGE_PRESENT (1ULL << 63)
#define PAGE_SWAPPED (1ULL << 62)
#define PAGE_OF_FILE (1ULL << 61)

int32_t nj_memory_scan(int32_t pagemap, uint64_t address, uint8_t *pages, size_t count) {
    uint64_t entries[4096];
    for (size_t done = 0; done < count;) {
        size_t wanted = count - done < 4096 ? count - done : 4096;
        off_t offset = (off_t)((address / NJ_MEMORY_PAGE + done) * sizeof entries[0]);
        ssize_t bytes = pread(pagemap, entries, wanted * sizeof entries[0], offset);
        if (bytes < 0 && errno == EINTR) continue;
        if (bytes < 0) return errno;
        size_t came = (size_t)bytes / sizeof entries[0];
        // The end of the address space.
        if (came == 0) return EFAULT;
        for (size_t i = 0; i < came; i++) {
            if ((entries[i] & (PAGE_PRESENT | PAGE_SWAPPED)) != 0 && (entries[i] & PAGE_OF_FILE) == 0)
                pages[done + i] = 1;
        }
        done += came;
    }
    return 0;
}

int32_t nj_memory_read(pid_t pid, uint64_t address, void *bytes, size_t count) {
    size_t done = 0;
    while (done < count) {
        struct iovec local = {.iov_base = (char *)bytes + done, .iov_len = count - done};
        struct iovec remote = {.iov_base = (void *)(uintptr_t)(address + done), .iov_len = count - done};
        ssize_t came = process_vm_readv(pid, &local, 1, &remote, 1, 0);
        if (came < 0 && errno == EINTR) continue;
        if (came < 0) return errno;
        if (came == 0) return EFAULT;
        done += (size_t)came;
    }
    return 0;
}

static int is_zero(const unsigned char *page) {
    // The first bytes decide nearly always; the rest is compared with what is already known to be zero.
    uint64_t first[2];
    memcpy(first, page, sizeof first);
    return first[0] == 0 && first[1] == 0 && memcmp(page, page + 16, NJ_MEMORY_PAGE - 16) == 0;
}

void nj_memory_find_zeros(const void *bytes, size_t pages, uint8_t *states, uint8_t zero) {
    for (size_t i = 0; i < pages; i++)
        if (is_zero((const unsigned char *)bytes + i * NJ_MEMORY_PAGE)) states[i] = zero;
}

size_t nj_memory_run_end(const uint8_t *states, size_t from, size_t end) {
    size_t i = from;
    while (i < end && states[i] == states[from]) i++;
    return i;
}
