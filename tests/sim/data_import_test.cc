// SPDX-License-Identifier: Apache-2.0
// Foreign data sets become folders that a scenario can pin.
#include "sim/data_import.h"

#include <gmock/gmock.h>

#include "base/text.h"
#include "crypto/hash.h"
#include "sim/client_data.h"
#include "sim/leaf_json.h"
#include "tests/model/shared_data.h"

namespace coppice {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Made by hand after LEAF's format: windows of 8 characters, y the next.
constexpr std::string_view kWindows = R"({
  "users": ["ROMEO", "JULIET"], "hierarchies": ["play", {"a": ["]"]}], "num_samples": [3, 2],
  "user_data": {
    "ROMEO": {"x": ["But soft", "ut soft!", "A second"], "y": ["!", " ", "."]},
    "JULIET": {"raw": "kept \" aside", "x": ["Ay me, h", "y me, he"], "y": ["e", "r"]}}})";

constexpr std::string_view kTweets = R"({"users": ["7"], "num_samples": [2], "user_data": {"7":
  {"x": [["1", "Mon", "NO_QUERY", "seven", "so tired", "training"],
         ["2", "Tue", "NO_QUERY", "seven", "what a day", "training"]], "y": [0, 4]}}})";

struct Users {
  std::vector<std::string> names;
  std::vector<std::string> texts;
  std::vector<std::string> labels;
};

Result<Users> read(std::string_view json, const LeafColumns& columns = {}) {
  Users users;
  COPPICE_TRY(read_leaf(
      json, columns,
      [&](const std::string& user, const std::vector<LeafSample>& samples) -> Result<void> {
        users.names.push_back(user);
        for (const LeafSample& sample : samples) {
          users.texts.push_back(sample.text);
          users.labels.push_back(sample.label);
        }
        return {};
      }));
  return users;
}

TEST(LeafJson, PutsWindowsTogetherThatGoOn) {
  const Users users = read(kWindows).value();
  EXPECT_THAT(users.names, ElementsAre("ROMEO", "JULIET"));
  EXPECT_THAT(users.texts, ElementsAre("But soft! ", "A second.", "Ay me, her"));
}

TEST(LeafJson, TakesTextFromListsAndClassesFromY) {
  const Users users = read(kTweets, {.text_place = 4, .label_is_y = true}).value();
  EXPECT_THAT(users.texts, ElementsAre("so tired", "what a day"));
  EXPECT_THAT(users.labels, ElementsAre("0", "4"));
  EXPECT_EQ(read(kTweets).error().code, ErrorCode::kInvalidArgument);
}

TEST(LeafJson, RestoresALongTextCutAtBlanksWithoutALetterLost) {
  std::string text;
  for (int i = 0; text.size() < 5000; ++i) text += cat("w\xc3\xb6rd", i, ' ');
  // Windows of 80 characters, as LEAF makes them of a role's text.
  std::vector<std::string> characters;
  for (std::size_t i = 0; i < text.size();) {
    const std::size_t size = text[i] == '\xc3' ? 2 : 1;
    characters.push_back(text.substr(i, size));
    i += size;
  }
  Json x = Json::array();
  Json y = Json::array();
  for (std::size_t i = 0; i + 80 < characters.size(); ++i) {
    x.push_back(join(std::span(characters).subspan(i, 80), ""));
    y.push_back(characters[i + 80]);
  }
  const Json leaf{
      {"users", {"a"}}, {"num_samples", {x.size()}}, {"user_data", {{"a", {{"x", x}, {"y", y}}}}}};
  const Users users = read(dump_json(leaf)).value();
  EXPECT_EQ(join(users.texts, ""), text);
  EXPECT_GE(users.texts.size(), 5U);
  for (std::size_t i = 0; i + 1 < users.texts.size(); ++i) {
    EXPECT_LE(users.texts[i].size(), 1000U);
    EXPECT_TRUE(users.texts[i].ends_with(' '));
  }
}

TEST(LeafJson, IsRefusedWhereItDoesNotAddUp) {
  for (const char* json :
       {R"({"users": ["a"], "num_samples": [1]})",
        R"({"users": ["a"], "num_samples": [2], "user_data": {"a": {"x": ["b"], "y": ["c"]}}})",
        R"({"users": [], "num_samples": [], "user_data": {"a": {"x": ["b"], "y": ["c"]}}})",
        R"({"users": ["a"], "num_samples": [1], "user_data": {}})",
        R"({"users": ["a"], "num_samples": [0], "user_data": {"a": {"x": [], "y": []},)"
        R"("a": {"x": [], "y": []}}})",
        R"({"users": ["a"], "num_samples": [1], "user_data": {"a": {"x": ["b"], "y": [)",
        R"({"users": ["a"], "users": ["a"], "num_samples": [0], "user_data": {}})",
        R"({"users": [], "num_samples": [], "user_data": {}} more)", "[]", "{", "", "{\"",
        R"({"a":})"}) {
    const auto users = read(json);
    ASSERT_FALSE(users.ok()) << json;
    EXPECT_EQ(users.error().code, ErrorCode::kCorrupt) << json << users.error().message;
  }
}

