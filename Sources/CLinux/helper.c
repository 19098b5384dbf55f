#define _GNU_SOURCE
#include "helper.h"
#include "host.h"

#include <errno.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static int32_t report_descriptor = -1;

void nj_report_to(int32_t descriptor) { report_descriptor = descriptor; }

void nj_stop(const char *step) {
    struct nj_report report = {.error = errno == 0 ? EIO : errno};
    strncpy(report.step, step, sizeof report.step - 1);
    ssize_t ignored = write(report_descriptor, &report, sizeof report);
    (void)ignored;
    _exit(1);
}

int32_t nj_run_helper(int32_t (*work)(const void *), const void *context, char *step, int32_t *descriptor) {
    struct nj_report report = {.error = EIO, .step = "helper"};
    *descriptor = -1;
    int ends[2];
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, ends) < 0) return errno;
    pid_t helper = fork();
    if (helper == 0) {
        nj_report_to(ends[1]);
        int result = work(context);
        report.error = 0;
        if (nj_send_descriptors(ends[1], &report, sizeof report, &result, result >= 0) < 0) nj_stop("report");
        _exit(0);
    }
    int error = errno;
    close(ends[1]);
    if (helper < 0) {
        close(ends[0]);
        return error;
    }
    size_t count = 1;
    int64_t received = nj_receive_descriptors(ends[0], &report, sizeof report, descriptor, &count);
    int status = 0;
    while (waitpid(helper, &status, 0) < 0 && errno == EINTR) {}
    close(ends[0]);
    if (received == sizeof report && report.error == 0 && status == 0) return 0;
    if (received != sizeof report) report = (struct nj_report){.error = EIO, .step = "helper"};
    if (count == 1 && *descriptor >= 0) close(*descriptor);
    *descriptor = -1;
    memcpy(step, report.step, sizeof report.step);
    return report.error == 0 ? EIO : report.error;
}

void nj_enter_root(pid_t pid) {
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/ns/mnt", pid);
    int namespace = open(path, O_RDONLY | O_CLOEXEC);
    if (namespace < 0) nj_stop("mount namespace");
    snprintf(path, sizeof path, "/proc/%d/root", pid);
    int root = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (root < 0) nj_stop("process root");
    if (setns(namespace, CLONE_NEWNS) < 0) nj_stop("setns");
    if (fchdir(root) < 0 || chroot(".") < 0) nj_stop("chroot");
    close(namespace);
    close(root);
}
