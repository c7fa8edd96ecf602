// SPDX-License-Identifier: Apache-2.0
#include "formats/sentencepiece_model.h"

#include <bit>
#include <optional>

#include "base/text.h"

namespace coppice {
namespace {

constexpr std::size_t kMaxPieces = std::size_t{1} << 24U;

// One field of a message: protobuf's wire types 0 (a number), 1 and 5 (eight and four bytes, in
// `number` too) and 2 (bytes).
struct Field {
  std::uint32_t id = 0;
  std::uint32_t wire_type = 0;
  std::uint64_t number = 0;
  ByteSpan bytes;
};

class MessageReader {
 public:
  explicit MessageReader(ByteSpan bytes) : bytes_(bytes) {}

  // False at the end and at a field that is broken; broken() tells them apart.
  bool next(Field& field) {
    if (bytes_.empty() || broken_) return false;
    const std::uint64_t tag = number();
    field = {};
    field.id = static_cast<std::uint32_t>(tag >> 3U);
    field.wire_type = static_cast<std::uint32_t>(tag & 7U);
    broken_ = broken_ || tag >> 35U != 0 || field.id == 0;
    switch (field.wire_type) {
      case 0: field.number = number(); break;
      case 1: field.number = fixed_number(8); break;
      case 2: field.bytes = take(number()); break;
      case 5: field.number = fixed_number(4); break;
      default: broken_ = true;
    }
    return !broken_;
  }
  bool broken() const { return broken_; }

 private:
  std::uint64_t number() {
    std::uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const ByteSpan byte = take(1);
      if (byte.empty()) return 0;
      value |= std::uint64_t{byte[0] & 0x7FU} << shift;
      if (byte[0] < 0x80) return value;
    }
    broken_ = true;
    return 0;
  }

  std::uint64_t fixed_number(std::size_t size) {
    std::uint64_t value = 0;
    unsigned shift = 0;
    for (const std::uint8_t byte : take(size)) {
      value |= std::uint64_t{byte} << shift;
      shift += 8;
    }
    return value;
  }

  ByteSpan take(std::uint64_t size) {
    if (broken_ || size > bytes_.size()) {
      broken_ = true;
      return {};
    }
    const ByteSpan taken = bytes_.first(static_cast<std::size_t>(size));
    bytes_ = bytes_.subspan(static_cast<std::size_t>(size));
    return taken;
  }

  ByteSpan bytes_;
  bool broken_ = false;
};

// Each returns false for a broken message.
bool read_piece(ByteSpan bytes, SentencePiece& piece) {
  MessageReader reader(bytes);
  for (Field field; reader.next(field);) {
    if (field.id == 1) piece.text = as_text(field.bytes);
    if (field.id == 2) piece.score = std::bit_cast<float>(static_cast<std::uint32_t>(field.number));
    if (field.id == 3) piece.type = static_cast<std::uint32_t>(field.number);
  }
  return !reader.broken();
}

bool read_trainer(ByteSpan bytes, SentencePieceModel& model) {
  MessageReader reader(bytes);
  for (Field field; reader.next(field);) {
    const auto id = static_cast<std::int32_t>(field.number); // negative ones take ten bytes
    switch (field.id) {
      case 3: model.model_type = static_cast<std::uint32_t>(field.number); break;
      case 40: model.unknown = id; break;
      case 41: model.bos = id; break;
      case 42: model.eos = id; break;
      case 43: model.padding = id; break;
      default: break;
    }
  }
  return !reader.broken();
}

bool read_normalizer(ByteSpan bytes, SentencePieceModel& model) {
  MessageReader reader(bytes);
  for (Field field; reader.next(field);) {
    switch (field.id) {
      case 2: model.has_character_rules = !field.bytes.empty(); break;
      case 3: model.add_dummy_prefix = field.number != 0; break;
      case 4: model.remove_extra_whitespaces = field.number != 0; break;
      case 5: model.escape_whitespaces = field.number != 0; break;
      default: break;
    }
  }
  return !reader.broken();
}

} // namespace

Result<SentencePieceModel> parse_sentencepiece_model(ByteSpan bytes, std::string_view name) {
  SentencePieceModel model;
  MessageReader reader(bytes);
  bool fits = true;
  for (Field field; fits && reader.next(field);) {
    if (field.id >= 1 && field.id <= 3) fits = field.wire_type == 2;
    if (field.id == 1 && fits) {
      if (model.pieces.size() == kMaxPieces) {
        return Error{ErrorCode::kTooLarge, cat(name, " holds over ", kMaxPieces, " pieces")};
      }
      fits = read_piece(field.bytes, model.pieces.emplace_back());
    }
    if (field.id == 2) fits = fits && read_trainer(field.bytes, model);
    if (field.id == 3) fits = fits && read_normalizer(field.bytes, model);
  }
  if (!fits || reader.broken() || model.pieces.empty()) {
    return Error{ErrorCode::kCorrupt,
                 cat(name, " is no SentencePiece model, or only a part of one; get it again")};
  }
  return model;
}

} // namespace coppice
