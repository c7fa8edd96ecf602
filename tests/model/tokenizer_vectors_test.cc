// SPDX-License-Identifier: Apache-2.0
// Ids of the small tokenizers in tests/vectors/tokenizers, which PyPI's tokenizers and
// sentencepiece gave; and with them the import of tokenizer.json and tokenizer.model.
#include "model/chat_template.h"
#include "model/import_tokenizer.h"
#include "model/pretokenizer.h"
#include "tests/model/shared_data.h"

namespace coppice {
namespace {

using Ids = std::vector<TokenId>;

fs::path vectors(const std::string& name) {
  return fs::path(COPPICE_SOURCE_DIR) / "tests" / "vectors" / "tokenizers" / name;
}

Json document(const std::string& name) { return parse_json(read_text(vectors(name))).value(); }

void write_text(const fs::path& path, const std::string& text) {
  ASSERT_TRUE(write_file_atomically(path, as_bytes(text)).ok());
}

// The tokenizer of a folder, by way of a GGUF file.
std::shared_ptr<const Tokenizer> imported(const fs::path& folder, std::size_t rows) {
  const auto entries = import_tokenizer(folder, Json::object(), rows);
  if (!entries) {
    ADD_FAILURE() << entries.error().message;
    return nullptr;
  }
  GgufWriter writer = GgufWriter::create().value();
  for (const auto& [key, value] : *entries) writer.add_metadata(key, value).value();
  const Bytes bytes = writer.to_bytes();
  const GgufFile file = GgufFile::parse(bytes).value();
  auto made = Tokenizer::from_gguf(file);
  if (!made) ADD_FAILURE() << made.error().message;
  return made ? *made : nullptr;
}

void expect_ids(const Tokenizer& tokenizer, const Json& texts, const Json& ids,
                bool parse_special = false) {
  ASSERT_EQ(texts.size(), ids.size());
  for (std::size_t i = 0; i < texts.size(); ++i) {
    const auto text = texts[i].get<std::string>();
    EXPECT_EQ(tokenizer.encode(text, {.parse_special = parse_special}), ids[i].get<Ids>())
        << tokenizer.kind() << " case " << i << ": \"" << text << '"';
  }
}

TEST(TokenizerVectors, WordsAreCutAsEachFamilysOwnPreTokenizerDoes) {
  const Json file = document("byte_level.json");
  ASSERT_EQ(file["families"].size(), 5U);
  for (const auto& [name, family] : file["families"].items()) {
    const auto words = Pretokenizer::by_name(name).value();
    for (std::size_t i = 0; i < file["texts"].size(); ++i) {
      std::vector<std::size_t> cuts;
      const auto text = file["texts"][i].get<std::string>();
      words.split(text, [&](std::string_view word) { cuts.push_back(word.size()); });
      EXPECT_EQ(cuts, family["cuts"][i].get<std::vector<std::size_t>>())
          << name << " case " << i << ": \"" << text << '"';
    }
  }
}

TEST(TokenizerVectors, ByteLevelFoldersGiveTheirOwnTokenizersIds) {
  const Json file = document("byte_level.json");
  for (const auto& [name, family] : file["families"].items()) {
    const TestFolder folder;
    Json json = file["tokenizer"];
    json["pre_tokenizer"] = family["pre_tokenizer"];
    write_text(folder.path() / "tokenizer.json", dump_json(json));
    write_text(folder.path() / "tokenizer_config.json", R"({"bos_token": "<|begin|>"})");
    const auto tokenizer = imported(folder.path(), 720);
    ASSERT_NE(tokenizer, nullptr);
    EXPECT_EQ(tokenizer->kind(), "gpt2/" + name);
    EXPECT_EQ(tokenizer->vocabulary_size(), 720U);
    EXPECT_TRUE(tokenizer->add_bos()); // its template begins with it
    EXPECT_EQ(tokenizer->bos(), tokenizer->find("<|begin|>"));
    expect_ids(*tokenizer, file["texts"], family["ids"]);
    expect_ids(*tokenizer, file["marked"], family["marked_ids"], true);
    for (const Json& text : file["texts"]) {
      EXPECT_EQ(tokenizer->decode(tokenizer->encode(text.get<std::string>())), text);
    }
  }
}

TEST(TokenizerVectors, MergesMayBeListedAsTexts) {
  const Json file = document("byte_level.json");
  const TestFolder folder;
  Json json = file["tokenizer"];
  json["pre_tokenizer"] = file["families"]["qwen2"]["pre_tokenizer"];
  for (Json& merge : json["model"]["merges"]) {
    merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
  }
  write_text(folder.path() / "tokenizer.json", dump_json(json));
  expect_ids(*imported(folder.path(), 720), file["texts"], file["families"]["qwen2"]["ids"]);
}

TEST(TokenizerVectors, SentencePieceFilesGiveSentencePiecesIds) {
  const Json file = document("sentence_pieces.json");
  for (const std::string name : {"llama", "gemma"}) {
    const TestFolder folder;
    fs::copy_file(vectors(name + ".model"), folder.path() / "tokenizer.model");
    const auto tokenizer = imported(folder.path(), 704);
    ASSERT_NE(tokenizer, nullptr);
    EXPECT_EQ(tokenizer->kind(), "llama");
    EXPECT_EQ(tokenizer->eos(), name == "llama" ? 2 : 1);
    expect_ids(*tokenizer, file["texts"], file[name + "_ids"]);
  }
}

// Ranks of merges in the place of scores give the same ids. (The special tokens differ.)
TEST(TokenizerVectors, SentencePieceInJsonGivesSentencePiecesIds) {
  const Json file = document("sentence_pieces.json");
  const TestFolder folder;
  write_text(folder.path() / "tokenizer.json", dump_json(file["phi3_tokenizer"]));
  const auto tokenizer = imported(folder.path(), 704);
  ASSERT_NE(tokenizer, nullptr);
  std::size_t cases = 0;
  for (std::size_t i = 0; i < file["texts"].size(); ++i) {
    const auto text = file["texts"][i].get<std::string>();
    if (text.find('<') != std::string::npos) continue;
    EXPECT_EQ(tokenizer->encode(text), file["llama_ids"][i].get<Ids>()) << '"' << text << '"';
    ++cases;
  }
  EXPECT_GT(cases, 100U);
}

TEST(TokenizerVectors, SpecialTokensTakeTheSpaceAfterThemWherePhi3sDo) {
  const Json file = document("sentence_pieces.json");
  for (const bool with_model : {false, true}) {
    const TestFolder folder;
    write_text(folder.path() / "tokenizer.json", dump_json(file["phi3_tokenizer"]));
    write_text(folder.path() / "tokenizer_config.json", R"({"bos_token": "<s>"})");
    if (with_model) fs::copy_file(vectors("llama.model"), folder.path() / "tokenizer.model");
    const auto tokenizer = imported(folder.path(), 704);
    ASSERT_NE(tokenizer, nullptr);
    EXPECT_EQ(tokenizer->kind(), "llama");
    expect_ids(*tokenizer, file["chat"], file["phi3_ids"], true);
    EXPECT_TRUE(tokenizer->strips(*tokenizer->find("<|user|>")).after);
    // A conversation has the ids of its text, after BOS.
    const std::vector<ChatMessage> messages = {{ChatRole::kSystem, "Be  brief."},
                                               {ChatRole::kUser, "Why?"}};
    ASSERT_EQ(render_chat(ChatFamily::kPhi3, messages, true), file["chat"][4]);
    Ids ids = tokenize_chat(*tokenizer, ChatFamily::kPhi3, messages, true);
    EXPECT_EQ(ids.front(), tokenizer->find("<s>"));
    ids.erase(ids.begin());
    EXPECT_EQ(ids, file["phi3_ids"][4].get<Ids>());
    EXPECT_FALSE(tokenizer->strips(*tokenizer->find("<s>")).after);
  }
}

} // namespace
} // namespace coppice
