// SPDX-License-Identifier: Apache-2.0
// Where the demo and the benchmarks work, and the base model that comes with the program.
#pragma once

#include <string>

#include "base/file.h"

namespace coppice {

// A folder that is removed at the end unless it is to be kept.
class WorkFolder {
 public:
  // `keep` names it, and keeps it; empty: a fresh one below the system's temporary folder (TMPDIR).
  // kAlreadyExists if `keep` has something in it.
  static Result<WorkFolder> make(const std::string& keep);
  WorkFolder(WorkFolder&& other) noexcept
      : path_(std::exchange(other.path_, {})), keep_(other.keep_) {}
  WorkFolder& operator=(WorkFolder&&) = delete;
  ~WorkFolder();
  const fs::path& path() const { return path_; }
  void keep() { keep_ = true; }

 private:
  WorkFolder(fs::path path, bool keep) : path_(std::move(path)), keep_(keep) {}
  fs::path path_;
  bool keep_;
};

// assets/coppice-4m.q4_0.gguf beside the program's source tree or its installation.
Result<fs::path> default_model();

} // namespace coppice
