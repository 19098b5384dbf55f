// What makes the table of a memory difference valid. The library inside the virtual machine's process is built from
// this file too, so it uses nothing but the checksum.
#include <string.h>

#include "host.h"
#include "machine_memory.h"

_Static_assert(sizeof(struct nj_memory_header) == 72, "the header's form is fixed");
_Static_assert(sizeof(struct nj_memory_extent) == 24, "the table's form is fixed");

static int is_paged(uint64_t value) { return value % NJ_MEMORY_PAGE == 0; }

static uint64_t table_bytes(const struct nj_memory_header *header) {
    return header->extent_count * sizeof(struct nj_memory_extent);
}

static uint64_t header_checksum(const struct nj_memory_header *header) {
    return nj_checksum(header, offsetof(struct nj_memory_header, header_checksum), 0);
}

const char *nj_memory_check_header(const struct nj_memory_header *header, uint64_t file_size) {
    if (memcmp(header->magic, NJ_MEMORY_MAGIC, sizeof header->magic) != 0) return "it is no memory difference";
    if (header->version != NJ_MEMORY_VERSION) return "its format is of another version";
    if (header->header_checksum != header_checksum(header)) return "its header is damaged";
    if (header->page != NJ_MEMORY_PAGE) return "its pages are of another size";
    if (header->memory_size == 0 || header->memory_size > NJ_MEMORY_LARGEST || !is_paged(header->memory_size))
        return "its memory size is not possible";
    if (header->extent_count > NJ_MEMORY_EXTENTS) return "it has too many extents";
    if (header->table_offset < NJ_MEMORY_PAGE || !is_paged(header->table_offset) || header->table_offset > file_size)
        return "its table is not where it can be";
    if (file_size - header->table_offset != table_bytes(header)) return "it is cut off or too long";
    return NULL;
}

const char *nj_memory_check_table(const struct nj_memory_header *header, const struct nj_memory_extent *table) {
    if (nj_checksum(table, table_bytes(header), 0) != header->table_checksum) return "its table is damaged";
    uint64_t memory = 0, file = NJ_MEMORY_PAGE;
    for (uint64_t i = 0; i < header->extent_count; i++) {
        const struct nj_memory_extent *e = &table[i];
        if (e->length == 0 || !is_paged(e->length) || !is_paged(e->memory) || !is_paged(e->file))
            return "an extent does not consist of pages";
        if (e->memory < memory) return "its extents overlap or are out of order";
        if (e->memory > header->memory_size || e->length > header->memory_size - e->memory)
            return "an extent is beyond the memory";
        memory = e->memory + e->length;
        if (e->file == 0) continue;
        if (e->file < file) return "the contents of its extents overlap or are out of order";
        if (e->file > header->table_offset || e->length > header->table_offset - e->file)
            return "the contents of an extent are beyond the file";
        file = e->file + e->length;
    }
    return NULL;
}

void nj_memory_seal(struct nj_memory_header *header, const struct nj_memory_extent *table) {
    header->table_checksum = nj_checksum(table, table_bytes(header), 0);
    header->header_checksum = header_checksum(header);
}
