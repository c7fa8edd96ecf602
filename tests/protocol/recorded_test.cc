// SPDX-License-Identifier: Apache-2.0
// Bytes that version 1 wrote, kept for good: later versions must read them, and this one writes
// them. recorded_v1.txt has a line a value: name, tab, hex. Lines are added, never changed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "base/file.h"
#include "base/text.h"
#include "tests/protocol/samples.h"

namespace coppice {
namespace {

std::map<std::string, Bytes> recorded() {
  const fs::path path = fs::path(COPPICE_SOURCE_DIR) / "tests/protocol/recorded_v1.txt";
  const Bytes file = read_file(path, 1U << 20U).value();
  std::map<std::string, Bytes> all;
  for (const std::string& line : split(as_text(file), '\n')) {
    const auto fields = split(line, '\t');
    if (fields.size() == 2) all[fields[0]] = from_hex(fields[1]).value();
  }
  return all;
}

TEST(RecordedV1, ThisVersionStillWritesTheSameBytes) {
  const auto old = recorded();
  for (const auto& [name, bytes] : samples::encodings()) {
    ASSERT_TRUE(old.contains(name)) << name;
    EXPECT_EQ(old.at(name), bytes) << name;
  }
}

TEST(RecordedV1, EveryOldMessageIsStillRead) {
  std::size_t envelopes = 0;
  for (const auto& [name, bytes] : recorded()) {
    if (!name.starts_with("envelope ")) continue;
    ++envelopes;
    const auto opened =
        open_envelope({bytes}, samples::device_key().public_key(), samples::device_id());
    ASSERT_TRUE(opened) << name << ": " << opened.error().message;
    const auto message = decode_message(*opened);
    ASSERT_TRUE(message) << name << ": " << message.error().message;
    EXPECT_EQ(name, cat("envelope ", message_name(type_of(*message))));
  }
  EXPECT_EQ(envelopes, 16U);
}

TEST(RecordedV1, EveryOldStatementIsStillRead) {
  const auto old = recorded();
  EXPECT_EQ(RoundPlan::decode(old.at("plan")).value(), samples::plan());
  const auto signature = Signature::from_span(old.at("key set signature"), "signature").value();
  EXPECT_TRUE(verify_key_set(samples::fleet_key().public_key(), {old.at("key set"), signature}, {3},
                             {1'000'000}));
  EXPECT_TRUE(decode_invite(as_text(old.at("invite"))));
  EXPECT_TRUE(decode_enroll_request(old.at("enrolment request")));
  EXPECT_TRUE(
      decode_enroll_reply(old.at("enrolment reply"), samples::aggregator_key().public_key()));
  const auto upload = open_upload(old.at("sealed upload"), samples::device_key().public_key(),
                                  samples::device_id(), samples::seal_key(), samples::hash(0x30));
  ASSERT_TRUE(upload) << upload.error().message;
  EXPECT_EQ(upload->round, RoundId{17});
}

} // namespace
} // namespace coppice
