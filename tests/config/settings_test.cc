// SPDX-License-Identifier: Apache-2.0
#include "config/settings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "config/settings_copy.h"

namespace coppice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

constexpr KeySpec kKeys[] = {
    {.section = "lora",
     .key = "r",
     .type = SettingType::kInt,
     .default_value = "8",
     .help = "Rank of the adapter's factors.",
     .min = 1,
     .max = 256},
    {.section = "lora",
     .key = "target_modules",
     .type = SettingType::kStringList,
     .default_value = "q_proj, v_proj",
     .help = "Modules that carry the adapter."},
    {.section = "training",
     .key = "learning_rate",
     .type = SettingType::kFloat,
     .default_value = "0.001",
     .help = "Peak learning rate.",
     .min = 0},
    {.section = "round",
     .key = "deadline",
     .type = SettingType::kDuration,
     .default_value = "15m",
     .help = "After the plan was signed.",
     .min = 1000,
     .max = 86400000},
    {.section = "round",
     .key = "max_upload",
     .type = SettingType::kSize,
     .default_value = "20MB",
     .help = "Bytes a client may send."},
    {.section = "round",
     .key = "secure",
     .type = SettingType::kBool,
     .default_value = "false",
     .help = "Sum under masks."},
    {.section = "round",
     .key = "strategy",
     .type = SettingType::kChoice,
     .default_value = "fedavg",
     .help = "How deltas become an adapter.",
     .choices = "fedavg|fedprox"},
    {.section = "net.server",
     .key = "host",
     .default_value = "localhost",
     .help = "Name to bind to."},
};

Result<Settings> load(std::string_view toml, const Environment& environment = {},
                      const std::vector<Override>& flags = {}) {
  return Settings::load_text(kKeys, toml, "a.toml", environment, flags);
}

std::string error_of(const Result<Settings>& settings) {
  EXPECT_FALSE(settings.ok());
  if (settings.ok()) return {};
  EXPECT_EQ(settings.error().code, ErrorCode::kInvalidArgument);
  return settings.error().message;
}

TEST(Settings, are_the_defaults_where_nothing_is_said) {
  const Settings settings = load("").value();
  EXPECT_EQ(settings.get_int("lora.r"), 8);
  EXPECT_THAT(settings.get_strings("lora.target_modules"), ElementsAre("q_proj", "v_proj"));
  EXPECT_EQ(settings.get_float("training.learning_rate"), 0.001);
  EXPECT_EQ(settings.get_duration("round.deadline"), Millis{900000});
  EXPECT_EQ(settings.get_size("round.max_upload"), 20000000U);
  EXPECT_FALSE(settings.get_bool("round.secure"));
  EXPECT_EQ(settings.get_string("round.strategy"), "fedavg");
  EXPECT_EQ(settings.get_string("net.server.host"), "localhost");
  EXPECT_EQ(settings.origin("lora.r").layer, SettingLayer::kDefault);
}

TEST(Settings, later_layers_win_and_each_value_knows_its_own) {
  const char* const toml = "[lora]\nr = 16\n[round]\nsecure = true\nstrategy = \"fedprox\"\n";
  const Settings settings =
      load(toml, {{"COPPICE_LORA_R", "32"}, {"COPPICE_ROUND_SECURE", "false"}},
           {{"lora.r", "64", "--rank"}})
          .value();
  EXPECT_EQ(settings.get_int("lora.r"), 64);
  EXPECT_FALSE(settings.get_bool("round.secure"));
  EXPECT_EQ(settings.get_string("round.strategy"), "fedprox");
  EXPECT_EQ(settings.origin("lora.r").text(), "flag --rank");
  EXPECT_EQ(settings.origin("round.secure").text(), "environment COPPICE_ROUND_SECURE");
  EXPECT_EQ(settings.origin("round.strategy").text(), "a.toml:5");
  EXPECT_EQ(settings.origin("round.deadline").text(), "default");
}

