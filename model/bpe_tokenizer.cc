// SPDX-License-Identifier: Apache-2.0
#include "model/bpe_tokenizer.h"

#include <algorithm>
#include <bit>
#include <queue>

#include "base/text.h"
#include "model/utf8.h"

namespace coppice {
namespace {

// GPT-2 spells each byte as a printable character: itself where it is one in Latin-1, else U+0100
// and on, in order of the bytes.
bool is_printable(unsigned byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct ByteSpelling {
  std::array<std::string, 256> text;         // UTF-8
  std::array<std::int16_t, 0x144> byte_of{}; // by code point, -1 for what spells no byte
  ByteSpelling() {
    byte_of.fill(-1);
    unsigned next = 0x100;
    for (unsigned byte = 0; byte < 256; ++byte) {
      const unsigned point = is_printable(byte) ? byte : next++;
      byte_of[point] = static_cast<std::int16_t>(byte);
      if (point >= 0x80) {
        text[byte] += static_cast<char>(0xC0U | point >> 6U);
        text[byte] += static_cast<char>(0x80U | (point & 0x3FU));
      } else {
        text[byte] += static_cast<char>(point);
      }
    }
  }
};

const ByteSpelling& byte_spelling() {
  static const ByteSpelling spelling;
  return spelling;
}

std::string spell(std::string_view bytes) {
  std::string text;
  for (const char byte : bytes) text += byte_spelling().text[static_cast<unsigned char>(byte)];
  return text;
}

// The bytes that a token's text stands for. Characters that spell no byte stand for themselves.
std::string unspell(std::string_view text) {
  std::string bytes;
  while (!text.empty()) {
    const std::size_t length = std::max<std::size_t>(utf8_character(text), 1);
    unsigned point = static_cast<unsigned char>(text[0]);
    if (length == 2) point = (point & 0x1FU) << 6U | (static_cast<unsigned char>(text[1]) & 0x3FU);
    const bool known = length <= 2 && point < 0x144 && byte_spelling().byte_of[point] >= 0;
    if (known) {
      bytes += static_cast<char>(byte_spelling().byte_of[point]);
    } else {
      bytes += text.substr(0, length);
    }
    text.remove_prefix(length);
  }
  return bytes;
}

std::uint64_t pair_of(TokenId left, TokenId right) {
  return std::uint64_t{static_cast<std::uint32_t>(left)} << 32U | static_cast<std::uint32_t>(right);
}

Result<MergeTable> read_merges(const GgufFile& file, const Vocabulary& vocabulary) {
  const auto lines = COPPICE_TRY(file.get_strings("tokenizer.ggml.merges"));
  MergeTable table(lines.size());
  std::string joined;
  for (std::size_t rank = 0; rank < lines.size(); ++rank) {
    const std::string_view line = lines[rank];
    const std::size_t space = line.find(' ', 1); // no token's spelling holds a space
    std::optional<TokenId> left, right, both;
    if (space != std::string_view::npos) {
      left = vocabulary.find(line.substr(0, space));
      right = vocabulary.find(line.substr(space + 1));
      joined.assign(line.substr(0, space)).append(line.substr(space + 1));
      both = vocabulary.find(joined);
    }
    if (!left || !right || !both) {
      return Error{ErrorCode::kCorrupt,
                   cat(file.name(), ": merge ", rank,
                       " of tokenizer.ggml.merges doesn't join two tokens to a third; convert the "
                       "model again")};
    }
    table.add(*left, *right, {.rank = static_cast<std::uint32_t>(rank), .id = *both});
  }
  return table;
}

} // namespace

MergeTable::MergeTable(std::size_t merges)
    : slots_(std::bit_ceil(std::max<std::size_t>(2 * merges, 2))) {}

// The slot that holds the pair, or the empty one where it belongs. The factor is 2^64 / phi (Knuth,
// The Art of Computer Programming 3, 6.4): its high bits spread neighbouring pairs.
std::size_t MergeTable::slot_of(std::uint64_t pair) const {
  const auto bits = static_cast<unsigned>(std::countr_zero(slots_.size()));
  std::size_t at = static_cast<std::size_t>(pair * 0x9E3779B97F4A7C15U >> (64U - bits));
  while (slots_[at].pair != kEmpty && slots_[at].pair != pair) at = (at + 1) & (slots_.size() - 1);
  return at;
}

void MergeTable::add(TokenId left, TokenId right, Merge merge) {
  Slot& slot = slots_[slot_of(pair_of(left, right))];
  if (slot.pair == kEmpty) slot = {.pair = pair_of(left, right), .merge = merge};
}

const MergeTable::Merge* MergeTable::find(TokenId left, TokenId right) const {
  const Slot& slot = slots_[slot_of(pair_of(left, right))];
  return slot.pair == kEmpty ? nullptr : &slot.merge;
}

// The word as a doubly linked list of tokens by index, and the merges that are possible in it. A
// merge is outdated when one of its two tokens has changed since; that is seen when it comes up.
struct BpeTokenizer::Workspace {
  static constexpr std::uint32_t kNone = ~std::uint32_t{0};
  struct Symbol {
    TokenId id;
    std::uint32_t previous;
    std::uint32_t next;
  };
  struct Candidate {
    std::uint32_t rank;
    std::uint32_t left;
    TokenId left_id;
    TokenId right_id;
    TokenId merged;
    bool operator<(const Candidate& other) const { // the queue's top is the greatest
      return rank != other.rank ? rank > other.rank : left > other.left;
    }
  };
  std::vector<Symbol> symbols;
  std::priority_queue<Candidate> queue;
};

BpeTokenizer::BpeTokenizer(Vocabulary vocabulary, Pretokenizer words, MergeTable merges,
                           bool add_bos)
    : vocabulary_(std::move(vocabulary)),
      words_(std::move(words)),
      merges_(std::move(merges)),
      add_bos_(add_bos) {}

Result<std::shared_ptr<const Tokenizer>> BpeTokenizer::from_gguf(const GgufFile& file) {
  auto vocabulary = COPPICE_TRY(Vocabulary::from_gguf(file));
  const auto name = COPPICE_TRY(file.get_string_or("tokenizer.ggml.pre", ""));
  auto words = Pretokenizer::by_name(name);
  if (!words) return std::move(words).error().with_context(file.name());
  auto merges = COPPICE_TRY(read_merges(file, vocabulary));
  // Llama 3's texts begin with BOS whether or not the file has the key.
  const bool add_bos =
      COPPICE_TRY(file.get_bool_or("tokenizer.ggml.add_bos_token", words->whole_words_first()));
  std::shared_ptr<BpeTokenizer> made(new BpeTokenizer(
      std::move(vocabulary), std::move(words).value(), std::move(merges), add_bos));
  for (std::size_t byte = 0; byte < 256; ++byte) {
    const auto id = made->vocabulary_.find(byte_spelling().text[byte]);
    if (!id) {
      return Error{ErrorCode::kCorrupt,
                   cat(file.name(), ": its vocabulary has no token for the byte ", byte,
                       "; convert the model again")};
    }
    made->byte_ids_[byte] = *id;
  }
  return std::shared_ptr<const Tokenizer>(std::move(made));
}

std::vector<TokenId> BpeTokenizer::encode(std::string_view text, EncodeOptions options) const {
  std::vector<TokenId> ids;
  if (options.add_bos && bos()) ids.push_back(*bos());
  Workspace space;
  for (const auto& fragment : vocabulary_.split_specials(text, options.parse_special)) {
    if (fragment.special) {
      ids.push_back(*fragment.special);
      continue;
    }
    words_.split(fragment.text, [&](std::string_view word) { encode_word(word, space, ids); });
  }
  return ids;
}

void BpeTokenizer::encode_word(std::string_view word, Workspace& space,
                               std::vector<TokenId>& ids) const {
  using W = Workspace;
  if (words_.whole_words_first() && word.size() <= vocabulary_.longest()) {
    const auto id = vocabulary_.find(spell(word));
    if (id && vocabulary_.type(*id) == TokenType::kNormal) return ids.push_back(*id);
  }
  auto& symbols = space.symbols;
  symbols.clear();
  for (std::size_t i = 0; i < word.size(); ++i) {
    const auto at = static_cast<std::uint32_t>(i);
    symbols.push_back({.id = byte_ids_[static_cast<unsigned char>(word[i])],
                       .previous = at == 0 ? W::kNone : at - 1,
                       .next = i + 1 == word.size() ? W::kNone : at + 1});
  }
  const auto offer = [&](std::uint32_t left, std::uint32_t right) {
    if (left == W::kNone || right == W::kNone) return;
    const TokenId a = symbols[left].id;
    const TokenId b = symbols[right].id;
    const MergeTable::Merge* merge = merges_.find(a, b);
    if (merge != nullptr) space.queue.push({merge->rank, left, a, b, merge->id});
  };
  for (std::uint32_t i = 0; i + 1 < symbols.size(); ++i) offer(i, i + 1);
  while (!space.queue.empty()) {
    const W::Candidate best = space.queue.top();
    space.queue.pop();
    W::Symbol& left = symbols[best.left];
    if (left.id != best.left_id || left.next == W::kNone) continue;
    W::Symbol& right = symbols[left.next];
    if (right.id != best.right_id) continue;
    left.id = best.merged;
    right.id = -1; // no candidate matches it any more
    left.next = right.next;
    if (left.next != W::kNone) symbols[left.next].previous = best.left;
    offer(left.previous, best.left);
    offer(best.left, left.next);
  }
  for (std::uint32_t at = 0; at != W::kNone && !symbols.empty(); at = symbols[at].next) {
    ids.push_back(symbols[at].id);
  }
}

std::string BpeTokenizer::piece(TokenId id) const {
  if (!vocabulary_.has(id) || vocabulary_.type(id) == TokenType::kControl) return {};
  const std::string_view text = vocabulary_.text(id);
  return vocabulary_.type(id) == TokenType::kUserDefined ? std::string(text) : unspell(text);
}

std::string BpeTokenizer::decode(std::span<const TokenId> ids) const {
  std::string text;
  for (const TokenId id : ids) text += piece(id);
  return text;
}

} // namespace coppice
