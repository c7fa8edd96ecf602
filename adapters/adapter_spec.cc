// SPDX-License-Identifier: Apache-2.0
#include "adapters/adapter_spec.h"

#include <algorithm>
#include <cmath>
#include <unordered_set>

#include "base/check.h"
#include "base/text.h"

namespace coppice {
namespace {

constexpr std::uint16_t kSpecVersion = 1;
// A target with a name of one letter: name, in, out, rank, alpha, rope_heads.
constexpr std::size_t kMinTargetBytes = 4 + 1 + 4 + 4 + 4 + 4 + 4;

// Names are printed, become slot names and keys of files: nothing that a terminal or a parser could
// take for something else.
bool is_plain_name(std::string_view name) {
  return !name.empty() && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '-';
  });
}

Result<void> check_name(std::string_view name, std::size_t limit, std::string_view what) {
  if (name.size() > limit) {
    return Error{ErrorCode::kTooLarge,
                 cat(what, " has ", name.size(), " characters, the most is ", limit)};
  }
  if (!is_plain_name(name)) {
    return invalid_argument(cat(what, " must be made of letters, digits, '.', '_' and '-'"));
  }
  return {};
}

Result<void> check_target(const AdapterTarget& target, std::size_t parameters_before) {
  COPPICE_TRY(check_name(target.tensor, kMaxTargetNameBytes, "the name of an adapter's target"));
  const std::uint32_t narrow = std::min(target.in, target.out);
  if (target.rank == 0 || target.rank > narrow) {
    return invalid_argument(cat(target.tensor, ": rank ", target.rank, " is not between 1 and ",
                                narrow, ", the smaller side of a layer of ", target.out, " x ",
                                target.in));
  }
  if (!std::isfinite(target.alpha) || target.alpha <= 0) {
    return invalid_argument(cat(target.tensor, ": alpha must be a positive number"));
  }
  if (target.rope_heads != 0 &&
      (target.out % target.rope_heads != 0 || target.out / target.rope_heads % 2 != 0)) {
    return invalid_argument(cat(target.tensor, ": ", target.out, " rows can't be cut into ",
                                target.rope_heads, " heads of even width"));
  }
  const std::size_t sides = std::size_t{target.in} + target.out;
  if (sides > (kMaxAdapterParameters - parameters_before) / target.rank) {
    return Error{ErrorCode::kTooLarge,
                 cat(target.tensor, ": with it the adapter has more than ", kMaxAdapterParameters,
                     " parameters; choose a smaller rank or fewer targets")};
  }
  return {};
}

Result<AdapterTarget> take_target(ByteReader& reader) {
  AdapterTarget target;
  target.tensor = COPPICE_TRY(reader.take_text(kMaxTargetNameBytes, "a target's name"));
  target.in = COPPICE_TRY(reader.take<std::uint32_t>("a target's columns"));
  target.out = COPPICE_TRY(reader.take<std::uint32_t>("a target's rows"));
  target.rank = COPPICE_TRY(reader.take<std::uint32_t>("a target's rank"));
  target.alpha = COPPICE_TRY(reader.take<float>("a target's alpha"));
  target.rope_heads = COPPICE_TRY(reader.take<std::uint32_t>("a target's heads"));
  return target;
}

} // namespace

float AdapterSpec::scale(std::size_t target) const {
  const AdapterTarget& chosen = targets[target];
  const auto rank = static_cast<float>(chosen.rank);
  return chosen.alpha / (scaling == LoraScaling::kStandard ? rank : std::sqrt(rank));
}

void AdapterSpec::change_rank(std::size_t target, std::uint32_t rank, double times) {
  AdapterTarget& changed = targets[target];
  const double grown = static_cast<double>(rank) / changed.rank;
  changed.alpha =
      static_cast<float>(static_cast<double>(changed.alpha) *
                         (scaling == LoraScaling::kStandard ? grown : std::sqrt(grown)) * times);
  changed.rank = rank;
}

std::size_t AdapterSpec::parameters() const {
  std::size_t sum = 0;
  for (const AdapterTarget& target : targets) sum += target.a_elements() + target.b_elements();
  return sum;
}

Result<void> AdapterSpec::validate() const {
  COPPICE_TRY(check_name(architecture, kMaxArchitectureBytes, "the adapter's architecture"));
  if (scaling != LoraScaling::kStandard && scaling != LoraScaling::kRankStabilized) {
    return invalid_argument("the adapter's scaling is neither standard nor rank-stabilized");
  }
  if (targets.empty())
    return invalid_argument("the adapter has no targets; name at least one module");
  if (targets.size() > kMaxAdapterTargets) {
    return Error{ErrorCode::kTooLarge, cat("the adapter has ", targets.size(),
                                           " targets, the most is ", kMaxAdapterTargets)};
  }
  std::unordered_set<std::string_view> names;
  std::size_t total = 0;
  for (const AdapterTarget& target : targets) {
    COPPICE_TRY(check_target(target, total));
    total += target.a_elements() + target.b_elements();
    if (!names.insert(target.tensor).second) {
      return invalid_argument(cat("the adapter has two targets named ", target.tensor));
    }
  }
  return {};
}

Bytes AdapterSpec::encode() const {
  COPPICE_CHECK(validate().ok());
  ByteWriter writer;
  writer.put(kSpecVersion);
  writer.put(static_cast<std::uint8_t>(scaling));
  writer.put_text(architecture);
  writer.put(static_cast<std::uint32_t>(targets.size()));
  for (const AdapterTarget& target : targets) {
    writer.put_text(target.tensor);
    writer.put(target.in);
    writer.put(target.out);
    writer.put(target.rank);
    writer.put(target.alpha);
    writer.put(target.rope_heads);
  }
  return std::move(writer).take();
}

Result<AdapterSpec> AdapterSpec::decode(ByteSpan bytes) {
  ByteReader reader(bytes);
  const auto version = COPPICE_TRY(reader.take<std::uint16_t>("the adapter spec's version"));
  if (version != kSpecVersion) {
    return Error{ErrorCode::kUnsupported,
                 cat("the adapter spec has version ", version, ", this program reads version ",
                     kSpecVersion, "; update coppice")};
  }
  AdapterSpec spec;
  const auto scaling = COPPICE_TRY(reader.take<std::uint8_t>("the adapter's scaling"));
  spec.scaling = static_cast<LoraScaling>(scaling);
  spec.architecture =
      COPPICE_TRY(reader.take_text(kMaxArchitectureBytes, "the adapter's architecture"));
  const auto count = COPPICE_TRY(reader.take<std::uint32_t>("the number of targets"));
  if (count > kMaxAdapterTargets || count > reader.left() / kMinTargetBytes) {
    return Error{ErrorCode::kCorrupt, cat("the adapter spec claims ", count, " targets in ",
                                          reader.left(), " bytes; get the file again")};
  }
  spec.targets.reserve(count);
  for (std::uint32_t i = 0; i < count; ++i) {
    spec.targets.push_back(COPPICE_TRY(take_target(reader)));
  }
  COPPICE_TRY(reader.expect_end("the adapter spec"));
  COPPICE_TRY(spec.validate());
  return spec;
}

} // namespace coppice
