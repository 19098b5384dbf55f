// The memory of a virtual machine as a difference to its template's: the file's form, what makes one valid, and what
// reading another process's memory takes. The server and the library inside the machine's process share this.
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define NJ_MEMORY_MAGIC "NJMEMORY"
#define NJ_MEMORY_VERSION 1
#define NJ_MEMORY_PAGE 4096
/// The kernel allows a process 65,530 mappings, and each extent splits one.
#define NJ_MEMORY_EXTENTS 16000
/// Bytes of memory of one machine at most.
#define NJ_MEMORY_LARGEST (1ULL << 40)

/// The beginning of the file; zeros up to one page. The numbers are little-endian.
struct nj_memory_header {
    char magic[8];
    uint32_t version;
    uint32_t page;
    /// Bytes of the machine's memory, and so of the template's file.
    uint64_t memory_size;
    /// Where the table is: after all pages, at the end of the file.
    uint64_t table_offset;
    uint64_t extent_count;
    /// Which template's memory this is a difference to.
    uint8_t base[16];
    /// XXH64 of the table, and of this header up to `header_checksum`.
    uint64_t table_checksum;
    uint64_t header_checksum;
};

/// A part of the memory that is not the template's. All three are multiples of a page.
struct nj_memory_extent {
    /// Where it is in the memory; extents are in this order and do not overlap.
    uint64_t memory;
    uint64_t length;
    /// Where its contents are in the file, in the same order; 0: it is zeros, and not stored.
    uint64_t file;
};

/// What is wrong with a header in a file of that size, or NULL.
const char *nj_memory_check_header(const struct nj_memory_header *header, uint64_t file_size);
/// What is wrong with the table of a header that was found right, or NULL.
const char *nj_memory_check_table(const struct nj_memory_header *header, const struct nj_memory_extent *table);
/// Sets the checksums.
void nj_memory_seal(struct nj_memory_header *header, const struct nj_memory_extent *table);

/// Marks (with 1) each of the pages that a process has for itself: written since a file was mapped privately, in memory
/// or swapped out. `pagemap` is its /proc/PID/pagemap. Returns 0 or an errno.
int32_t nj_memory_scan(int32_t pagemap, uint64_t address, uint8_t *pages, size_t count);
/// Copies from another process's memory. Returns 0 or an errno; EFAULT if a part of it is not there.
int32_t nj_memory_read(pid_t pid, uint64_t address, void *bytes, size_t count);
/// Sets a byte for each page of `bytes`: `zero` if it holds nothing but zeros, else it is left as it is.
void nj_memory_find_zeros(const void *bytes, size_t pages, uint8_t *states, uint8_t zero);
/// Where the run of equal bytes ends that begins at `from`.
size_t nj_memory_run_end(const uint8_t *states, size_t from, size_t end);
