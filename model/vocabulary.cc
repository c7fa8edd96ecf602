// SPDX-License-Identifier: Apache-2.0
#include "model/vocabulary.h"

#include <algorithm>
#include <cmath>

#include "base/text.h"
#include "model/utf8.h"

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

std::string unescape_spaces(std::string_view text) {
  std::string plain;
  while (!text.empty()) {
    const bool space = text.starts_with(kSpaceMark);
    plain += space ? ' ' : text[0];
    text.remove_prefix(space ? kSpaceMark.size() : 1);
  }
  return plain;
}

Result<Vocabulary> Vocabulary::from_gguf(const GgufFile& file) {
  Vocabulary made;
  COPPICE_TRY(made.read_texts(file));
  COPPICE_TRY(made.read_types(file));
  COPPICE_TRY(made.read_ids(file));
  COPPICE_TRY(made.read_strips(file));
  made.index(COPPICE_TRY(file.get_string_or("tokenizer.ggml.model", "")) == "llama");
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

// The keys are ours: llama.cpp's files have none, and it knows Phi-3's tokens by their names.
Result<void> Vocabulary::read_strips(const GgufFile& file) {
  const auto read = [&](std::string_view key, std::vector<TokenId>& ids) -> Result<void> {
    for (const std::int64_t id : COPPICE_TRY(file.get_ints_or(key, {}))) {
      if (id < 0 || static_cast<std::uint64_t>(id) >= size()) {
        return corrupt(file, cat(key, " names the token ", id, ", of ", size()));
      }
      ids.push_back(static_cast<TokenId>(id));
    }
    std::ranges::sort(ids);
    return {};
  };
  COPPICE_TRY(read(kStripBeforeKey, strip_before_));
  COPPICE_TRY(read(kStripAfterKey, strip_after_));
  if (file.has(kStripAfterKey)) return {};
  if (COPPICE_TRY(file.get_string_or("general.architecture", "")) != "phi3") return {};
  if (std::ranges::find(texts_, "<|end|>") == texts_.end()) return {};
  for (std::size_t i = 0; i < size(); ++i) {
    const bool special = types_[i] == TokenType::kControl || types_[i] == TokenType::kUserDefined;
    const bool plain = texts_[i] == "<unk>" || texts_[i] == "<s>" || texts_[i] == "<|endoftext|>";
    if (special && !plain) strip_after_.push_back(static_cast<TokenId>(i));
  }
  return {};
}

void Vocabulary::index(bool sentencepiece) {
  ids_.reserve(size());
  for (std::size_t i = 0; i < size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    ids_.try_emplace(texts_[i], id);
    const bool special = types_[i] == TokenType::kControl || types_[i] == TokenType::kUserDefined;
    if (!special || texts_[i].empty()) continue;
    std::string_view spelled = texts_[i];
    if (sentencepiece && spelled.find(kSpaceMark) != std::string_view::npos) {
      spelled = plain_.emplace_back(unescape_spaces(spelled));
    }
    specials_[static_cast<unsigned char>(spelled[0])].push_back({spelled, id});
    if (std::ranges::find(kEndings, texts_[i]) != std::end(kEndings)) endings_.push_back(id);
  }
  for (auto& specials : specials_) {
    std::ranges::stable_sort(specials, std::ranges::greater(),
                             [](const Special& special) { return special.text.size(); });
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

StripSides Vocabulary::strips(TokenId id) const {
  return {.before = std::ranges::binary_search(strip_before_, id),
          .after = std::ranges::binary_search(strip_after_, id)};
}

const Vocabulary::Special* Vocabulary::special_at(std::string_view text, bool control) const {
  for (const Special& special : specials_[static_cast<unsigned char>(text[0])]) {
    const bool wanted = control || type(special.id) == TokenType::kUserDefined;
    if (wanted && text.starts_with(special.text)) return &special;
  }
  return nullptr;
}

std::vector<Vocabulary::Fragment> Vocabulary::split_specials(std::string_view text,
                                                             bool control) const {
  std::vector<Fragment> fragments;
  std::size_t start = 0;
  for (std::size_t at = 0; at < text.size();) {
    const Special* const special = special_at(text.substr(at), control);
    if (special == nullptr) {
      ++at;
      continue;
    }
    const StripSides strip = strips(special->id);
    std::string_view before = text.substr(start, at - start);
    if (strip.before) before = without_trailing_space(before);
    if (!before.empty()) fragments.push_back({before, std::nullopt});
    fragments.push_back({text.substr(at, special->text.size()), special->id});
    at += special->text.size();
    if (strip.after) at = text.size() - without_leading_space(text.substr(at)).size();
    start = at;
  }
  if (start < text.size()) fragments.push_back({text.substr(start), std::nullopt});
  return fragments;
}

} // namespace coppice
