// SPDX-License-Identifier: Apache-2.0
#include "model/vocabulary.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"

namespace coppice {
namespace {

// How the known model families spell the token that ends a turn or a text.
constexpr std::string_view kEndings[] = {
    "<|eot_id|>",    "<|eom_id|>",      "<|im_end|>", "<|end|>", "</s>",          "<|eos|>",
    "<|endoftext|>", "<|end_of_text|>", "<eos>",      "<EOT>",   "<end_of_turn>", "<|end_of_turn|>",
};

Error corrupt(const GgufFile& file, std::string_view what) {
  return {ErrorCode::kCorrupt, cat(file.name(), ": ", what, "; get the file again")};
}

Result<std::optional<TokenId>> read_id(const GgufFile& file, std::string_view key,
                                       std::size_t size) {
  if (!file.has(key)) return std::optional<TokenId>();
  const std::uint64_t id = COPPICE_TRY(file.get_uint(key));
  if (id == 0xFFFFFFFF) return std::optional<TokenId>(); // how some converters write "none"
  if (id >= size) return corrupt(file, cat(key, " is ", id, ", of ", size, " tokens"));
  return std::optional<TokenId>(static_cast<TokenId>(id));
}

} // namespace

Result<Vocabulary> Vocabulary::from_gguf(const GgufFile& file) {
  Vocabulary made;
  COPPICE_TRY(made.read_texts(file));
  COPPICE_TRY(made.read_types(file));
  COPPICE_TRY(made.read_ids(file));
  made.index();
  return made;
}

Result<void> Vocabulary::read_texts(const GgufFile& file) {
  const auto tokens = COPPICE_TRY(file.get_strings("tokenizer.ggml.tokens"));
  constexpr std::size_t kMaxTokens = std::size_t{1} << 24U;
  if (tokens.empty() || tokens.size() > kMaxTokens) {
    return corrupt(file, cat("tokenizer.ggml.tokens has ", tokens.size(), " items"));
  }
  std::size_t bytes = 0;
  for (const auto token : tokens) bytes += token.size();
  blob_.reserve(bytes); // so that the views below stay valid
  texts_.reserve(tokens.size());
  for (const auto token : tokens) {
    const char* const start = blob_.data() + blob_.size();
    blob_.insert(blob_.end(), token.begin(), token.end());
    texts_.emplace_back(start, token.size());
    longest_ = std::max(longest_, token.size());
  }
  return {};
}

Result<void> Vocabulary::read_types(const GgufFile& file) {
  scores_ = COPPICE_TRY(file.get_floats_or("tokenizer.ggml.scores", {}));
  has_scores_ = !scores_.empty();
  scores_.resize(has_scores_ ? scores_.size() : size());
  if (scores_.size() != size()) {
    return corrupt(file, cat("it has ", size(), " tokens and ", scores_.size(), " scores"));
  }
  if (!std::ranges::all_of(scores_, [](float score) { return std::isfinite(score); })) {
    return corrupt(file, "a score in tokenizer.ggml.scores is no finite number");
  }
  const auto types = COPPICE_TRY(file.get_ints_or("tokenizer.ggml.token_type", {}));
  if (!types.empty() && types.size() != size()) {
    return corrupt(file, cat("it has ", size(), " tokens and ", types.size(), " token types"));
  }
  types_.assign(size(), TokenType::kNormal);
  for (std::size_t i = 0; i < types.size(); ++i) {
    if (types[i] < 1 || types[i] > 6) {
      return corrupt(file,
                     cat("the type of token ", i, " is ", types[i], ", and 1 to 6 are known"));
    }
    types_[i] = static_cast<TokenType>(types[i]);
  }
  return {};
}

Result<void> Vocabulary::read_ids(const GgufFile& file) {
  bos_ = COPPICE_TRY(read_id(file, "tokenizer.ggml.bos_token_id", size()));
  eos_ = COPPICE_TRY(read_id(file, "tokenizer.ggml.eos_token_id", size()));
  unknown_ = COPPICE_TRY(read_id(file, "tokenizer.ggml.unknown_token_id", size()));
  const auto eot = COPPICE_TRY(read_id(file, "tokenizer.ggml.eot_token_id", size()));
  const auto mark = [&](std::optional<TokenId> id, TokenType type) {
    if (id && types_[static_cast<std::size_t>(*id)] == TokenType::kNormal) {
      types_[static_cast<std::size_t>(*id)] = type;
    }
  };
  mark(bos_, TokenType::kControl);
  mark(eos_, TokenType::kControl);
  mark(eot, TokenType::kControl);
  mark(unknown_, TokenType::kUnknown);
  if (eos_) endings_.push_back(*eos_);
  if (eot) endings_.push_back(*eot);
  return {};
}

void Vocabulary::index() {
  ids_.reserve(size());
  for (std::size_t i = 0; i < size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    ids_.try_emplace(texts_[i], id);
    const bool special = types_[i] == TokenType::kControl || types_[i] == TokenType::kUserDefined;
    if (!special || texts_[i].empty()) continue;
    specials_[static_cast<unsigned char>(texts_[i][0])].push_back(id);
    if (std::ranges::find(kEndings, texts_[i]) != std::end(kEndings)) endings_.push_back(id);
  }
  for (auto& ids : specials_) {
    std::ranges::stable_sort(ids, std::ranges::greater(),
                             [&](TokenId id) { return text(id).size(); });
  }
}

std::optional<TokenId> Vocabulary::find(std::string_view text) const {
  const auto found = ids_.find(text);
  if (found == ids_.end()) return std::nullopt;
  return found->second;
}

bool Vocabulary::ends_generation(TokenId id) const {
  return std::ranges::find(endings_, id) != endings_.end();
}

std::optional<TokenId> Vocabulary::special_at(std::string_view text, bool control) const {
  for (const TokenId id : specials_[static_cast<unsigned char>(text[0])]) {
    if ((control || type(id) == TokenType::kUserDefined) && text.starts_with(this->text(id))) {
      return id;
    }
  }
  return std::nullopt;
}

std::vector<Vocabulary::Fragment> Vocabulary::split_specials(std::string_view text,
                                                             bool control) const {
  std::vector<Fragment> fragments;
  std::size_t start = 0;
  for (std::size_t at = 0; at < text.size();) {
    const auto special = special_at(text.substr(at), control);
    if (!special) {
      ++at;
      continue;
    }
    if (at > start) fragments.push_back({text.substr(start, at - start), std::nullopt});
    const std::size_t length = this->text(*special).size();
    fragments.push_back({text.substr(at, length), special});
    at += length;
    start = at;
  }
  if (start < text.size()) fragments.push_back({text.substr(start), std::nullopt});
  return fragments;
}

} // namespace coppice
