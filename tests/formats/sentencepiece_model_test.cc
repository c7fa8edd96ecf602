// SPDX-License-Identifier: Apache-2.0
#include "formats/sentencepiece_model.h"

#include <gtest/gtest.h>

#include "base/file.h"

namespace coppice {
namespace {

Bytes model(const std::string& name) {
  const fs::path folder = fs::path(COPPICE_SOURCE_DIR) / "tests" / "vectors" / "tokenizers";
  return read_file(folder / name, std::size_t{1} << 20U).value();
}

TEST(SentencePieceModel, ReadsWhatTheTrainerWrote) {
  const Bytes bytes = model("gemma.model");
  const auto gemma = parse_sentencepiece_model(bytes, "gemma.model").value();
  EXPECT_EQ(gemma.pieces.size(), 700U);
  EXPECT_EQ(gemma.pieces[2].text, "<s>");
  EXPECT_EQ(gemma.pieces[4].text, "<start_of_turn>");
  EXPECT_EQ(gemma.pieces[4].type, 4U);
  EXPECT_EQ(gemma.model_type, 2U);
  EXPECT_EQ(gemma.bos, 2);
  EXPECT_EQ(gemma.eos, 1);
  EXPECT_EQ(gemma.unknown, 3);
  EXPECT_EQ(gemma.padding, 0);
  EXPECT_FALSE(gemma.add_dummy_prefix);
  EXPECT_FALSE(gemma.remove_extra_whitespaces);
  EXPECT_FALSE(gemma.has_character_rules);
  const Bytes other = model("llama.model");
  const auto llama = parse_sentencepiece_model(other, "llama.model").value();
  EXPECT_TRUE(llama.add_dummy_prefix);
  EXPECT_EQ(llama.padding, -1); // a negative number takes ten bytes
}

// A file cut anywhere is refused, or ends where a field does and has fewer pieces or settings.
TEST(SentencePieceModel, NoPrefixReachesBeyondItsBytes) {
  const Bytes bytes = model("llama.model");
  const std::size_t all = parse_sentencepiece_model(bytes, "whole")->pieces.size();
  std::size_t refused = 0;
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    const Bytes part(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
    const auto parsed = parse_sentencepiece_model(part, "part");
    EXPECT_TRUE(!parsed || parsed->pieces.size() <= all);
    refused += parsed ? 0 : 1;
  }
  EXPECT_GT(refused, bytes.size() / 2);
}

TEST(SentencePieceModel, RefusesLengthsAndNumbersThatAreTooLong) {
  const auto refused = [](const Bytes& bytes) {
    const auto parsed = parse_sentencepiece_model(bytes, "hostile");
    return !parsed && parsed.error().code == ErrorCode::kCorrupt;
  };
  EXPECT_TRUE(refused({}));
  EXPECT_TRUE(refused({0x0A, 0x7F, 0x0A})); // longer than the file
  EXPECT_TRUE(refused({0x0A, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01}));
  EXPECT_TRUE(refused({0x20, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0x01}));
  EXPECT_TRUE(refused({0x0A, 0x02, 0x0A, 0x05})); // within its piece
  EXPECT_TRUE(refused({0x0B, 0x0C}));             // groups are long gone
  EXPECT_TRUE(refused({0x08, 0x01}));             // pieces are no numbers
  EXPECT_TRUE(refused({0x02, 0x00}));             // there is no field 0
}

} // namespace
} // namespace coppice