// Loaded again, a copy has the same values; keys without a section, of lists and durations too.
TEST(Settings, a_copy_as_a_file_has_the_same_values) {
  const Settings settings =
      load(
          "[lora]\nr = 16\ntarget_modules = [\"a b\", \"c\\\"d\"]\n[net.server]\nhost = \"here\"\n",
          {{"COPPICE_ROUND_SECURE", "true"}}, {{"round.deadline", "90s", "--set"}})
          .value();
  const std::string copy = copy_settings(settings).value();
  EXPECT_THAT(copy, Not(HasSubstr("learning_rate"))); // a default stays one
  const auto before = settings.show_origin();
  const auto after = load(copy).value().show_origin();
  ASSERT_EQ(before.size(), after.size());
  for (std::size_t i = 0; i < before.size(); ++i) EXPECT_EQ(before[i].value, after[i].value);
  const std::string moved = copy_settings(settings, {{"net.server.host", "\"there\""}}).value();
  EXPECT_EQ(load(moved).value().get_string("net.server.host"), "\"there\"");
}

TEST(Settings, a_copy_has_keys_without_a_section_first) {
  static constexpr KeySpec kMixed[] = {
      {.section = "a", .key = "x", .default_value = "", .help = "X."},
      {.section = "", .key = "name", .default_value = "", .help = "Name."}};
  const Settings settings =
      Settings::load_text(kMixed, "name = \"n\"\n[a]\nx = \"y\"\n", "a.toml", {}, {}).value();
  EXPECT_EQ(copy_settings(settings).value(), "name = \"n\"\n\n[a]\nx = \"y\"\n");
}

TEST(Settings, show_every_value_with_its_origin_in_the_order_of_the_table) {
  const auto rows = load("round.max_upload = 1048576\n").value().show_origin();
  ASSERT_EQ(rows.size(), std::size(kKeys));
  EXPECT_EQ(rows[1].name, "lora.target_modules");
  EXPECT_EQ(rows[1].value, R"(["q_proj", "v_proj"])");
  EXPECT_EQ(rows[3].value, R"("15m")");
  EXPECT_EQ(rows[4].value, R"("1MiB")");
  EXPECT_EQ(rows[4].origin, "a.toml:1");
}

TEST(Settings, take_dotted_inline_and_nested_tables_alike) {
  for (const char* const toml : {"[net.server]\nhost = \"h\"", "net.server.host = \"h\"",
                                 "net = {server = {host = \"h\"}}", "[net]\nserver.host = \"h\""}) {
    EXPECT_EQ(load(toml).value().get_string("net.server.host"), "h") << toml;
  }
}

TEST(Settings, unknown_keys_name_the_place_and_the_nearest_key) {
  EXPECT_EQ(error_of(load("\n[lora]\nrr = 3")),
            "a.toml:3: unknown key \"lora.rr\"; did you mean \"lora.r\"?");
  EXPECT_EQ(error_of(load("[lorra]")),
            "a.toml:1: unknown section \"lorra\"; did you mean \"lora\"?");
  EXPECT_THAT(error_of(load("zebra = 1")),
              HasSubstr("unknown key \"zebra\"; `coppice config show`"));
  EXPECT_THAT(error_of(load("lora = 1")), HasSubstr("is a section"));
  EXPECT_THAT(error_of(load("", {{"COPPICE_LORA_RANK", "1"}})), HasSubstr("unknown variable"));
  EXPECT_THAT(error_of(load("", {{"COPPICE_ROUND_DEADLIN", "1s"}})),
              HasSubstr("did you mean \"COPPICE_ROUND_DEADLINE\"?"));
  EXPECT_EQ(error_of(load("", {}, {{"lora.rr", "1", "--set"}})),
            "--set: unknown key \"lora.rr\"; did you mean \"lora.r\"?");
}

