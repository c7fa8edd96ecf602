// SPDX-License-Identifier: Apache-2.0
#include "adapters/adapter_file.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/text.h"

namespace coppice {
namespace {

constexpr std::uint32_t kMagic = 0x44415043; // "CPAD"
constexpr std::uint32_t kVersion = 1;
constexpr std::uint8_t kZeroSlot = 0;
constexpr std::uint8_t kFullSlot = 1;

// Bits, not values: -0 would come back as +0.
bool is_all_zero(std::span<const float> values) {
  return std::ranges::all_of(as_bytes(values), [](std::uint8_t byte) { return byte == 0; });
}

void append(Bytes& out, ByteSpan bytes) { out.insert(out.end(), bytes.begin(), bytes.end()); }

void append_slot(Bytes& out, std::span<const float> values) {
  if (is_all_zero(values)) {
    out.push_back(kZeroSlot);
    return;
  }
  out.push_back(kFullSlot);
  append(out, as_bytes(values));
}

// A slot as it lies in the bytes: empty where one byte stands for zeros.
Result<ByteSpan> take_slot(ByteReader& reader, std::size_t elements) {
  const auto kind = COPPICE_TRY(reader.take<std::uint8_t>("a slot's kind"));
  if (kind == kZeroSlot) return ByteSpan{};
  if (kind != kFullSlot) return corrupt_data(cat("the adapter has a slot of kind ", int{kind}));
  return reader.take_raw(elements * sizeof(float), "a slot's values");
}

Result<void> fill_slot(ByteSpan raw, std::span<float> values) {
  if (raw.empty()) return {}; // an Adapter starts as zeros
  std::memcpy(values.data(), raw.data(), raw.size());
  if (is_all_zero(values))
    return corrupt_data("the adapter has a slot of zeros that is written out");
  if (!std::ranges::all_of(values, [](float value) { return std::isfinite(value); })) {
    return corrupt_data("the adapter holds NaN or infinity; it must not be used");
  }
  return {};
}

} // namespace

Bytes serialize_adapter(const Adapter& adapter) {
  const Bytes spec = adapter.spec().encode();
  ByteWriter head;
  head.put(kMagic);
  head.put(kVersion);
  head.put(static_cast<std::uint32_t>(spec.size()));
  head.put_raw(spec);
  Bytes out;
  out.reserve(head.size() + 2 * adapter.targets() + adapter.values().size_bytes());
  append(out, head.bytes());
  for (std::size_t t = 0; t < adapter.targets(); ++t) {
    append_slot(out, adapter.a(t));
    append_slot(out, adapter.b(t));
  }
  return out;
}

Result<Adapter> parse_adapter(ByteSpan bytes, std::size_t max_parameters) {
  ByteReader reader(bytes);
  const auto magic = COPPICE_TRY(reader.take<std::uint32_t>("the adapter's magic"));
  if (magic != kMagic) {
    return corrupt_data(
        "these bytes are not an adapter of coppice; convert the file with `coppice "
        "adapter convert`, or get it again");
  }
  const auto version = COPPICE_TRY(reader.take<std::uint32_t>("the adapter's version"));
  if (version != kVersion) {
    return Error{ErrorCode::kUnsupported,
                 cat("the adapter has version ", version, ", this program reads version ", kVersion,
                     "; update coppice")};
  }
  const auto spec_bytes = COPPICE_TRY(reader.take<std::uint32_t>("the adapter spec's size"));
  const auto spec = std::make_shared<const AdapterSpec>(COPPICE_TRY(
      AdapterSpec::decode(COPPICE_TRY(reader.take_raw(spec_bytes, "the adapter spec")))));
  if (spec->parameters() > max_parameters) {
    return Error{ErrorCode::kTooLarge, cat("the adapter has ", spec->parameters(),
                                           " parameters, the most here is ", max_parameters)};
  }
  // First all slots are found in the bytes; only then is memory taken for their values.
  std::vector<std::pair<ByteSpan, ByteSpan>> slots;
  slots.reserve(spec->targets.size());
  for (const AdapterTarget& target : spec->targets) {
    const auto a = COPPICE_TRY(take_slot(reader, target.a_elements()));
    const auto b = COPPICE_TRY(take_slot(reader, target.b_elements()));
    slots.emplace_back(a, b);
  }
  COPPICE_TRY(reader.expect_end("the adapter"));
  Adapter adapter(spec);
  for (std::size_t t = 0; t < slots.size(); ++t) {
    COPPICE_TRY(fill_slot(slots[t].first, adapter.a(t)));
    COPPICE_TRY(fill_slot(slots[t].second, adapter.b(t)));
  }
  return adapter;
}

Result<void> write_adapter_file(const fs::path& path, const Adapter& adapter) {
  if (!adapter.finite()) {
    return Error{ErrorCode::kInvalidArgument,
                 cat("the adapter for ", path.string(),
                     " holds NaN or infinity and is not written; train it again with a lower "
                     "learning rate")};
  }
  return write_file_atomically(path, serialize_adapter(adapter));
}

Result<Adapter> read_adapter_file(const fs::path& path) {
  const auto map = COPPICE_TRY(MappedFile::open(path));
  auto adapter = parse_adapter(map->bytes());
  if (!adapter) return std::move(adapter).error().with_context(cat("reading ", path.string()));
  return adapter;
}

} // namespace coppice
