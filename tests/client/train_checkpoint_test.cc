// SPDX-License-Identifier: Apache-2.0
#include "client/train_checkpoint.h"

#include <gmock/gmock.h>

#include <cmath>
#include <numeric>

#include "crypto/hash.h"
#include "tests/aggregator/temporary_folder.h"
#include "tests/protocol/samples.h"

namespace coppice {
namespace {

using ::testing::HasSubstr;

constexpr std::size_t kParameters = 5;

class TrainCheckpointTest : public ::testing::Test {
 protected:
  TrainCheckpointTest() { std::iota(floats_.begin(), floats_.end(), 1.0F); }
  TrainCheckpoint checkpoint(bool with_best) const {
    const std::span<const float> all(floats_);
    return {.state = {.values = all.subspan(0, kParameters),
                      .first_moment = all.subspan(kParameters, kParameters),
                      .second_moment = all.subspan(2 * kParameters, kParameters),
                      .steps = 17},
            .position = {.epoch = 3, .window = 8},
            .tokens = 1'234,
            .looked_at = 15,
            .gate_before = 2.5,
            .loss_first = 3.5,
            .loss_last = 1.5,
            .seconds = 0.25,
            .elapsed = Millis{900},
            .best_loss = 1.25,
            .without_gain = 2,
            .best = with_best ? all.subspan(3 * kParameters) : std::span<const float>()};
  }
  Bytes bytes_of(const TrainCheckpoint& checkpoint) const {
    const CheckpointBytes parts = serialize_checkpoint(identity_, checkpoint);
    Bytes all = parts.head;
    for (const ByteSpan part : parts.floats) all.insert(all.end(), part.begin(), part.end());
    all.insert(all.end(), parts.hash.bytes.begin(), parts.hash.bytes.end());
    return all;
  }
  // As an attacker would, who knows the format.
  static void seal(Bytes& bytes) {
    const std::size_t end = bytes.size() - Sha256::kSize;
    std::ranges::copy(sha256(ByteSpan(bytes).first(end)).bytes,
                      bytes.begin() + static_cast<std::ptrdiff_t>(end));
  }
  Error refusal(const Bytes& bytes) const {
    const auto parsed = parse_checkpoint(bytes, identity_, kParameters);
    EXPECT_FALSE(parsed.ok());
    return parsed.ok() ? Error{ErrorCode::kInternal, "accepted"} : parsed.error();
  }

  std::array<float, 4 * kParameters> floats_{};
  TrainIdentity identity_{.base = samples::hash(1),
                          .spec = samples::hash(2),
                          .recipe = samples::hash(3),
                          .text = samples::hash(4),
                          .start = samples::hash(5),
                          .engine = "native cpu avx512-bf16"};
};

TEST_F(TrainCheckpointTest, WhatIsReadIsWhatWasWritten) {
  const TemporaryFolder folder;
  for (const bool with_best : {false, true}) {
    const TrainCheckpoint written = checkpoint(with_best);
    ASSERT_TRUE(write_checkpoint(folder / "kept", identity_, written).ok());
    EXPECT_EQ(fs::status(folder / "kept").permissions(),
              fs::perms::owner_read | fs::perms::owner_write);
    const auto loaded = read_checkpoint(folder / "kept", identity_, kParameters).value();
    ASSERT_TRUE(loaded);
    EXPECT_EQ(bytes_of(loaded->checkpoint), bytes_of(written));
    EXPECT_EQ(loaded->checkpoint.state.steps, 17U);
    EXPECT_EQ(loaded->checkpoint.best.size(), with_best ? kParameters : 0U);
  }
  EXPECT_FALSE(read_checkpoint(folder / "none", identity_, kParameters).value());
}

TEST_F(TrainCheckpointTest, EveryBitThatChangesAndEveryByteThatIsMissingIsSeen) {
  const Bytes whole = bytes_of(checkpoint(true));
  for (std::size_t at = 0; at < whole.size(); ++at) {
    Bytes changed = whole;
    changed[at] ^= 0x40U;
    const ErrorCode code = refusal(changed).code;
    EXPECT_TRUE(code == ErrorCode::kCorrupt ||
                (at >= 4 && at < 8 && code == ErrorCode::kUnsupported))
        << at;
  }
  for (std::size_t length = 0; length < whole.size(); ++length) {
    EXPECT_EQ(
        refusal(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(length))).code,
        ErrorCode::kCorrupt);
  }
  Bytes longer = whole;
  longer.push_back(0);
  EXPECT_THAT(refusal(longer).message, HasSubstr("damaged"));
}

TEST_F(TrainCheckpointTest, EachRefusalSaysWhatDiffers) {
  const Bytes whole = bytes_of(checkpoint(false));
  EXPECT_THAT(refusal(Bytes(1'000, 7)).message, HasSubstr("no checkpoint"));
  Bytes newer = whole;
  newer[4] = 2;
  EXPECT_EQ(refusal(newer).code, ErrorCode::kUnsupported);
  const auto with = [&](auto TrainIdentity::*part, auto value, const char* why) {
    const auto same = std::exchange(identity_.*part, value);
    EXPECT_EQ(refusal(whole).code, ErrorCode::kInvalidArgument);
    EXPECT_THAT(refusal(whole).message, HasSubstr(why));
    identity_.*part = same;
  };
  with(&TrainIdentity::base, samples::hash(9), "another base model");
  with(&TrainIdentity::spec, samples::hash(9), "another kind of adapter");
  with(&TrainIdentity::recipe, samples::hash(9), "another recipe");
  with(&TrainIdentity::text, samples::hash(9), "another text");
  with(&TrainIdentity::start, samples::hash(9), "another adapter to start from");
  with(&TrainIdentity::engine, std::string("graph cpu avx512"), "another engine");
}

// Sealed again, so that only what is checked after the hash refuses it.
TEST_F(TrainCheckpointTest, WellSealedNonsenseIsRefusedToo) {
  TrainCheckpoint made = checkpoint(false);
  made.looked_at = 18; // after the last step
  EXPECT_THAT(refusal(bytes_of(made)).message, HasSubstr("no training leaves"));
  made = checkpoint(false);
  made.loss_last = std::nan("");
  EXPECT_THAT(refusal(bytes_of(made)).message, HasSubstr("no training leaves"));
  made = checkpoint(false);
  made.elapsed = Millis{-1};
  EXPECT_THAT(refusal(bytes_of(made)).message, HasSubstr("no training leaves"));
  floats_.back() = INFINITY;
  EXPECT_THAT(refusal(bytes_of(checkpoint(true))).message, HasSubstr("no training leaves"));

  Bytes shorter = bytes_of(checkpoint(false));
  shorter.resize(shorter.size() - sizeof(float));
  seal(shorter);
  EXPECT_THAT(refusal(shorter).message, HasSubstr("wrong length"));
  EXPECT_FALSE(parse_checkpoint(bytes_of(checkpoint(false)), identity_, kParameters + 1).ok());
}

} // namespace
} // namespace coppice
