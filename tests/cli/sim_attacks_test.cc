// SPDX-License-Identifier: Apache-2.0
#include "cli/sim_attacks.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/cli/run_coppice.h"

namespace coppice {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(SimAttacks, AreNamedOnceWithAStrengthOrTheUsualOne) {
  const auto attacks = parse_attacks("sign-flip, scale:2.5,mimic").value();
  ASSERT_EQ(attacks.size(), 3U);
  EXPECT_EQ(attacks[0].name, "sign-flip");
  EXPECT_EQ(attacks[0].strength, std::nullopt);
  EXPECT_EQ(attacks[1].strength, 2.5);
  EXPECT_EQ(usual_strength("sign-flip"), 4);
  EXPECT_EQ(usual_strength("mimic"), 1);
  EXPECT_TRUE(parse_attacks("").value().empty());
  EXPECT_THAT(parse_attacks("scaled").error().message, HasSubstr("known: sign-flip, scale, "));
  EXPECT_THAT(parse_attacks("none").error().message, HasSubstr("no attack is called 'none'"));
  EXPECT_THAT(parse_attacks("alie,alie:2").error().message, HasSubstr("alie twice"));
  EXPECT_THAT(parse_attacks("alie:much").error().message, HasSubstr("not 'much'"));
  EXPECT_FALSE(parse_attacks("alie:-1").ok());
}

class AttackedStudies : public ::testing::Test {
 protected:
  Result<AttackedStudy> study(const std::string& attack_section, const std::string& attacks) {
    write_text(folder_ / "s.toml",
               "rounds = 2\nmodel = \"base.gguf\"\n[population]\ndevices = 8\n" + attack_section);
    const std::vector<StudyScenario> scenarios{
        {.name = "ffa", .folder = "ffa", .file = folder_ / "s.toml", .set = {}}};
    return attacked_study(scenarios, parse_attacks(attacks).value(), {});
  }
  TestFolder folder_;
};

TEST_F(AttackedStudies, TakeShareAndStrengthOfTheScenarioWhereItHasThem) {
  const AttackedStudy usual = study("", "sign-flip,scale:3").value();
  ASSERT_EQ(usual.scenarios.size(), 2U);
  EXPECT_EQ(usual.scenarios[0].name, "ffa under sign-flip");
  EXPECT_EQ(usual.scenarios[0].folder, "ffa+sign-flip");
  EXPECT_THAT(usual.scenarios[0].set, ElementsAre("attack.kind=sign-flip", "attack.strength=4"));
  EXPECT_EQ(usual.attacked[0].fraction, 0.2);
  EXPECT_EQ(usual.attacked[1].strength, 3);
  const AttackedStudy own = study("[attack]\nfraction = 0.4\nstrength = 7\n", "sign-flip").value();
  EXPECT_EQ(own.attacked[0].fraction, 0.4);
  EXPECT_EQ(own.attacked[0].strength, 7);
  EXPECT_THAT(own.scenarios[0].set, ElementsAre("attack.kind=sign-flip"));
}

TEST_F(AttackedStudies, NameWhatCantBePlayed) {
  const AttackedStudy backdoor = study("", "backdoor,mimic").value();
  ASSERT_EQ(backdoor.scenarios.size(), 1U);
  EXPECT_THAT(backdoor.attacked[0].refused, HasSubstr("needs attack.phrase"));
  EXPECT_EQ(backdoor.attacked[1].refused, "");
  EXPECT_THAT(study("[attack]\nfraction = 0.0\n", "mimic").value().attacked[0].refused,
              HasSubstr("nobody would be hostile"));
  EXPECT_THAT(study("[attack]\nkind = \"nan\"\n", "mimic").error().message,
              HasSubstr("sets attack.kind = nan"));
}

} // namespace
} // namespace coppice
