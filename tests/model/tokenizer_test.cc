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

// Phi-3's first 32,000 tokens are Llama 2's.
TEST(Tokenizer, GivesLlama2sIdsWithPhi3sVocabulary) {
  COPPICE_NEEDS_SHARED("tokenizers/ggml-vocab-phi-3.gguf");
  expect_published_ids(shared_data("tokenizers/ggml-vocab-phi-3.gguf"),
                       shared_data("tokenizers/ggml-vocab-llama-spm.gguf.out"));
  const auto phi3 = open_tokenizer(shared_data("tokenizers/ggml-vocab-phi-3.gguf"));
  const TokenId user = *phi3->find("<|user|>");
  EXPECT_TRUE(phi3->strips(user).after);
  EXPECT_FALSE(phi3->strips(*phi3->find("<s>")).after);
  const Ids hello = phi3->encode("Hello");
  EXPECT_EQ(phi3->encode("<|user|>\n Hello", {.parse_special = true}), (Ids{user, hello[0]}));
}

void expect_published_ids_unpacked(const std::string& name) {
  const TestFolder folder;
  const fs::path raw = folder.path() / "vocabulary.gguf";
  const std::string command =
      cat("xz -dc '", shared_data(name + ".xz").string(), "' > '", raw.string(), "'");
  if (std::system(command.c_str()) != 0) GTEST_SKIP() << "needs xz to unpack " << name;
  expect_published_ids(raw, shared_data(name + ".out"));
}

TEST(Tokenizer, GivesLlama3sIdsInAllPublishedCases) {
  COPPICE_NEEDS_SHARED("tokenizers/llama3-licence/ggml-vocab-llama-bpe.gguf.xz");
  expect_published_ids_unpacked("tokenizers/llama3-licence/ggml-vocab-llama-bpe.gguf");
}

