// SPDX-License-Identifier: Apache-2.0
#include "model/spm_tokenizer.h"

#include <algorithm>
#include <charconv>
#include <queue>

#include "base/text.h"
#include "model/utf8.h"

namespace coppice {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD"; // U+FFFD, for the unknown token
constexpr std::uint32_t kNone = ~std::uint32_t{0};

std::string escape_spaces(std::string_view text) {
  std::string escaped;
  for (const char byte : text) {
    if (byte == ' ') {
      escaped += kSpaceMark;
    } else {
      escaped += byte;
    }
  }
  return escaped;
}

// "<0x0A>" -> 10.
std::optional<std::uint8_t> parse_byte(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return std::nullopt;
  unsigned byte = 0;
  const auto [end, error] = std::from_chars(text.data() + 3, text.data() + 5, byte, 16);
  if (error != std::errc() || end != text.data() + 5) return std::nullopt;
  return static_cast<std::uint8_t>(byte);
}

// Whether a space stands in `token` anywhere but at its start or after another space.
bool has_space_inside(std::string_view token) {
  for (std::size_t at = 0; (at = token.find(kSpaceMark, at)) != std::string_view::npos;) {
    if (at > 0 && !token.substr(0, at).ends_with(kSpaceMark)) return true;
    at += kSpaceMark.size();
  }
  return false;
}

// A stretch of the text; size 0 once it is merged into the one before.
struct Symbol {
  std::uint32_t start;
  std::uint32_t size;
  std::uint32_t previous;
  std::uint32_t next;
};

struct Candidate {
  float score;
  std::uint32_t left;
  std::uint32_t right;
  std::uint32_t size;                            // of both: outdated when they have another
  bool operator<(const Candidate& other) const { // the queue's top is the greatest
    return score != other.score ? score < other.score : left > other.left;
  }
};

std::vector<Symbol> characters(std::string_view text) {
  std::vector<Symbol> symbols;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t size = std::max<std::size_t>(utf8_character(text.substr(at)), 1);
    const auto index = static_cast<std::uint32_t>(symbols.size());
    symbols.push_back({.start = static_cast<std::uint32_t>(at),
                       .size = static_cast<std::uint32_t>(size),
                       .previous = index == 0 ? kNone : index - 1,
                       .next = index + 1});
    at += size;
  }
  if (!symbols.empty()) symbols.back().next = kNone;
  return symbols;
}

} // namespace

Result<std::shared_ptr<const Tokenizer>> SpmTokenizer::from_gguf(const GgufFile& file) {
  auto vocabulary = COPPICE_TRY(Vocabulary::from_gguf(file));
  if (!vocabulary.has_scores()) {
    return Error{ErrorCode::kCorrupt,
                 cat(file.name(),
                     ": a llama vocabulary needs tokenizer.ggml.scores, and it has none; "
                     "convert the model again")};
  }
  std::shared_ptr<SpmTokenizer> made(new SpmTokenizer(std::move(vocabulary)));
  made->add_bos_ = COPPICE_TRY(file.get_bool_or("tokenizer.ggml.add_bos_token", true));
  made->add_space_prefix_ = COPPICE_TRY(file.get_bool_or("tokenizer.ggml.add_space_prefix", true));
  made->index_tokens();
  if (std::ranges::find(made->byte_ids_, -1) != made->byte_ids_.end()) {
    return Error{ErrorCode::kCorrupt,
                 cat(file.name(),
                     ": its vocabulary has neither a token for every byte nor an unknown "
                     "token; convert the model again")};
  }
  return std::shared_ptr<const Tokenizer>(std::move(made));
}

void SpmTokenizer::index_tokens() {
  byte_ids_.fill(vocabulary_.unknown().value_or(-1));
  bytes_.assign(vocabulary_.size(), -1);
  for (std::size_t i = 0; i < vocabulary_.size(); ++i) {
    const auto id = static_cast<TokenId>(i);
    if (find_text(vocabulary_.text(id)) && has_space_inside(vocabulary_.text(id))) {
      spaces_begin_tokens_ = false;
    }
    if (vocabulary_.type(id) != TokenType::kByte) continue;
    if (const auto byte = parse_byte(vocabulary_.text(id))) {
      byte_ids_[*byte] = id;
      bytes_[i] = *byte;
    }
  }
}

