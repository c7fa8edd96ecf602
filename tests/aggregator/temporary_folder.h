// SPDX-License-Identifier: Apache-2.0
// A folder of a test's own, gone with it.
#pragma once

#include <gtest/gtest.h>
#include <unistd.h>

#include "base/file.h"
#include "base/text.h"

namespace coppice {

class TemporaryFolder {
 public:
  TemporaryFolder() {
    static int number = 0;
    path_ = fs::path(::testing::TempDir()) / cat("coppice-test-", ::getpid(), "-", ++number);
    fs::create_directories(path_);
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const fs::path& path() const { return path_; }
  fs::path operator/(std::string_view name) const { return path_ / name; }

 private:
  fs::path path_;
};

} // namespace coppice
