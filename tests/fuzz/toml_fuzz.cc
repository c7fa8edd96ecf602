// SPDX-License-Identifier: Apache-2.0
// TOML settings: what loads is shown, and each shown value loads again as the same.
#include <array>

#include "base/check.h"
#include "base/text.h"
#include "config/settings.h"
#include "tests/fuzz/fuzz_target.h"

namespace coppice {
namespace {

constexpr std::array kKeys{
    KeySpec{.section = "lora",
            .key = "r",
            .type = SettingType::kInt,
            .default_value = "8",
            .help = "Rank.",
            .min = 1,
            .max = 256},
    KeySpec{.section = "lora",
            .key = "targets",
            .type = SettingType::kStringList,
            .default_value = "q_proj,v_proj",
            .help = "Modules."},
    KeySpec{.section = "training",
            .key = "rate",
            .type = SettingType::kFloat,
            .default_value = "0.001",
            .help = "Learning rate.",
            .min = 0},
    KeySpec{.section = "round",
            .key = "deadline",
            .type = SettingType::kDuration,
            .default_value = "15m",
            .help = "Deadline.",
            .min = 1000},
    KeySpec{.section = "round",
            .key = "upload",
            .type = SettingType::kSize,
            .default_value = "20MB",
            .help = "Largest upload."},
    KeySpec{.section = "round",
            .key = "secure",
            .type = SettingType::kBool,
            .default_value = "false",
            .help = "Sums under masks."},
    KeySpec{.section = "round",
            .key = "strategy",
            .type = SettingType::kChoice,
            .default_value = "fedavg",
            .help = "Strategy.",
            .choices = "fedavg|fedprox"},
    KeySpec{.section = "net.server", .key = "host", .default_value = "localhost", .help = "Host."},
};

Bytes text(std::string_view words) { return {words.begin(), words.end()}; }

} // namespace

std::vector<Bytes> fuzz_seeds() {
  return {text(write_commented_toml(kKeys).value()),
          text("lora.r = 4\nround = {deadline = \"7d\", upload = 4_096}\n[net.server]\nhost = "
               "'''x'''\n"),
          text("[lora]\ntargets = [\"a\", \"b\\u00e9\"]\n[training]\nrate = 1e-3\n[[round]]\nx = "
               "1979-05-27\n"),
          text("a.b.c.d = [[[[[[{}]]]]]]\n")};
}

} // namespace coppice

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace coppice;
  const auto settings =
      Settings::load_text(kKeys, as_text(ByteSpan(data, size)), "fuzz.toml", {}, {});
  if (!settings) {
    COPPICE_CHECK(!settings.error().message.empty());
    return 0;
  }
  std::string shown;
  for (const auto& row : settings->show_origin()) shown += cat(row.name, " = ", row.value, "\n");
  const auto again = Settings::load_text(kKeys, shown, "shown.toml", {}, {});
  COPPICE_CHECK(again.ok());
  COPPICE_CHECK(again->get_float("training.rate") == settings->get_float("training.rate"));
  COPPICE_CHECK(again->get_strings("lora.targets") == settings->get_strings("lora.targets"));
  COPPICE_CHECK(again->get_string("net.server.host") == settings->get_string("net.server.host"));
  COPPICE_CHECK(again->get_size("round.upload") == settings->get_size("round.upload"));
  return 0;
}
