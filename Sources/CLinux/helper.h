// Work in a child process that tells which step of it failed.
#pragma once
#include <stdint.h>
#include <sys/types.h>

struct nj_report {
    int32_t error;
    char step[32];
};

// Where nj_stop reports to, in this process.
void nj_report_to(int32_t descriptor);
// Reports errno and the step, and ends the process.
void nj_stop(const char *step) __attribute__((noreturn));

// Forks, does the work there, and waits for it. The work stops by nj_stop, or returns a descriptor or -1. Returns 0, or
// an errno with the step's name (at least 32 bytes); `*descriptor` becomes the returned one, close-on-exec, or -1.
// Only for processes with one thread.
int32_t nj_run_helper(int32_t (*work)(const void *), const void *context, char *step, int32_t *descriptor);

// Enters the mount namespace and the root directory of a process. Stops on failure.
void nj_enter_root(pid_t pid);
