import Foundation
import Glibc

/// Sets the time of day of a server, and of nobody else: a library that is loaded before the others adds what a file says.
struct ShiftedClock {
    private let directory = "\(TestEnvironment.temporary)/clock-\(UUID().uuidString.prefix(6).lowercased())"
    private var file: String { directory + "/shift" }
    let variables: [String: String]

    private static let source = """
        #define _GNU_SOURCE
        #include <fcntl.h>
        #include <stdint.h>
        #include <stdlib.h>
        #include <sys/mman.h>
        #include <sys/syscall.h>
        #include <sys/time.h>
        #include <time.h>
        #include <unistd.h>

        static volatile int64_t *shift;

        __attribute__((constructor)) static void begin(void) {
            int file = open(getenv("TEST_CLOCK_SHIFT"), O_RDONLY | O_CLOEXEC);
            void *place = mmap(NULL, sizeof *shift, PROT_READ, MAP_SHARED, file, 0);
            if (place == MAP_FAILED) abort();
            shift = place;
            close(file);
        }

        int clock_gettime(clockid_t clock, struct timespec *time) {
            int result = (int)syscall(SYS_clock_gettime, clock, time);
            if (result == 0 && shift && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE))
                time->tv_sec += *shift;
            return result;
        }

        int gettimeofday(struct timeval *restrict time, void *restrict zone) {
            int result = (int)syscall(SYS_gettimeofday, time, zone);
            if (result == 0 && shift) time->tv_sec += *shift;
            return result;
        }

        time_t time(time_t *place) {
            struct timespec now;
            clock_gettime(CLOCK_REALTIME, &now);
            if (place) *place = now.tv_sec;
            return now.tv_sec;
        }
        """

    init() async throws {
        try FileManager.default.createDirectory(atPath: directory, withIntermediateDirectories: true)
        let library = directory + "/clock.so"
        try Data(count: 8).write(to: URL(fileURLWithPath: directory + "/shift"))
        try Data(Self.source.utf8).write(to: URL(fileURLWithPath: directory + "/clock.c"))
        let built = try await ChildProgram.run(
            "/usr/bin/cc", ["-shared", "-fPIC", "-O1", "-o", library, directory + "/clock.c"],
            variables: TestEnvironment.childVariables)
        guard built.code == 0 else { throw TestFailure("cc: \(built.error)") }
        variables = ["LD_PRELOAD": library, "TEST_CLOCK_SHIFT": directory + "/shift"]
    }

    func remove() { try? FileManager.default.removeItem(atPath: directory) }

    /// Moves the clock to so many seconds from the true time.
    func jump(to seconds: Int64) throws {
        guard let handle = FileHandle(forUpdatingAtPath: file) else { throw TestFailure("there is no \(file)") }
        defer { try? handle.close() }
        // In place: the server has the file mapped.
        try handle.write(contentsOf: withUnsafeBytes(of: seconds) { Data($0) })
    }
}
