// SPDX-License-Identifier: Apache-2.0
#include "cli/subprocess.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <fstream>
#include <thread>

#include "base/text.h"

extern char** environ;

namespace coppice {

Result<ChildProcess> ChildProcess::start(const ProcessOptions& options) {
  std::vector<std::string> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) environment.emplace_back(*entry);
  for (const auto& [name, value] : options.environment) environment.push_back(name + "=" + value);
  const auto pointers = [](std::vector<std::string>& strings) {
    std::vector<char*> raw;
    for (std::string& text : strings) raw.push_back(text.data());
    raw.push_back(nullptr);
    return raw;
  };
  std::vector<std::string> arguments = options.arguments;
  std::vector<char*> argv = pointers(arguments);
  std::vector<char*> envp = pointers(environment);

  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  const std::string output = options.output.empty() ? "/dev/null" : options.output.string();
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, output.c_str(),
                                   O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  pid_t id = -1;
  const int failed = ::posix_spawn(&id, argv[0], &actions, nullptr, argv.data(), envp.data());
  posix_spawn_file_actions_destroy(&actions);
  if (failed != 0) {
    return Error{ErrorCode::kIo, cat("can't start ", arguments[0], ": ", std::strerror(failed))};
  }
  return ChildProcess(id);
}

ChildProcess::ChildProcess(ChildProcess&& other) noexcept
    : id_(std::exchange(other.id_, -1)), status_(other.status_) {}

ChildProcess& ChildProcess::operator=(ChildProcess&& other) noexcept {
  std::swap(id_, other.id_);
  std::swap(status_, other.status_);
  return *this;
}

ChildProcess::~ChildProcess() {
  if (id_ < 0 || poll()) return;
  ::kill(id_, SIGKILL);
  int ignored = 0;
  ::waitpid(id_, &ignored, 0);
}

std::optional<int> ChildProcess::poll() {
  if (status_) return status_;
  int raw = 0;
  if (::waitpid(id_, &raw, WNOHANG) != id_) return std::nullopt;
  status_ = WIFEXITED(raw) ? WEXITSTATUS(raw) : 128 + WTERMSIG(raw);
  return status_;
}

Result<int> ChildProcess::wait(Millis timeout) {
  const SystemClock clock;
  const Millis deadline = clock.monotonic() + timeout;
  for (;;) {
    if (const auto status = poll()) return *status;
    if (clock.monotonic() >= deadline) {
      return Error{ErrorCode::kDeadlineExceeded, cat("process ", id_, " did not end in time")};
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

void ChildProcess::send_signal(int signal) {
  if (id_ >= 0 && !status_) ::kill(id_, signal);
}

fs::path this_program() {
  std::error_code code;
  return fs::read_symlink("/proc/self/exe", code);
}

std::uint64_t resident_bytes(pid_t process) {
  std::ifstream statm(cat("/proc/", process, "/statm"));
  std::uint64_t pages = 0;
  std::uint64_t resident = 0;
  if (!(statm >> pages >> resident)) return 0;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

std::vector<std::string> FileFollower::new_lines() {
  std::ifstream file(path_, std::ios::binary);
  if (!file) return {};
  file.seekg(static_cast<std::streamoff>(offset_));
  std::vector<std::string> lines;
  std::string line;
  while (std::getline(file, line)) {
    offset_ += line.size() + (file.eof() ? 0 : 1);
    partial_ += line;
    if (file.eof()) break; // no newline yet: kept for the next call
    lines.push_back(std::exchange(partial_, {}));
  }
  return lines;
}

} // namespace coppice
