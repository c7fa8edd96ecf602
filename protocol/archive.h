// SPDX-License-Identifier: Apache-2.0
// Our Cereal archives: canonical little-endian bytes, and reading that can't be made to allocate.
//
// Internal to protocol/ (docs/formats.md, "Values"). Cereal supplies the dispatch from a struct's
// serialize() to its fields; how a field looks, and what is refused, is all here. Note [Bounded
// archive]: stock Cereal resizes to a count it has just read, so 12 bytes can take 4 GB. Here every
// count is checked against its bound and against the bytes left, by the smallest size an element
// can have, before any memory is taken. There are no pointers, no polymorphism, no versions by
// type, and none of cereal/types/ is included: a type without an overload below doesn't compile.
// One value has one encoding: bools are 0 or 1, enums in range, floats finite, nothing trails.
#pragma once

#include <cereal/cereal.hpp>
#include <cmath>
#include <cstring>
#include <limits>
#include <type_traits>

#include "base/clock.h"
#include "base/ids.h"
#include "base/text.h"
#include "protocol/limits.h"

namespace coppice {

// Thrown by the archives only, caught by decode() only.
struct ArchiveRefusal : cereal::Exception {
  explicit ArchiveRefusal(const std::string& words, ErrorCode why = ErrorCode::kCorrupt)
      : Exception(words), code(why) {}
  ErrorCode code;
};

// ---- how a field is bounded: wrappers that name the bound where the field is listed ----

// u32 count, then that many bytes. Text longer than `most` is a bug to write, and refused to read.
struct TextField {
  std::string& text;
  std::size_t most;
};
struct BytesField {
  Bytes& bytes;
  std::size_t most;
};
// A sentence for people: longer ones are cut when written (at a character's border).
struct SentenceField {
  std::string& text;
};
// u32 count, then the elements; `smallest` is the fewest bytes that one takes.
template <typename T>
struct ListField {
  std::vector<T>& items;
  std::size_t most;
  std::size_t smallest;
};
// A u8, from 0 to `highest`.
template <typename Enum>
struct EnumField {
  Enum& value;
  Enum highest;
};

inline TextField text_field(std::string& text, std::size_t most) { return {text, most}; }
inline BytesField bytes_field(Bytes& bytes, std::size_t most) { return {bytes, most}; }
inline SentenceField sentence_field(std::string& text) { return {text}; }
template <typename T>
ListField<T> list_field(std::vector<T>& items, std::size_t most, std::size_t smallest) {
  return {items, most, smallest};
}
template <typename Enum>
EnumField<Enum> enum_field(Enum& value, Enum highest) {
  return {value, highest};
}

// u32 count, then names; at most kFeatures of at most kSlotName bytes. (std::string itself has no
// encoding here, so that none goes without a bound.)
struct NamesField {
  std::vector<std::string>& names;
};
// u16, first in whatever is signed and kept: `number` is written, and no other is read
// (kUnsupported).
struct FormatField {
  std::uint16_t number;
};
// The same where several are read: from 1 to `highest`.
struct OneOfFormats {
  std::uint16_t& number;
  std::uint16_t highest;
};

// ---- writing ----

class WriteArchive : public cereal::OutputArchive<WriteArchive, cereal::AllowEmptyClassElision> {
 public:
  WriteArchive() : OutputArchive(this) {}
  void put(const void* data, std::size_t size) {
    const auto* raw = static_cast<const std::uint8_t*>(data);
    bytes_.insert(bytes_.end(), raw, raw + size);
  }
  void put_count(std::size_t count, std::size_t most) {
    COPPICE_CHECK(count <= most, "a message holds more than limits.h allows");
    const auto short_count = static_cast<std::uint32_t>(count);
    put(&short_count, sizeof(short_count));
  }
  Bytes take() { return std::move(bytes_); }

 private:
  Bytes bytes_;
};

template <typename T>
requires std::is_arithmetic_v<T>
void save(WriteArchive& archive, const T& value) { archive.put(&value, sizeof(value)); }
inline void save(WriteArchive& archive, const TextField& field) {
  archive.put_count(field.text.size(), field.most);
  archive.put(field.text.data(), field.text.size());
}
inline void save(WriteArchive& archive, const BytesField& field) {
  archive.put_count(field.bytes.size(), field.most);
  archive.put(field.bytes.data(), field.bytes.size());
}
inline void save(WriteArchive& archive, const SentenceField& field) {
  std::size_t size = std::min(field.text.size(), limits::kText);
  // 10xxxxxx continues a UTF-8 character: don't start the cut part with one.
  while (size > 0 && size < field.text.size() && (field.text[size] & 0xC0) == 0x80) --size;
  archive.put_count(size, limits::kText);
  archive.put(field.text.data(), size);
}
template <typename T>
void save(WriteArchive& archive, const ListField<T>& field) {
  archive.put_count(field.items.size(), field.most);
  for (const T& item : field.items) archive(item);
}
template <typename Enum>
void save(WriteArchive& archive, const EnumField<Enum>& field) {
  const auto number = static_cast<std::uint8_t>(field.value);
  archive.put(&number, sizeof(number));
}
inline void save(WriteArchive& archive, const NamesField& field) {
  archive.put_count(field.names.size(), limits::kFeatures);
  for (std::string& name : field.names) save(archive, text_field(name, limits::kSlotName));
}
inline void save(WriteArchive& archive, const FormatField& field) {
  archive.put(&field.number, sizeof(field.number));
}
inline void save(WriteArchive& archive, const OneOfFormats& field) {
  archive.put(&field.number, sizeof(field.number));
}

// ---- reading ----

class ReadArchive : public cereal::InputArchive<ReadArchive, cereal::AllowEmptyClassElision> {
 public:
  explicit ReadArchive(ByteSpan bytes) : InputArchive(this), bytes_(bytes) {}
  void get(void* data, std::size_t size) {
    need(size);
    if (size > 0) std::memcpy(data, bytes_.data() + at_, size);
    at_ += size;
  }
  // A count that its bound and the bytes left allow.
  std::size_t get_count(std::size_t most, std::size_t smallest) {
    std::uint32_t count = 0;
    get(&count, sizeof(count));
    if (count > most) {
      throw ArchiveRefusal(cat("a count of ", count, " where at most ", most, " may stand"));
    }
    if (smallest > 0 && count > left() / smallest) {
      throw ArchiveRefusal(cat("a count of ", count, " with ", left(), " bytes left"));
    }
    return count;
  }
  std::size_t left() const { return bytes_.size() - at_; }

