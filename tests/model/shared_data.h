// SPDX-License-Identifier: Apache-2.0
// Where the models' and tokenizers' test data lie; tests that need them are skipped without.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "base/file.h"
#include "base/text.h"
#include "formats/json.h"

namespace coppice {

inline fs::path shared_data(const std::string& name) {
  return fs::path(COPPICE_SOURCE_DIR) / ".." / "shared" / "data" / name;
}

#define COPPICE_NEEDS_SHARED(name)                                     \
  if (!::coppice::fs::exists(::coppice::shared_data(name))) {          \
    GTEST_SKIP() << "needs " << ::coppice::shared_data(name).string(); \
  }

inline std::string read_text(const fs::path& path) {
  const auto bytes = read_file(path, std::size_t{64} << 20U);
  EXPECT_TRUE(bytes.ok()) << path;
  return bytes.ok() ? std::string(as_text(*bytes)) : std::string();
}

// A folder of this test's own, removed with the object.
class TestFolder {
 public:
  TestFolder() {
    std::string pattern = (fs::temp_directory_path() / "coppice-model-XXXXXX").string();
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  ~TestFolder() { fs::remove_all(path_); }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

} // namespace coppice
