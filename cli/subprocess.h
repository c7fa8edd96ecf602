// SPDX-License-Identifier: Apache-2.0
// Child processes of the demo and the benchmarks: started with their output in a file or a pipe,
// waited for with a deadline, ended by their own id, never left behind.
#pragma once

#include <sys/types.h>

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/file.h"

namespace coppice {

struct ProcessOptions {
  std::vector<std::string> arguments;             // [0] is the program
  fs::path output;                                // stdout and stderr are appended to this file
  std::map<std::string, std::string> environment; // besides our own
};

class ChildProcess {
 public:
  static Result<ChildProcess> start(const ProcessOptions& options);
  ChildProcess(ChildProcess&& other) noexcept;
  ChildProcess& operator=(ChildProcess&& other) noexcept;
  ~ChildProcess(); // SIGKILL if it still runs

  pid_t id() const { return id_; }
  // The exit status once it has ended (128 + signal if a signal ended it).
  std::optional<int> poll();
  // kDeadlineExceeded if it still runs after `timeout`.
  Result<int> wait(Millis timeout);
  void send_signal(int signal);

 private:
  explicit ChildProcess(pid_t id) : id_(id) {}
  pid_t id_ = -1;
  std::optional<int> status_;
};

// Path of the running program.
fs::path this_program();
// Resident memory of a process in bytes; 0 if it is gone.
std::uint64_t resident_bytes(pid_t process);
// Lines that were appended to a growing file since the last call.
class FileFollower {
 public:
  explicit FileFollower(fs::path path) : path_(std::move(path)) {}
  std::vector<std::string> new_lines();

 private:
  fs::path path_;
  std::uint64_t offset_ = 0;
  std::string partial_;
};

} // namespace coppice
