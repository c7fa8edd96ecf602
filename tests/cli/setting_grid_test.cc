// SPDX-License-Identifier: Apache-2.0
#include "cli/setting_grid.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cli/sim_study.h"

namespace coppice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string refusal(const std::vector<std::string>& texts) {
  const auto parsed = parse_setting_values(texts, "--grid");
  EXPECT_FALSE(parsed.ok());
  return parsed.ok() ? std::string() : parsed.error().message;
}

TEST(SettingGrid, HasEveryCombinationTheLastKeyFastest) {
  const auto settings =
      parse_setting_values({"round.strategy=fedavg,ffa", "training.learning_rate=0.001, 0.01"},
                           "--grid")
          .value();
  std::vector<std::string> names;
  const std::vector<SettingChoice> choices = all_choices(settings);
  for (const SettingChoice& choice : choices) names.push_back(choice.name);
  EXPECT_THAT(names, ElementsAre("fedavg learning_rate=0.001", "fedavg learning_rate=0.01",
                                 "ffa learning_rate=0.001", "ffa learning_rate=0.01"));
  EXPECT_THAT(choices[2].set, ElementsAre("round.strategy=ffa", "training.learning_rate=0.001"));
  EXPECT_EQ(folder_name(names[2]), "ffa-learning_rate=0.001");
}

TEST(SettingGrid, WithoutKeysIsOneChoiceOfNothing) {
  ASSERT_EQ(all_choices({}).size(), 1U);
  EXPECT_TRUE(all_choices({}).front().set.empty());
}

TEST(SettingGrid, NamesNumbersAndFlagsByTheirKeyAndWordsAlone) {
  const auto name = [](const char* text) {
    return all_choices(parse_setting_values({text}, "--vary").value()).front().name;
  };
  EXPECT_EQ(name("round.strategy=rolora"), "rolora");
  EXPECT_EQ(name("report.personal=true"), "personal=true");
  EXPECT_EQ(name("rounds=20"), "rounds=20");
  EXPECT_EQ(name("population.devices=-1"), "devices=-1");
}

TEST(SettingGrid, RefusesWhatIsNoChoice) {
  EXPECT_THAT(refusal({"training.learning_rate"}), HasSubstr("needs section.key=value,value"));
  EXPECT_THAT(refusal({"=1,2"}), HasSubstr("needs section.key=value,value"));
  EXPECT_THAT(refusal({"rounds=1,,2"}), HasSubstr("empty value"));
  EXPECT_THAT(refusal({"rounds=1,1"}), HasSubstr("1 twice"));
  EXPECT_THAT(refusal({"rounds=1", "rounds=2"}), HasSubstr("names rounds twice"));
  EXPECT_THAT(refusal({"training.seed=1,2"}), HasSubstr("seeds pair the runs"));
  EXPECT_THAT(refusal({"lora.target_modules=q_proj,v_proj"}), HasSubstr("lists themselves"));
}

// Nothing that a shell, a path or a hidden folder would be made of.
TEST(SettingGrid, FolderNamesAreHarmless) {
  EXPECT_EQ(folder_name("../../etc; rm $HOME"), "scenario..-..-etc--rm--HOME");
  EXPECT_EQ(folder_name(""), "scenario");
  EXPECT_EQ(folder_name("fedavg_2"), "fedavg_2");
}

} // namespace
} // namespace coppice
