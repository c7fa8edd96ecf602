// SPDX-License-Identifier: Apache-2.0
#include "base/file.h"

#include <gmock/gmock.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "base/text.h"

namespace coppice {
namespace {

class FileTest : public ::testing::Test {
 protected:
  FileTest() {
    std::string pattern = (fs::temp_directory_path() / "coppice-file-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  ~FileTest() override { fs::remove_all(folder_); }
  fs::path folder_;
};

TEST_F(FileTest, AnAtomicWriteReplacesTheWholeFileAndLeavesNothingElse) {
  const fs::path path = folder_ / "state";
  ASSERT_TRUE(write_file_atomically(path, as_bytes("old and long")).ok());
  ASSERT_TRUE(write_file_atomically(path, as_bytes("new"), FileMode::kPrivate).ok());
  EXPECT_EQ(as_text(read_file(path, 100).value()), "new");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
}

TEST_F(FileTest, ErrorsNameTheFile) {
  const auto missing = read_file(folder_ / "absent", 10);
  EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
  EXPECT_THAT(missing.error().message, ::testing::HasSubstr("absent"));
  ASSERT_TRUE(write_file_atomically(folder_ / "big", as_bytes("0123456789")).ok());
  EXPECT_EQ(read_file(folder_ / "big", 9).error().code, ErrorCode::kTooLarge);
  EXPECT_EQ(write_file_atomically(folder_ / "no" / "where", as_bytes("x")).error().code,
            ErrorCode::kNotFound);
  EXPECT_FALSE(MappedFile::open(folder_).ok());
}

TEST_F(FileTest, AFullDiskIsSaidSo) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "needs /dev/full";
  auto full = AppendFile::open("/dev/full");
  ASSERT_TRUE(full.ok());
  EXPECT_EQ(full->append(as_bytes("x")).error().code, ErrorCode::kResourceExhausted);
}

TEST_F(FileTest, ASecondLockIsRefusedUntilTheFirstIsDropped) {
  auto first = FileLock::take(folder_ / "lock");
  ASSERT_TRUE(first.ok());
  EXPECT_EQ(FileLock::take(folder_ / "lock").error().code, ErrorCode::kFailedPrecondition);
  { const FileLock dropped = std::move(first).value(); }
  EXPECT_TRUE(FileLock::take(folder_ / "lock").ok());
}

TEST_F(FileTest, AMapShowsTheFilesBytes) {
  ASSERT_TRUE(write_file_atomically(folder_ / "data", as_bytes("leaf")).ok());
  const auto map = MappedFile::open(folder_ / "data").value();
  EXPECT_EQ(as_text(map->bytes()), "leaf");
}

TEST_F(FileTest, ACrashPointKillsAtItsPassingAndNoOther) {
  const pid_t child = ::fork();
  if (child == 0) {
    ::setenv("COPPICE_CRASH_AT", "after-write:2", 1);
    crash_point("before-write");
    crash_point("after-write");
    if (!write_file_atomically(folder_ / "alive", as_bytes("1")).ok()) ::_exit(1);
    crash_point("after-write");
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status));
  EXPECT_EQ(WTERMSIG(status), SIGKILL);
  EXPECT_TRUE(fs::exists(folder_ / "alive"));
}

} // namespace
} // namespace coppice