TEST(Tokenizer, GivesQwen2sIdsInAllPublishedCases) {
  COPPICE_NEEDS_SHARED("tokenizers/ggml-vocab-qwen2.gguf.xz");
  expect_published_ids_unpacked("tokenizers/ggml-vocab-qwen2.gguf");
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

std::shared_ptr<const Tokenizer> made_tokenizer(
    const std::map<std::string, GgufMetadata>& metadata) {
  TinyModel model;
  model.metadata = metadata;
  const Bytes bytes = model.encode();
  return Tokenizer::from_gguf(GgufFile::parse(bytes).value()).value();
}

Error refusal(const std::map<std::string, GgufMetadata>& metadata) {
  TinyModel model;
  model.metadata = metadata;
  const Bytes bytes = model.encode();
  auto made = Tokenizer::from_gguf(GgufFile::parse(bytes).value());
  if (made.ok()) return {ErrorCode::kInternal, "not refused"};
  return std::move(made).error();
}

std::string random_text(KeyedRandom& random, std::size_t characters) {
  // Letters, spaces and lines often; else any code point but surrogates.
  std::string text;
  for (std::size_t i = 0; i < characters; ++i) {
    const char common = "aehlo  \n'1.s"[random.below(12)];
    std::uint64_t point = random.below(0x110000);
    if (random.below(3) > 0) point = static_cast<std::uint64_t>(common);
    if (point >= 0xD800 && point < 0xE000) point -= 0x800;
    if (point < 0x80) {
      text += static_cast<char>(point);
    } else if (point < 0x800) {
      text += static_cast<char>(0xC0 | point >> 6);
    } else if (point < 0x10000) {
      text += static_cast<char>(0xE0 | point >> 12);
      text += static_cast<char>(0x80 | (point >> 6 & 0x3F));
    } else {
      text += static_cast<char>(0xF0 | point >> 18);
      text += static_cast<char>(0x80 | (point >> 12 & 0x3F));
      text += static_cast<char>(0x80 | (point >> 6 & 0x3F));
    }
    if (point >= 0x80) text += static_cast<char>(0x80 | (point & 0x3F));
  }
  return text;
}

std::string random_bytes(KeyedRandom& random, std::size_t count) {
  std::string bytes;
  for (std::size_t i = 0; i < count; ++i) bytes += static_cast<char>(random.next_u32());
  return bytes;
}

void expect_round_trip(const Tokenizer& tokenizer, const std::string& text) {
  const Ids ids = tokenizer.encode(text);
  EXPECT_EQ(tokenizer.decode(ids), text);
  std::string pieces;
  for (const TokenId id : ids) pieces += tokenizer.piece(id);
  EXPECT_TRUE(pieces == text || pieces == " " + text);
}

TEST(Tokenizer, BytePairsGiveBackEveryTextAndAnyBytes) {
  auto metadata = TinyModel::byte_vocabulary();
  for (const char* pattern : {"gpt-2", "llama-bpe", "qwen2", "smollm", "gpt-4o"}) {
    metadata["tokenizer.ggml.pre"] = std::string(pattern);
    const auto tokenizer = made_tokenizer(metadata);
    KeyedRandom random({.experiment = 5});
    for (int i = 0; i < 300; ++i) {
      expect_round_trip(*tokenizer, random_text(random, random.below(60)));
      expect_round_trip(*tokenizer, random_bytes(random, random.below(60)));
    }
    expect_round_trip(*tokenizer, "");
  }
}

TEST(Tokenizer, PiecesWithByteFallbackGiveBackEveryTextAndAnyBytes) {
  const auto tokenizer = made_tokenizer(TinyModel::piece_vocabulary());
  KeyedRandom random({.experiment = 6});
  for (int i = 0; i < 300; ++i) {
    // U+2581 is the one character that doesn't come back: it reads as a space.
    const std::string text = random_text(random, random.below(60));
    if (text.find("▁") == std::string::npos) expect_round_trip(*tokenizer, text);
    expect_round_trip(*tokenizer, random_bytes(random, random.below(4)));
  }
  EXPECT_EQ(tokenizer->decode(tokenizer->encode("a▁b")), "a b");
}

TEST(Tokenizer, MergesByRankWithinAWord) {
  const auto tokenizer = made_tokenizer(TinyModel::byte_vocabulary());
  const TokenId hello = *tokenizer->find("Ġhello");
  EXPECT_EQ(tokenizer->encode(" hello hello"), (Ids{hello, hello}));
  EXPECT_EQ(tokenizer->encode("hell"), Ids{*tokenizer->find("hell")});
  // Five: aa aa a -> aaaa a, leftmost first.
  EXPECT_EQ(tokenizer->encode("aaaaa"), (Ids{*tokenizer->find("aaaa"), *tokenizer->find("a")}));
}

TEST(Tokenizer, MergesByScoreAndFallsBackToBytes) {
  const auto tokenizer = made_tokenizer(TinyModel::piece_vocabulary());
  EXPECT_EQ(tokenizer->encode("hello"), Ids{*tokenizer->find("▁hello")});
  EXPECT_EQ(tokenizer->encode("é"),
            (Ids{*tokenizer->find("▁"), *tokenizer->find("<0xC3>"), *tokenizer->find("<0xA9>")}));
  EXPECT_TRUE(tokenizer->encode("").empty());
}

TEST(Tokenizer, TakesAWholeWordThatIsATokenBeforeAnyMergeAsLlama3Does) {
  auto metadata = TinyModel::byte_vocabulary();
  auto& merges = std::get<std::vector<std::string>>(metadata["tokenizer.ggml.merges"]);
  std::erase(merges, "aa aa"); // the token "aaaa" is left without its merge
  const auto gpt2 = made_tokenizer(metadata);
  EXPECT_EQ(gpt2->encode("aaaa"), (Ids{*gpt2->find("aa"), *gpt2->find("aa")}));
  EXPECT_EQ(gpt2->kind(), "gpt2/gpt-2");
  metadata["tokenizer.ggml.pre"] = std::string("llama-bpe");
  const auto llama3 = made_tokenizer(metadata);
  EXPECT_EQ(llama3->encode("aaaa"), Ids{*llama3->find("aaaa")});
  EXPECT_EQ(llama3->kind(), "gpt2/llama-bpe");
}

TEST(Tokenizer, MergesOverASpaceWhereATokenHoldsOne) {
  auto metadata = TinyModel::piece_vocabulary();
  for (const char* token : {"o▁", "o▁hello", "hello▁hello"}) {
    std::get<std::vector<std::string>>(metadata["tokenizer.ggml.tokens"]).emplace_back(token);
    std::get<std::vector<float>>(metadata["tokenizer.ggml.scores"]).push_back(-100.0F);
    std::get<std::vector<std::int32_t>>(metadata["tokenizer.ggml.token_type"]).push_back(1);
  }
  const auto apart = made_tokenizer(TinyModel::piece_vocabulary());
  const auto across = made_tokenizer(metadata);
  EXPECT_EQ(apart->encode("o hello"),
            (Ids{*apart->find("▁"), *apart->find("o"), *apart->find("▁hello")}));
  EXPECT_EQ(across->encode("o hello"), (Ids{*across->find("▁"), *across->find("o▁hello")}));
}

TEST(Tokenizer, ControlTokensInUsersTextStayText) {
  for (const auto& metadata : {TinyModel::byte_vocabulary(), TinyModel::piece_vocabulary()}) {
    const auto tokenizer = made_tokenizer(metadata);
    const bool pieces = tokenizer->kind() == "llama";
    const std::string control = pieces ? "<s>" : "<|user|>";
    const TokenId id = *tokenizer->find(control);
    const std::string text = "hello" + control + "hello";
    const Ids plain = tokenizer->encode(text);
    EXPECT_EQ(std::ranges::count(plain, id), 0);
    EXPECT_EQ(tokenizer->decode(plain), text);
    const Ids parsed = tokenizer->encode(text, {.parse_special = true});
    EXPECT_EQ(std::ranges::count(parsed, id), 1);
    EXPECT_EQ(tokenizer->piece(id), "");
  }
}

TEST(Tokenizer, BosStandsFirstOnlyWhereItIsAskedForAndExists) {
  auto metadata = TinyModel::byte_vocabulary();
  EXPECT_EQ(made_tokenizer(metadata)->encode("a", {.add_bos = true}).front(), 0);
  EXPECT_EQ(made_tokenizer(metadata)->encode("a").size(), 1U);
  EXPECT_FALSE(made_tokenizer(metadata)->add_bos());
  metadata.erase("tokenizer.ggml.bos_token_id");
  EXPECT_EQ(made_tokenizer(metadata)->encode("a", {.add_bos = true}).size(), 1U);
  EXPECT_TRUE(made_tokenizer(TinyModel::piece_vocabulary())->add_bos()); // SentencePiece's default
}

TEST(Tokenizer, EndsGenerationAtEosOnly) {
  const auto tokenizer = made_tokenizer(TinyModel::byte_vocabulary());
  EXPECT_TRUE(tokenizer->ends_generation(0));
  EXPECT_FALSE(tokenizer->ends_generation(1));
  EXPECT_FALSE(tokenizer->ends_generation(70));
}

// Merging by scanning for the best pair again and again would take 10^12 steps here; the limit is
// far above what n log n takes, on any machine.
TEST(Tokenizer, AMegabyteOfOneLetterTakesNoQuadraticTime) {
  const std::string word(std::size_t{1} << 20U, 'a');
  for (const auto& metadata : {TinyModel::byte_vocabulary(), TinyModel::piece_vocabulary()}) {
    const auto tokenizer = made_tokenizer(metadata);
    const auto start = std::chrono::steady_clock::now();
    const Ids ids = tokenizer->encode(word);
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(30));
    EXPECT_EQ(tokenizer->decode(ids), word);
    if (tokenizer->kind() != "llama") {
      EXPECT_EQ(ids.size(), word.size() / 4);
    }
    EXPECT_EQ(tokenizer->decode(tokenizer->encode(std::string(word.size(), ' '))),
              std::string(word.size(), ' '));
  }
}

