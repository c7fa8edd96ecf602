// SPDX-License-Identifier: Apache-2.0
#include "model/tokenizer.h"

#include <chrono>
#include <sstream>

#include "base/random.h"
#include "tests/model/shared_data.h"
#include "tests/model/tiny_model.h"

namespace coppice {
namespace {

using Ids = std::vector<TokenId>;

std::shared_ptr<const Tokenizer> open_tokenizer(const fs::path& path) {
  const auto file = GgufFile::open(path);
  if (!file) {
    ADD_FAILURE() << file.error().message;
    return nullptr;
  }
  auto made = Tokenizer::from_gguf(*file);
  if (!made) {
    ADD_FAILURE() << made.error().message;
    return nullptr;
  }
  return *made;
}

// The published cases: texts separated by a marker line, one line of ids each.
void expect_published_ids(const fs::path& vocabulary, const fs::path& expected) {
  const auto tokenizer = open_tokenizer(vocabulary);
  ASSERT_NE(tokenizer, nullptr);
  const std::string text = read_text(shared_data("tokenizers/ggml-vocab.inp"));
  const std::string marker = "\n__ggml_vocab_test__\n";
  std::istringstream lines(read_text(expected));
  std::string line;
  std::size_t at = 0;
  std::size_t cases = 0;
  for (; std::getline(lines, line); ++cases) {
    const std::size_t end = text.find(marker, at);
    ASSERT_NE(end, std::string::npos);
    const std::string input = text.substr(at, end - at);
    at = end + marker.size();
    std::istringstream numbers(line);
    const Ids ids{std::istream_iterator<TokenId>(numbers), {}};
    const Ids made = tokenizer->encode(input);
    EXPECT_EQ(made, ids) << "case " << cases << ": \"" << input << '"';
    EXPECT_EQ(tokenizer->decode(made), input);
  }
  EXPECT_EQ(cases, 46U);
}

TEST(Tokenizer, GivesGpt2sIdsInAllPublishedCases) {
  COPPICE_NEEDS_SHARED("tokenizers/ggml-vocab-gpt-2.gguf");
  expect_published_ids(shared_data("tokenizers/ggml-vocab-gpt-2.gguf"),
                       shared_data("tokenizers/ggml-vocab-gpt-2.gguf.out"));
}

TEST(Tokenizer, GivesLlama2sIdsInAllPublishedCases) {
  COPPICE_NEEDS_SHARED("tokenizers/ggml-vocab-llama-spm.gguf");
  expect_published_ids(shared_data("tokenizers/ggml-vocab-llama-spm.gguf"),
                       shared_data("tokenizers/ggml-vocab-llama-spm.gguf.out"));
}

TEST(Tokenizer, GivesLlama3sIdsInAllPublishedCases) {
  const std::string name = "tokenizers/llama3-licence/ggml-vocab-llama-bpe.gguf";
  COPPICE_NEEDS_SHARED(name + ".xz");
  const TestFolder folder;
  const fs::path raw = folder.path() / "vocabulary.gguf";
  const std::string command =
      cat("xz -dc '", shared_data(name + ".xz").string(), "' > '", raw.string(), "'");
  if (std::system(command.c_str()) != 0) GTEST_SKIP() << "needs xz to unpack " << name;
  expect_published_ids(raw, shared_data(name + ".out"));
}

TEST(Tokenizer, GivesTheIdsOfTheModelsOwnGoldens) {
  COPPICE_NEEDS_SHARED("models/coppice-4m.q4_0.golden/golden.json");
  const auto golden =
      parse_json(read_text(shared_data("models/coppice-4m.q4_0.golden/golden.json"))).value();
  const auto coppice = open_tokenizer(shared_data("models/coppice-4m.q4_0.gguf"));
  EXPECT_EQ(coppice->encode(golden["text"].get<std::string>()), golden["ids"].get<Ids>());
  EXPECT_EQ(coppice->decode(golden["greedy_ids"].get<Ids>()),
            golden["greedy_text"].get<std::string>());
  EXPECT_EQ(coppice->kind(), "gpt2/gpt-2");
  EXPECT_FALSE(coppice->add_bos());

  const auto baby = parse_json(read_text(shared_data("models/babyllama361.golden.json"))).value();
  const auto characters = open_tokenizer(shared_data("models/babyllama361.gguf"));
  EXPECT_TRUE(characters->add_bos());
  EXPECT_EQ(characters->encode(baby["sequence"]["text"].get<std::string>(), {.add_bos = true}),
            baby["sequence"]["ids"].get<Ids>());
  for (const Json& prompt : baby["prompts"]) {
    EXPECT_EQ(characters->encode(prompt["prompt"].get<std::string>(), {.add_bos = true}),
              prompt["ids"].get<Ids>());
  }
}

} // namespace
} // namespace coppice