std::optional<TokenId> SpmTokenizer::find_text(std::string_view text) const {
  if (text.size() > vocabulary_.longest()) return std::nullopt;
  const auto id = vocabulary_.find(text);
  if (!id) return std::nullopt;
  const TokenType type = vocabulary_.type(*id);
  const bool fits = type == TokenType::kNormal || type == TokenType::kUserDefined;
  return fits ? id : std::nullopt;
}

std::vector<TokenId> SpmTokenizer::encode(std::string_view text, EncodeOptions options) const {
  std::vector<TokenId> ids;
  if (options.add_bos && bos()) ids.push_back(*bos());
  bool after_special = true; // the start counts: a prefix space comes after either
  for (const auto& fragment : vocabulary_.split_specials(text, options.parse_special)) {
    if (fragment.special) {
      ids.push_back(*fragment.special);
    } else {
      const bool prefix = add_space_prefix_ && after_special;
      encode_text(escape_spaces(prefix ? cat(' ', fragment.text) : fragment.text), ids);
    }
    after_special = fragment.special.has_value();
  }
  return ids;
}

void SpmTokenizer::encode_text(std::string_view text, std::vector<TokenId>& ids) const {
  // Offsets are 32 bits: what is longer is cut, far beyond any real word.
  constexpr std::size_t kMaxWord = std::size_t{1} << 30U;
  while (!text.empty()) {
    std::size_t size = std::min(text.size(), kMaxWord);
    if (spaces_begin_tokens_) {
      std::size_t letters = 0;
      while (text.substr(letters).starts_with(kSpaceMark)) letters += kSpaceMark.size();
      size = std::min(text.find(kSpaceMark, letters), size);
    }
    encode_word(text.substr(0, size), ids);
    text.remove_prefix(size);
  }
}

void SpmTokenizer::encode_word(std::string_view text, std::vector<TokenId>& ids) const {
  auto symbols = characters(text);
  std::priority_queue<Candidate> queue;
  const auto offer = [&](std::uint32_t left, std::uint32_t right) {
    if (left == kNone || right == kNone) return;
    const std::uint32_t size = symbols[left].size + symbols[right].size;
    const auto id = find_text(text.substr(symbols[left].start, size));
    if (id) queue.push({vocabulary_.score(*id), left, right, size});
  };
  for (std::uint32_t i = 0; i + 1 < symbols.size(); ++i) offer(i, i + 1);
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Symbol& left = symbols[best.left];
    Symbol& right = symbols[best.right];
    if (left.size == 0 || right.size == 0 || left.size + right.size != best.size) continue;
    left.size += right.size;
    right.size = 0;
    left.next = right.next;
    if (left.next != kNone) symbols[left.next].previous = best.left;
    offer(left.previous, best.left);
    offer(best.left, left.next);
  }
  for (std::uint32_t at = symbols.empty() ? kNone : 0; at != kNone; at = symbols[at].next) {
    const std::string_view piece = text.substr(symbols[at].start, symbols[at].size);
    if (const auto id = find_text(piece)) {
      ids.push_back(*id);
      continue;
    }
    for (const char byte : piece) ids.push_back(byte_ids_[static_cast<unsigned char>(byte)]);
  }
}

std::string SpmTokenizer::piece(TokenId id) const {
  if (!vocabulary_.has(id)) return {};
  const TokenType type = vocabulary_.type(id);
  if (type == TokenType::kControl) return {};
  if (type == TokenType::kUnknown) return std::string(kReplacement);
  const std::int16_t byte = bytes_[static_cast<std::size_t>(id)];
  if (byte >= 0) return std::string(1, static_cast<char>(byte));
  return unescape_spaces(vocabulary_.text(id));
}

std::string SpmTokenizer::decode(std::span<const TokenId> ids) const {
  std::string text;
  for (const TokenId id : ids) text += piece(id);
  if (add_space_prefix_ && text.starts_with(' ')) text.erase(0, 1);
  return text;
}

} // namespace coppice