class ImportedSplits : public ::testing::Test {
 protected:
  fs::path source(const std::string& name, std::string_view text) const {
    EXPECT_TRUE(write_file_atomically(folder_.path() / name, as_bytes(text)).ok());
    return folder_.path() / name;
  }
  fs::path out() const { return folder_.path() / "split"; }
  Result<std::unique_ptr<ClientData>> open() const {
    return open_client_data({.source = DataSource::kJsonl, .path = "split", .user_column = "user"},
                            folder_.path(), 0, 1);
  }
  TestFolder folder_;
};

TEST_F(ImportedSplits, OfLeafAreReadAsJsonl) {
  const ImportedSplit split = import_split(source("leaf.json", kWindows), {}, out()).value();
  EXPECT_EQ(split.users, 2U);
  EXPECT_EQ(split.rows, 3U);
  EXPECT_EQ(split.sha256, sha256_file(out() / "data.jsonl").value());
  EXPECT_EQ(split.source_sha256, sha256(as_bytes(kWindows)));
  const auto data = open().value();
  ASSERT_EQ(data->clients(), 2U);
  EXPECT_EQ(data->name(1), "JULIET");
  EXPECT_EQ(data->pieces(1).value().front().text, "Ay me, her");
}

TEST_F(ImportedSplits, OfRowsKeepUsersLabelsAndInstructions) {
  const auto tsv = source("t.tsv", "who\tkind\ttext\nann\tk\tOne\\ntwo\nbob\tk\tThree\n");
  const DataSettings columns{.user_column = "who", .label_column = "kind"};
  EXPECT_EQ(import_split(tsv, columns, out()).value().users, 2U);
  EXPECT_EQ(read_text(out() / "data.jsonl"),
            "{\"user\":\"ann\",\"label\":\"k\",\"text\":\"One\\ntwo\"}\n"
            "{\"user\":\"bob\",\"label\":\"k\",\"text\":\"Three\"}\n");
  const auto jsonl = source("r.jsonl", R"({"id": 3, "instruction": "1+1", "output": "2"})");
  ASSERT_TRUE(import_split(jsonl, {.user_column = "id"}, folder_.path() / "rows").ok());
  EXPECT_EQ(read_text(folder_.path() / "rows/data.jsonl"),
            "{\"user\":\"3\",\"prompt\":\"1+1\",\"response\":\"2\"}\n");
}

TEST_F(ImportedSplits, AreTheSameBytesEveryTime) {
  const auto leaf = source("leaf.json", kWindows);
  const Sha256 first = import_split(leaf, {}, out()).value().sha256;
  EXPECT_EQ(import_split(leaf, {}, folder_.path() / "again").value().sha256, first);
}

TEST_F(ImportedSplits, AreRefusedOnceTheirRowsChange) {
  ASSERT_TRUE(import_split(source("leaf.json", kWindows), {}, out()).ok());
  ASSERT_TRUE(open().ok());
  const std::string rows = read_text(out() / "data.jsonl");
  ASSERT_TRUE(write_file_atomically(out() / "data.jsonl", as_bytes(rows.substr(1))).ok());
  const auto opened = open();
  ASSERT_FALSE(opened.ok());
  EXPECT_EQ(opened.error().code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(opened.error().message, HasSubstr("split.json says"));
}

TEST_F(ImportedSplits, AreNotWrittenOverNorLeftHalf) {
  const auto leaf = source("leaf.json", kWindows);
  ASSERT_TRUE(import_split(leaf, {}, out()).ok());
  EXPECT_EQ(import_split(leaf, {}, out()).error().code, ErrorCode::kAlreadyExists);
  const auto half = source("half.json", kWindows.substr(0, kWindows.size() - 20));
  const fs::path other = folder_.path() / "other";
  EXPECT_EQ(import_split(half, {}, other).error().code, ErrorCode::kCorrupt);
  EXPECT_TRUE(fs::is_empty(other));
  EXPECT_EQ(import_split(source("x.csv", "a,b"), {}, other).error().code,
            ErrorCode::kInvalidArgument);
  EXPECT_EQ(import_split(leaf, {.sha256 = std::string(64, '0')}, other).error().code,
            ErrorCode::kInvalidArgument);
}

} // namespace
} // namespace coppice
