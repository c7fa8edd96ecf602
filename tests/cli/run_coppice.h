// SPDX-License-Identifier: Apache-2.0
// Runs the built program as a user does: a process of its own, its two streams apart.
#pragma once

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "base/file.h"
#include "base/text.h"
#include "formats/json.h"

namespace coppice {

// A folder that goes away with the test.
class TestFolder {
 public:
  TestFolder() {
    static std::atomic<int> number{0};
    path_ = fs::temp_directory_path() / cat("coppice_cli_test_", ::getpid(), "_", number++);
    fs::create_directories(path_);
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  ~TestFolder() { fs::remove_all(path_); }
  fs::path operator/(const std::string& name) const { return path_ / name; }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

struct Ran {
  int exit = -1;
  std::string out;
  std::string error;
  // stdout, which must be one JSON document.
  Json json() const {
    auto parsed = parse_json(out);
    EXPECT_TRUE(parsed.ok()) << out;
    return parsed.ok() ? *parsed : Json::object();
  }
};

inline std::string quoted(const std::string& word) {
  std::string text = "'";
  for (const char letter : word)
    text += letter == '\'' ? std::string("'\\''") : std::string(1, letter);
  return text + "'";
}

// `environment` as a shell writes it before a command: "NO_COLOR=1".
inline Ran run_coppice(const std::vector<std::string>& arguments,
                       const std::string& environment = "",
                       const std::string& program = "coppice") {
  const TestFolder folder;
  std::string line = environment + " " + quoted(cat(COPPICE_BINARY_DIR, "/", program));
  for (const std::string& argument : arguments) line += " " + quoted(argument);
  line += " >" + quoted((folder / "out").string()) + " 2>" + quoted((folder / "err").string()) +
          " </dev/null";
  const int status = std::system(line.c_str());
  const auto text = [&folder](const char* name) {
    const auto bytes = read_file(folder / name, std::size_t{1} << 26U);
    return bytes.ok() ? std::string(as_text(*bytes)) : std::string();
  };
  return {WIFEXITED(status) ? WEXITSTATUS(status) : -1, text("out"), text("err")};
}

inline void write_text(const fs::path& path, std::string_view text) {
  ASSERT_TRUE(write_file_atomically(path, as_bytes(text)).ok());
}

inline const std::string& small_model() {
  static const std::string path = std::string(COPPICE_SOURCE_DIR) + "/assets/coppice-4m.q4_0.gguf";
  return path;
}

// A few hundred words that repeat nothing: enough for a step or two of training.
inline std::string some_text(std::size_t paragraphs) {
  constexpr const char* kThings[] = {"orchard", "ferry",   "workshop", "library",
                                     "mill",    "harbour", "garden"};
  constexpr const char* kPeople[] = {"Anna", "the miller", "old Tom", "her sister", "the clerk"};
  std::string text;
  for (std::size_t i = 0; i < paragraphs; ++i) {
    text +=
        cat("On day ", i * 17 % 101, " ", kPeople[i % 5], " came to the ", kThings[i % 7],
            " and found ", i * 31 % 57, " letters there, one of them from ", kPeople[(i + 2) % 5],
            ". It spoke of rain, of the price of flour, and of a journey to the ",
            kThings[(i * 3 + 1) % 7], " that nobody had asked for.\n\n");
  }
  return text;
}

// Engines are modules: a build without LibTorch has none.
inline bool engine_is_built() {
  const char* const named = std::getenv("COPPICE_GRAPH_MODULE");
  return (named != nullptr && *named != '\0') ||
         fs::exists(fs::path(COPPICE_BINARY_DIR) / "libcoppice_graph.so");
}

#define COPPICE_NEEDS_ENGINE() \
  if (!engine_is_built()) GTEST_SKIP() << "this build has no engine (COPPICE_GRAPH=OFF)"

} // namespace coppice