TEST(Settings, variables_of_other_sections_are_none_of_ours) {
  EXPECT_TRUE(load("", {{"COPPICE_CRASH_AT", "x"}, {"COPPICE_CACHE", "y"}, {"HOME", "z"}}).ok());
}

TEST(Settings, wrong_types_say_what_is_allowed) {
  EXPECT_EQ(error_of(load("[lora]\nr = \"many\"")),
            "a.toml:2: lora.r is \"many\", expected a whole number from 1 to 256");
  EXPECT_THAT(error_of(load("lora.r = 1.5")), HasSubstr("lora.r is 1.5"));
  EXPECT_THAT(error_of(load("lora.target_modules = \"q\"")), HasSubstr("a list of strings"));
  EXPECT_THAT(error_of(load("lora.target_modules = [1]")),
              HasSubstr("something else than strings"));
  EXPECT_THAT(error_of(load("training.learning_rate = \"x\"")), HasSubstr("a number, at least 0"));
  EXPECT_THAT(error_of(load("round.deadline = 90")),
              HasSubstr("a duration such as \"90s\" or \"7d\" from 1s to 1d"));
  EXPECT_THAT(error_of(load("round.secure = 1")), HasSubstr("true or false"));
  EXPECT_THAT(error_of(load("round.max_upload = -1")), HasSubstr("a size such as"));
  EXPECT_THAT(error_of(load("lora.r = 1979-05-27")), HasSubstr("date"));
  EXPECT_THAT(error_of(load("", {{"COPPICE_LORA_R", "8x"}})),
              HasSubstr("COPPICE_LORA_R: lora.r is \"8x\""));
  EXPECT_THAT(error_of(load("", {}, {{"round.secure", "maybe", "--secure"}})),
              HasSubstr("--secure: "));
}

TEST(Settings, ranges_and_choices_are_kept) {
  EXPECT_TRUE(load("lora.r = 1").ok());
  EXPECT_TRUE(load("lora.r = 256").ok());
  EXPECT_THAT(error_of(load("lora.r = 0")),
              HasSubstr("lora.r is 0, expected a whole number from 1 to 256"));
  EXPECT_THAT(error_of(load("lora.r = 257")), HasSubstr("257"));
  EXPECT_THAT(error_of(load("training.learning_rate = nan")), HasSubstr("nan"));
  EXPECT_THAT(error_of(load("training.learning_rate = inf")), HasSubstr("inf"));
  EXPECT_THAT(error_of(load("round.deadline = \"2d\"")), HasSubstr("from 1s to 1d"));
  EXPECT_EQ(
      error_of(load("round.strategy = \"fedavgg\"")),
      "a.toml:1: round.strategy is \"fedavgg\", expected one of fedavg, fedprox; did you mean "
      "\"fedavg\"?");
}

TEST(Settings, hostile_toml_is_an_error_with_a_line) {
  EXPECT_THAT(error_of(load("lora.r = 1\nlora.r = 2")), HasSubstr("a.toml:2"));
  EXPECT_THAT(error_of(load("[lora\n")), HasSubstr("a.toml:1"));
  EXPECT_THAT(error_of(load("[[[1]]]")), HasSubstr("a.toml")); // an assertion of the parser's
  EXPECT_THAT(error_of(load("a = " + std::string(17, '[') + std::string(17, ']'))),
              HasSubstr("a.toml:1"));
  EXPECT_FALSE(load("a = " + std::string(100000, '[')).ok());
  std::string dotted = "a";
  for (int i = 0; i < 100000; ++i) dotted += ".a";
  EXPECT_EQ(load(dotted + " = 1").error().code, ErrorCode::kTooLarge);
  EXPECT_EQ(load(std::string((1 << 20) + 1, '\n')).error().code, ErrorCode::kTooLarge);
  EXPECT_TRUE(load("# " + std::string(200, '.')).ok());
}