 private:
  void need(std::size_t size) const {
    if (size > left()) throw ArchiveRefusal(cat(size, " bytes wanted, ", left(), " left"));
  }
  ByteSpan bytes_;
  std::size_t at_ = 0;
};

template <typename T>
requires std::is_arithmetic_v<T>
void load(ReadArchive& archive, T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    std::uint8_t raw = 0;
    archive.get(&raw, 1);
    if (raw > 1) throw ArchiveRefusal("a truth value that is neither 0 nor 1");
    value = raw == 1;
  } else {
    archive.get(&value, sizeof(value));
    if constexpr (std::is_floating_point_v<T>) {
      if (!std::isfinite(value)) throw ArchiveRefusal("a number that is not finite");
    }
  }
}
inline void load(ReadArchive& archive, TextField& field) {
  field.text.resize(archive.get_count(field.most, 1));
  archive.get(field.text.data(), field.text.size());
}
inline void load(ReadArchive& archive, BytesField& field) {
  field.bytes.resize(archive.get_count(field.most, 1));
  archive.get(field.bytes.data(), field.bytes.size());
}
inline void load(ReadArchive& archive, SentenceField& field) {
  field.text.resize(archive.get_count(limits::kText, 1));
  archive.get(field.text.data(), field.text.size());
}
template <typename T>
void load(ReadArchive& archive, ListField<T>& field) {
  // Grown as elements arrive: an element in memory may be larger than its bytes.
  const std::size_t count = archive.get_count(field.most, field.smallest);
  field.items.clear();
  for (std::size_t i = 0; i < count; ++i) archive(field.items.emplace_back());
}
template <typename Enum>
void load(ReadArchive& archive, EnumField<Enum>& field) {
  std::uint8_t number = 0;
  archive.get(&number, sizeof(number));
  if (number > static_cast<std::uint8_t>(field.highest)) {
    throw ArchiveRefusal(
        cat("a choice numbered ", int{number}, ", which this version doesn't know"));
  }
  field.value = static_cast<Enum>(number);
}
inline void load(ReadArchive& archive, NamesField& field) {
  field.names.assign(archive.get_count(limits::kFeatures, sizeof(std::uint32_t)), {});
  for (std::string& name : field.names) archive(text_field(name, limits::kSlotName));
}
inline void load(ReadArchive& archive, FormatField& field) {
  std::uint16_t number = 0;
  archive.get(&number, sizeof(number));
  if (number != field.number) {
    throw ArchiveRefusal(cat("its format is ", number, ", and this version reads ", field.number,
                             "; update coppice"),
                         ErrorCode::kUnsupported);
  }
}
inline void load(ReadArchive& archive, OneOfFormats& field) {
  archive.get(&field.number, sizeof(field.number));
  if (field.number == 0 || field.number > field.highest) {
    throw ArchiveRefusal(cat("its format is ", field.number, ", and this version reads up to ",
                             field.highest, "; update coppice"),
                         ErrorCode::kUnsupported);
  }
}

// ---- the strong types of base/ ----

template <typename Archive, typename Tag, std::size_t N>
void serialize(Archive& archive, StrongBytes<Tag, N>& value) {
  if constexpr (std::is_same_v<Archive, WriteArchive>) {
    archive.put(value.bytes.data(), N);
  } else {
    archive.get(value.bytes.data(), N);
  }
}
template <typename Archive, typename Tag>
void serialize(Archive& archive, StrongNumber<Tag>& value) {
  archive(value.value);
}
template <typename Archive>
void serialize(Archive& archive, Millis& value) {
  archive(value.count);
}

// ---- whole values ----

template <typename T>
Bytes encode_value(const T& value) {
  WriteArchive archive;
  archive(value);
  return archive.take();
}

// kCorrupt (or kUnsupported: a FormatField), with `what` in the sentence, unless all of `bytes` is
// one T.
template <typename T>
Result<T> decode_value(ByteSpan bytes, std::string_view what) {
  try {
    ReadArchive archive(bytes);
    T value;
    archive(value);
    if (archive.left() != 0) {
      throw ArchiveRefusal(cat(archive.left(), " bytes too many"));
    }
    return value;
  } catch (const ArchiveRefusal& refusal) {
    return Error{refusal.code, cat(what, " can't be read: ", refusal.what())};
  }
}

} // namespace coppice
