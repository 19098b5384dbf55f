internal import ArgumentParser
struct DoctorCommand: AsyncParsableCommand { func run() async throws {} }
struct DemoCommand: AsyncParsableCommand { func run() async throws {} }
struct BenchCommand: AsyncParsableCommand { func run() async throws {} }