TEST(Settings, letters_of_all_scripts_and_dots_stand_in_strings_and_comments_only) {
  const std::string dots(200, '.');
  for (const std::string& text :
       {"\"\\\"ж" + dots + "\"", std::string("'ж\\'"), "\"\"\"\nж\"" + dots + "\"\"\"\"",
        std::string("'''\nж'''"), "\"\" # ж" + dots}) {
    const auto settings = load("net.server.host = " + text + "\nlora.r = 3\n");
    ASSERT_TRUE(settings.ok()) << text << settings.error().message;
    EXPECT_EQ(settings->get_int("lora.r"), 3);
  }
  EXPECT_EQ(error_of(load("# ж\nlora.r = ї")),
            "a.toml:2: has a character that is not ASCII; put it in quotes");
  EXPECT_THAT(error_of(load("lora.r = 3 ''' ж")), HasSubstr("a quote where no string can begin"));
  EXPECT_THAT(error_of(load("lora.r = 'a' 'ж'")), HasSubstr("a quote where"));
  EXPECT_FALSE(load("net.server.host = \"ж\nlora.ї = 3").ok());
}

TEST(Settings, a_file_that_is_not_there_is_an_error) {
  const auto settings = Settings::load(kKeys, fs::path("/nowhere/a.toml"), {}, {});
  EXPECT_EQ(settings.error().code, ErrorCode::kNotFound);
  EXPECT_TRUE(Settings::load(kKeys, std::nullopt, {}, {}).ok());
}

TEST(CommentedToml, loads_as_the_defaults_it_was_written_from) {
  const std::string text = write_commented_toml(kKeys).value();
  EXPECT_THAT(text, HasSubstr("[lora]\n\n# Rank of the adapter's factors.\n"
                              "# A whole number from 1 to 256. Default: 8\nr = 8\n"));
  const auto written = load(text).value().show_origin();
  const auto defaults = load("").value().show_origin();
  for (std::size_t i = 0; i < defaults.size(); ++i) {
    EXPECT_EQ(written[i].value, defaults[i].value) << defaults[i].name;
    EXPECT_THAT(written[i].origin, HasSubstr("a.toml:"));
  }
}

TEST(CommentedToml, holds_what_was_chosen_instead_of_the_default) {
  const std::vector<Override> chosen{{"lora.r", "4", "--rank"},
                                     {"net.server.host", "a\"b\\\n", "--host"}};
  const std::string text = write_commented_toml(kKeys, chosen).value();
  EXPECT_THAT(text, HasSubstr("Default: 8\nr = 4\n"));
  EXPECT_EQ(load(text).value().get_string("net.server.host"), "a\"b\\\n");
  EXPECT_FALSE(write_commented_toml(kKeys, std::vector<Override>{{"lora.x", "4", "--x"}}).ok());
  EXPECT_FALSE(write_commented_toml(kKeys, std::vector<Override>{{"lora.r", "0", "--rank"}}).ok());
  EXPECT_FALSE(
      write_commented_toml(kKeys, std::vector<Override>{{"net.server.host", "\xff", "--host"}})
          .ok());
}

TEST(ConfigurationPage, has_a_table_a_section_and_escapes_bars) {
  const std::string page = describe_markdown(kKeys);
  EXPECT_THAT(page, HasSubstr("## [lora]\n\n| key | default | allowed | meaning |\n"));
  EXPECT_THAT(
      page,
      HasSubstr("| `r` | `8` | a whole number from 1 to 256 | Rank of the adapter's factors. |"));
  EXPECT_THAT(page, HasSubstr("## [net.server]"));
}

TEST(ProcessEnvironment, holds_our_variables_only) {
  ::setenv("COPPICE_TEST_VARIABLE", "a=b", 1);
  const Environment environment = process_environment();
  EXPECT_EQ(environment.at("COPPICE_TEST_VARIABLE"), "a=b");
  for (const auto& [name, value] : environment) EXPECT_THAT(name, testing::StartsWith("COPPICE_"));
  ::unsetenv("COPPICE_TEST_VARIABLE");
}

} // namespace
} // namespace coppice
