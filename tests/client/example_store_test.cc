// SPDX-License-Identifier: Apache-2.0
#include "client/example_store.h"

#include <gmock/gmock.h>

#include <map>

#include "tests/aggregator/temporary_folder.h"

namespace coppice {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

class ExampleStoreTest : public ::testing::Test {
 protected:
  void put(const std::string& name, const std::string& text) {
    fs::create_directories((folder_.path() / name).parent_path());
    ASSERT_TRUE(write_file_atomically(folder_.path() / name, as_bytes(text)).ok());
  }
  std::vector<Piece> read(const ExampleStoreLimits& limits = {}) {
    skipped_.clear();
    return read_pieces(folder_.path(), limits, &skipped_).value();
  }
  static std::string paragraph(int number, std::size_t bytes) {
    std::string text = cat("paragraph ", number, " ");
    while (text.size() < bytes) text += "word ";
    return text + "\n";
  }
  TemporaryFolder folder_;
  std::vector<std::string> skipped_;
};

TEST_F(ExampleStoreTest, ParagraphsAreJoinedUpToAboutAKilobyteAndNeverSplit) {
  std::string text;
  for (int i = 0; i < 10; ++i) text += paragraph(i, 300) + "\n\n";
  const auto pieces = cut_text(text);
  EXPECT_THAT(pieces, SizeIs(4)); // three of 300 bytes fit, a fourth doesn't
  for (const std::string& piece : pieces) EXPECT_LE(piece.size(), 1'000U);
  EXPECT_THAT(cut_text(paragraph(1, 5'000)), SizeIs(1));
  EXPECT_THAT(cut_text("\n \n\t\n"), IsEmpty());
  EXPECT_THAT(cut_text("one\r\n\r\ntwo"), ElementsAre("one\r\n\ntwo\n"));
}

// 10,000 pieces: each share's standard deviation is sqrt(n p (1 - p)), 40 for train and 30 for the
// others; six of them.
TEST_F(ExampleStoreTest, PiecesFallEightToOneToOne) {
  std::map<Split, int> count;
  for (int i = 0; i < 10'000; ++i) {
    count[split_of({.text = paragraph(i, 50), .response = {}})] += 1;
  }
  EXPECT_NEAR(count[Split::kTrain], 8'000, 240);
  EXPECT_NEAR(count[Split::kGate], 1'000, 180);
  EXPECT_NEAR(count[Split::kReport], 1'000, 180);
}

TEST_F(ExampleStoreTest, APieceStaysInItsPartWhenFilesAreAdded) {
  for (int i = 0; i < 30; ++i) put(cat("m", i, ".txt"), paragraph(i, 400));
  std::map<std::string, Split> before;
  for (const Piece& piece : read()) before[piece.text] = piece.split;
  for (int i = 100; i < 130; ++i) put(cat("a", i, ".md"), paragraph(i, 400));
  std::size_t seen = 0;
  for (const Piece& piece : read()) {
    const auto found = before.find(piece.text);
    if (found == before.end()) continue;
    ++seen;
    EXPECT_EQ(found->second, piece.split);
  }
  EXPECT_EQ(seen, 30U);
}

TEST_F(ExampleStoreTest, DeletedTextIsGone) {
  put("keep.txt", "this stays");
  put("gone.txt", "this goes");
  EXPECT_THAT(read(), SizeIs(2));
  fs::remove(folder_ / "gone.txt");
  const auto pieces = read();
  ASSERT_THAT(pieces, SizeIs(1));
  EXPECT_EQ(pieces[0].text, "this stays\n");
}

TEST_F(ExampleStoreTest, TheThreeFormsOfARowAreRead) {
  const auto text = parse_row(R"({"text": "plain"})").value();
  EXPECT_EQ(text.text, "plain");
  EXPECT_FALSE(text.instruction);
  const auto prompt = parse_row(R"({"prompt": "ask", "response": "answer"})").value();
  EXPECT_EQ(prompt.text, "ask");
  EXPECT_EQ(prompt.response, "answer");
  EXPECT_TRUE(prompt.instruction);
  const auto task =
      parse_row(R"({"instruction": "do", "input": "this", "output": "done"})").value();
  EXPECT_EQ(task.text, "do\n\nthis");
  EXPECT_EQ(task.response, "done");
  EXPECT_EQ(parse_row(R"({"instruction": "do", "output": "done"})")->text, "do");
}

TEST_F(ExampleStoreTest, BadRowsAreNamedWithTheirLineAndTheOthersAreRead) {
  put("a.jsonl",
      "{\"text\": \"good\"}\n\nnot json\n[1]\n{\"other\": 1}\n{\"text\": 7}\n"
      "{\"text\": \"good too\"}");
  EXPECT_THAT(read(), SizeIs(2));
  ASSERT_THAT(skipped_, SizeIs(4));
  EXPECT_THAT(skipped_[0], HasSubstr("a.jsonl:3"));
  EXPECT_THAT(skipped_[2], HasSubstr("'text', 'prompt' and 'response'"));
  EXPECT_EQ(parse_row(std::string((1 << 20) + 1, 'x')).error().code, ErrorCode::kTooLarge);
}

TEST_F(ExampleStoreTest, LinksAndOtherFilesAreLeftOutAndNamed) {
  const TemporaryFolder outside;
  ASSERT_TRUE(write_file_atomically(outside / "secret.txt", as_bytes("not for training")).ok());
  put("own.txt", "own");
  put("picture.png", "png");
  fs::create_symlink(outside / "secret.txt", folder_ / "link.txt");
  fs::create_directory_symlink(outside.path(), folder_ / "linked");
  EXPECT_THAT(read(), SizeIs(1));
  EXPECT_THAT(skipped_, Contains(HasSubstr("link.txt")));
  EXPECT_THAT(skipped_, Contains(HasSubstr("linked")));
  EXPECT_THAT(skipped_, Contains(HasSubstr("picture.png")));
}

TEST_F(ExampleStoreTest, FilesOverTheLimitsAreLeftOutAndNamed) {
  put("1.txt", std::string(100, 'a'));
  put("2.txt", std::string(500, 'b'));
  put("3.txt", std::string(100, 'c'));
  EXPECT_THAT(read({.max_file_bytes = 200}), SizeIs(2));
  EXPECT_THAT(skipped_, Contains(HasSubstr("2.txt")));
  EXPECT_THAT(read({.max_total_bytes = 150}), SizeIs(1));
  EXPECT_THAT(skipped_, Contains(HasSubstr("all files together")));
}

TEST_F(ExampleStoreTest, AMissingFolderIsAnError) {
  EXPECT_EQ(read_pieces(folder_ / "none", {}, nullptr).error().code, ErrorCode::kNotFound);
}

} // namespace
} // namespace coppice