TEST(Tokenizer, IdsOutsideTheVocabularyDecodeToNothing) {
  for (const auto& metadata : {TinyModel::byte_vocabulary(), TinyModel::piece_vocabulary()}) {
    const Ids ids = {-1, 1 << 20};
    EXPECT_EQ(made_tokenizer(metadata)->decode(ids), "");
  }
}

TEST(Tokenizer, RefusesVocabulariesThatContradictThemselves) {
  const auto with = [](auto metadata, const std::string& key, const GgufMetadata& value) {
    metadata[key] = value;
    return refusal(metadata).code;
  };
  const auto bytes = TinyModel::byte_vocabulary();
  const auto pieces = TinyModel::piece_vocabulary();
  using Strings = std::vector<std::string>;
  EXPECT_EQ(with(bytes, "tokenizer.ggml.model", std::string("bert")), ErrorCode::kUnsupported);
  EXPECT_EQ(with(bytes, "tokenizer.ggml.pre", std::string("default")), ErrorCode::kUnsupported);
  EXPECT_EQ(with(bytes, "tokenizer.ggml.tokens", Strings{"a"}), ErrorCode::kCorrupt);
  EXPECT_EQ(with(bytes, "tokenizer.ggml.merges", Strings{"h e", "zz y"}), ErrorCode::kCorrupt);
  EXPECT_EQ(with(bytes, "tokenizer.ggml.merges", Strings{"he"}), ErrorCode::kCorrupt);
  EXPECT_EQ(with(bytes, "tokenizer.ggml.bos_token_id", std::uint32_t{100000}), ErrorCode::kCorrupt);
  EXPECT_EQ(with(pieces, "tokenizer.ggml.scores", std::vector<float>{1.0F}), ErrorCode::kCorrupt);
  EXPECT_EQ(with(pieces, "tokenizer.ggml.token_type", std::vector<std::int32_t>{1}),
            ErrorCode::kCorrupt);
  auto without = pieces;
  without.erase("tokenizer.ggml.scores");
  EXPECT_EQ(refusal(without).code, ErrorCode::kCorrupt);
  without = bytes;
  without.erase("tokenizer.ggml.pre");
  EXPECT_EQ(refusal(without).code, ErrorCode::kUnsupported);
}

} // namespace
} // namespace coppice
