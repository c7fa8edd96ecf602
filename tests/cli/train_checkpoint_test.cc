// SPDX-License-Identifier: Apache-2.0
// `coppice train --checkpoint` as users have it: killed, interrupted, started again.
#include "tests/cli/run_coppice.h"

namespace coppice {
namespace {

class TrainCheckpointCommand : public ::testing::Test {
 protected:
  TrainCheckpointCommand() {
    fs::create_directories(folder_ / "notes");
    write_text(folder_ / "notes" / "a.txt", some_text(90));
  }
  // `name` of the adapter and, where wanted, of the checkpoint.
  std::vector<std::string> train(const char* name, const char* checkpoint,
                                 const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments{"train",
                                       "-m",
                                       small_model(),
                                       "--data",
                                       (folder_ / "notes").string(),
                                       "--out",
                                       (folder_ / name).string(),
                                       "--rank",
                                       "4",
                                       "--batch-tokens",
                                       "256",
                                       "--format",
                                       "json"};
    if (checkpoint != nullptr) {
      arguments.insert(arguments.end(), {"--checkpoint", (folder_ / checkpoint).string()});
    }
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  Bytes bytes_of(const char* name) const {
    return read_file(folder_ / name, std::size_t{1} << 26U).value();
  }
  void expect_refused(const std::vector<std::string>& arguments, int exit, const char* why) const {
    const Bytes before = bytes_of("kept");
    const Ran ran = run_coppice(arguments);
    EXPECT_EQ(ran.exit, exit) << ran.out;
    EXPECT_NE(ran.out.find(why), std::string::npos) << ran.out;
    EXPECT_NE(ran.out.find((folder_ / "kept").string()), std::string::npos) << ran.out;
    EXPECT_EQ(bytes_of("kept"), before);
  }
  // SIGKILL right after the second write, then the same command again.
  void expect_killed_is_as_good_as_new(const std::vector<std::string>& engine) const {
    std::vector<std::string> more{"--steps", "7"};
    more.insert(more.end(), engine.begin(), engine.end());
    ASSERT_EQ(run_coppice(train("whole.coppice", nullptr, more)).exit, 0);
    more.insert(more.end(), {"--checkpoint-every", "2"});
    const auto again = train("parts.coppice", "kept", more);
    EXPECT_NE(run_coppice(again, "COPPICE_CRASH_AT=client.training.after:2").exit, 0);
    EXPECT_FALSE(fs::exists(folder_ / "parts.coppice"));
    ASSERT_TRUE(fs::exists(folder_ / "kept"));
    // In the middle of the next write: the file stays what it was.
    EXPECT_NE(run_coppice(again, "COPPICE_CRASH_AT=client.training.before").exit, 0);
    const Ran ran = run_coppice(again);
    ASSERT_EQ(ran.exit, 0) << ran.out << ran.error;
    EXPECT_EQ(ran.json()["resumed_at"], 4);
    EXPECT_EQ(ran.json()["steps"], 7);
    EXPECT_EQ(bytes_of("parts.coppice"), bytes_of("whole.coppice"));
    EXPECT_FALSE(fs::exists(folder_ / "kept")); // of no more use
  }

  TestFolder folder_;
};

TEST_F(TrainCheckpointCommand, KilledItGoesOnToTheSameBits) {
  expect_killed_is_as_good_as_new({"--engine", "native"});
}

TEST_F(TrainCheckpointCommand, SoItDoesOnTheOtherEngine) {
  COPPICE_NEEDS_ENGINE();
  expect_killed_is_as_good_as_new({"--engine", "graph"});
}

// Wherever the signal falls: before the first step, within one, or after the last.
TEST_F(TrainCheckpointCommand, InterruptedItKeepsWhatItHas) {
  const std::vector<std::string> steps{"--steps", "30"};
  ASSERT_EQ(run_coppice(train("whole.coppice", nullptr, steps)).exit, 0);
  const auto again = train("parts.coppice", "kept", steps);
  for (const char* seconds : {"0.4", "0.6", "0.8"}) {
    const Ran ran = run_coppice(again, cat("timeout --preserve-status -s INT ", seconds));
    if (ran.exit == 0) break;
    EXPECT_EQ(ran.exit, 130) << ran.out << ran.error;
  }
  if (!fs::exists(folder_ / "parts.coppice")) {
    const Ran ran = run_coppice(again);
    ASSERT_EQ(ran.exit, 0) << ran.out << ran.error;
  }
  EXPECT_EQ(bytes_of("parts.coppice"), bytes_of("whole.coppice"));
}

TEST_F(TrainCheckpointCommand, OneThatDoesNotFitIsRefusedAndLeftAsItIs) {
  const std::vector<std::string> steps{"--steps", "5", "--checkpoint-every", "1"};
  const auto made = train("a.coppice", "kept", steps);
  EXPECT_NE(run_coppice(made, "COPPICE_CRASH_AT=client.training.after").exit, 0);
  auto other = made;
  other.insert(other.end(), {"--learning-rate", "0.001"});
  expect_refused(other, 2, "another recipe");
  other = made;
  other.insert(other.end(), {"--targets", "q_proj"});
  expect_refused(other, 2, "another kind of adapter");
  write_text(folder_ / "notes" / "b.txt", "More words, which it has never seen before.\n");
  expect_refused(made, 2, "another text");
  fs::remove(folder_ / "notes" / "b.txt");
  write_text(folder_ / "kept", "something else");
  expect_refused(made, 4, "no checkpoint of a training");
}

} // namespace
} // namespace coppice
