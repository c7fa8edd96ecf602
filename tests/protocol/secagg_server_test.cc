// SPDX-License-Identifier: Apache-2.0
// Devices that lie to the server: each puts itself out and nobody else, and a sum is exact or there
// is none.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/text.h"
#include "tests/protocol/samples.h"
#include "tests/protocol/secagg_harness.h"

namespace coppice {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::uint32_t kLiar = 2;
// A third may leave: of 12 devices the threshold is 7 of 11 neighbours, which makes room for liars.
constexpr GraphAssumptions kRoom{.dropout = .34};

// One lie: the liar's message of that kind, changed. `T` is its type.
template <typename T>
void lie(SecAggHarness& round, const std::function<void(T&)>& change,
         std::set<std::uint32_t> liars = {kLiar}) {
  round.tamper = [&round, change, liars](SecAggLetter& letter) {
    if (!letter.to_server || letter.upload || !liars.contains(letter.device)) return true;
    if (auto* const message = std::get_if<T>(&letter.message)) change(*message);
    return true;
  };
}

// The liar alone is out, for that reason, and the others' sum is exact.
void expect_only_the_liar_out(SecAggHarness& round, const std::string& reason,
                              bool counted = false) {
  round.run();
  ASSERT_EQ(round.out().size(), 1U) << reason;
  EXPECT_EQ(round.out().begin()->first, kLiar);
  EXPECT_THAT(round.out().begin()->second, HasSubstr(reason));
  ASSERT_TRUE(round.finished()) << round.abandoned_because();
  EXPECT_EQ(round.sum(), round.expected_sum()) << reason;
  EXPECT_EQ(round.included().contains(kLiar), counted) << reason;
  EXPECT_EQ(round.included().size(), counted ? 12U : 11U) << reason;
  EXPECT_THAT(round.violations(), IsEmpty());
}

template <typename T>
void expect_out(const std::function<void(SecAggHarness&, T&)>& change, const std::string& reason,
                bool counted = false) {
  SecAggHarness round({.devices = 12});
  lie<T>(round, [&](T& message) { change(round, message); });
  expect_only_the_liar_out(round, reason, counted);
}

// An advert with other contents, signed by its device.
void expect_keys_out(const std::function<void(SecAggHarness&, KeyAdvert&)>& change,
                     const std::string& reason) {
  expect_out<SignedAdvert>(
      [&](SecAggHarness& round, SignedAdvert& advert) {
        KeyAdvert keys = decode_advert(advert.bytes).value();
        change(round, keys);
        advert.bytes = encode_advert(keys);
        advert.signature = round.primitives().sign_advert(round.signing(kLiar), advert.bytes);
      },
      reason);
}

TEST(SecAggServerAdverts, ABadOnePutsOnlyItsSenderOut) {
  expect_out<SignedAdvert>(
      [](SecAggHarness&, SignedAdvert& advert) { advert.signature.bytes[0] ^= 1; }, "signature");
  expect_out<SignedAdvert>(
      [](SecAggHarness& round, SignedAdvert& advert) {
        advert.bytes.pop_back();
        advert.signature = round.primitives().sign_advert(round.signing(kLiar), advert.bytes);
      },
      "key advert can't be read");
  expect_keys_out([](SecAggHarness&, KeyAdvert& keys) { keys.plan_hash = samples::hash(1); },
                  "another device or plan");
  expect_keys_out([](SecAggHarness& round, KeyAdvert& keys) { keys.client = round.id(0); },
                  "another device or plan");
  expect_keys_out([](SecAggHarness&, KeyAdvert& keys) { keys.attempt = 1; }, "attempt");
  expect_keys_out([](SecAggHarness&, KeyAdvert& keys) { keys.box_key = keys.mask_key; }, "one");
  expect_keys_out([](SecAggHarness&, KeyAdvert& keys) { keys.mask_key = {}; }, "small order");
}

TEST(SecAggServerAdverts, AKeyOfAnotherDevicePutsOutWhoCopiedIt) {
  for (const bool box : {true, false}) {
    SecAggHarness round({.devices = 12});
    AgreementPublicKey copied;
    round.tamper = [&](SecAggLetter& letter) {
      auto* const advert = std::get_if<SignedAdvert>(&letter.message);
      if (advert == nullptr || letter.upload || !letter.to_server) return true;
      KeyAdvert keys = decode_advert(advert->bytes).value();
      if (letter.device == 0) copied = keys.mask_key;
      if (letter.device != kLiar) return true;
      (box ? keys.box_key : keys.mask_key) = copied;
      advert->bytes = encode_advert(keys);
      advert->signature = round.primitives().sign_advert(round.signing(kLiar), advert->bytes);
      return true;
    };
    expect_only_the_liar_out(round, "another device has the same key");
  }
}

TEST(SecAggServerAdverts, TwoForOneAttemptPutTheirSenderOut) {
  SecAggHarness round({.devices = 12});
  round.start();
  round.deliver();
  SecAggClient twin(round.context(kLiar)); // its state was lost, and it began anew
  round.to_server(kLiar, std::get<SecAggAdvertised>(twin.phase()).advert);
  round.kill(kLiar);
  expect_only_the_liar_out(round, "two sets of keys");
}

TEST(SecAggServerAdverts, OneThatComesLateIsLeftBehind) {
  SecAggHarness round({.devices = 12});
  bool held = false;
  SecAggMessage late;
  round.tamper = [&](SecAggLetter& letter) {
    if (held || letter.device != kLiar) return true;
    held = true;
    late = letter.message;
    return false;
  };
  round.start();
  round.deliver();
  round.settle();
  round.to_server(kLiar, late);
  round.kill(kLiar);
  expect_only_the_liar_out(round, "the roster was closed without it");
}

TEST(SecAggServerAdverts, OneOfAnOldAttemptIsAskedForAgain) {
  SecAggHarness round({.devices = 6});
  round.die_at(5, SecAggMoment::kBeforeNonce);
  round.start();
  const SignedAdvert old = std::get<SecAggAdvertised>(round.device(0).phase()).advert;
  round.deliver();
  round.settle(); // the roster is closed
  round.deliver();
  round.settle(); // a nonce is missing: everybody again
  ASSERT_STREQ(round.server().phase_name(), "gathering");
  const auto actions =
      round.server().handle(round.id(0), old, round.signing(0).public_key(), round.certificate(0));
  ASSERT_EQ(actions.size(), 1U);
  EXPECT_EQ(std::get<Readvertise>(std::get<SendSecAggTo>(actions[0]).draft()).attempt, 1);
}

TEST(SecAggServerAdverts, WhoLeftBeforeTheRosterClosesIsNotInItUnlessItCameBack) {
  for (const bool back : {false, true}) {
    SecAggHarness round({.devices = 6});
    round.start();
    round.deliver();
    EXPECT_THAT(round.server().member_gone(round.id(1)), IsEmpty());
    if (back) round.server().member_back(round.id(1));
    round.settle();
    EXPECT_EQ(round.server().in_roster(round.id(1)), back);
  }
}

TEST(SecAggServerNonces, AnInvalidOneBeginsAgainWithoutItsSender) {
  expect_out<NonceOpening>([](SecAggHarness&, NonceOpening& opening) { opening.nonce[9] ^= 1; },
                           "nonce");
}

TEST(SecAggServerBoxes, WrongOnesPutOnlyTheirSenderOut) {
  const std::string words = "not one for each neighbour";
  expect_out<ShareBoxes>([](SecAggHarness&, ShareBoxes& boxes) { boxes.boxes.pop_back(); }, words);
  expect_out<ShareBoxes>([](SecAggHarness&, ShareBoxes& boxes) { boxes.boxes.clear(); }, words);
  expect_out<ShareBoxes>(
      [](SecAggHarness&, ShareBoxes& boxes) {
        boxes.boxes.push_back(boxes.boxes.back());
        boxes.boxes.back().member = 12;
      },
      words);
  expect_out<ShareBoxes>([](SecAggHarness&, ShareBoxes& boxes) { boxes.boxes[1] = boxes.boxes[0]; },
                         words);
  expect_out<ShareBoxes>(
      [](SecAggHarness&, ShareBoxes& boxes) { std::swap(boxes.boxes[0], boxes.boxes[1]); }, words);
}

TEST(SecAggServerBoxes, TwoDifferentSetsPutTheirSenderOut) {
  SecAggHarness round({.devices = 12});
  round.start();
  round.deliver();
  round.settle();
  round.deliver();
  ASSERT_STREQ(round.server().phase_name(), "sharing");
  ShareBoxes second = std::get<SecAggShared>(round.device(kLiar).phase()).boxes;
  second.boxes[0].box[0] ^= 1;
  round.to_server(kLiar, second);
  expect_only_the_liar_out(round, "dealt shares twice");
}

TEST(SecAggServerBoxes, ABoxOfAnotherLengthPutsItsSenderOut) {
  SecAggHarness round({.devices = 12});
  round.tamper = [](SecAggLetter& letter) {
    return letter.device != kLiar || !std::holds_alternative<ShareBoxes>(letter.message);
  };
  round.start();
  round.deliver();
  round.settle();
  round.deliver();
  ShareBoxes boxes = std::get<SecAggShared>(round.device(kLiar).phase()).boxes;
  boxes.boxes[3].box.pop_back(); // no encoding has it
  const auto actions = round.server().handle(
      round.id(kLiar), boxes, round.signing(kLiar).public_key(), round.certificate(kLiar));
  ASSERT_EQ(actions.size(), 1U);
  EXPECT_THAT(std::get<SecAggMemberOut>(actions[0]).reason, HasSubstr("one for each neighbour"));
}

TEST(SecAggServerAnswers, SharesThatWereNotAskedForPutOnlyTheirSenderOut) {
  const std::string words = "not those that the survivors' list asks for";
  const auto wrong = [&](const std::function<void(UnmaskShares&)>& change) {
    expect_out<UnmaskShares>([&](SecAggHarness&, UnmaskShares& answer) { change(answer); }, words,
                             true);
  };
  wrong([](UnmaskShares& answer) { answer.shares.pop_back(); });
  wrong([](UnmaskShares& answer) { answer.shares.push_back(answer.shares.back()); });
  wrong([](UnmaskShares& answer) { answer.shares[0].of = ShareOf::kMaskKey; });
  wrong([](UnmaskShares& answer) { std::swap(answer.shares[0], answer.shares[1]); });
  wrong([](UnmaskShares& answer) { answer.survivors_hash.bytes[0] ^= 1; });
}

TEST(SecAggServerAnswers, TheAggregatorsOwnMessagesPutTheirSenderOut) {
  SecAggHarness round({.devices = 12});
  round.start();
  round.deliver();
  round.to_server(kLiar, Readvertise{round.context(0).plan_hash, 1});
  round.kill(kLiar);
  expect_only_the_liar_out(round, "is the aggregator's to send");
}

TEST(SecAggServerAnswers, AStrangersMessagesAreIgnored) {
  SecAggHarness round({.devices = 7});
  round.kill(6);
  round.start();
  round.deliver();
  round.settle();
  const Sha256 roster_hash = round.server().roster_hash();
  round.to_server(6, NonceOpening{roster_hash, {}});
  round.deliver();
  round.to_server(6, ShareBoxes{roster_hash, {}, {}});
  round.run();
  EXPECT_TRUE(round.finished());
  EXPECT_EQ(round.sum(), round.expected_sum());
}

// ---- shares that lie ----

void garble(UnmaskShares& answer) {
  for (UnmaskShare& share : answer.shares) share.share[3] ^= 0x10;
}

TEST(SecAggServerLies, WrongSharesAreLeftOutAsLongAsEnoughRightOnesAreThere) {
  std::set<std::uint32_t> liars;
  while (liars.size() < 4) {
    liars.insert(static_cast<std::uint32_t>(3 * liars.size()));
    SecAggHarness round({.devices = 12, .plan = kRoom});
    lie<UnmaskShares>(round, garble, liars);
    round.run();
    ASSERT_TRUE(round.finished()) << liars.size() << ": " << round.abandoned_because();
    EXPECT_EQ(round.sum(), round.expected_sum());
    EXPECT_EQ(round.included().size(), 12U);
    EXPECT_THAT(round.out(), IsEmpty()); // blame is uncertain: an owner may have dealt wrongly
  }
}

TEST(SecAggServerLies, WrongSharesOfADeadDevicesKeyAreLeftOutToo) {
  SecAggHarness round({.devices = 12, .plan = kRoom});
  round.die_at(9, SecAggMoment::kAfterMasking);
  lie<UnmaskShares>(round,
                    [](UnmaskShares& answer) {
                      for (UnmaskShare& share : answer.shares) {
                        if (share.of == ShareOf::kMaskKey) share.share = {};
                      }
                    },
                    {0, 5});
  round.run();
  ASSERT_TRUE(round.finished()) << round.abandoned_because();
  EXPECT_EQ(round.sum(), round.expected_sum());
  EXPECT_EQ(round.included().size(), 11U);
}

TEST(SecAggServerLies, MoreLiarsThanThatEndTheRoundAndNeverMakeAWrongSum) {
  SecAggHarness round({.devices = 12, .plan = kRoom});
  lie<UnmaskShares>(round, garble, {0, 1, 2, 3, 4, 5});
  round.run();
  EXPECT_FALSE(round.finished());
  EXPECT_THAT(round.abandoned_because(), HasSubstr("contradict what their owners published"));
}

// Boxes with other shares inside than the device dealt, to those neighbours that `whom` says.
void deal_wrongly(SecAggHarness& round, std::uint32_t liar,
                  const std::function<bool(std::size_t)>& whom) {
  round.tamper = [&round, liar, whom](SecAggLetter& letter) {
    auto* const dealt = std::get_if<ShareBoxes>(&letter.message);
    if (dealt == nullptr || letter.device != liar || letter.upload) return true;
    const auto& shared = std::get<SecAggShared>(round.device(liar).phase());
    for (std::size_t i = 0; i < dealt->boxes.size(); ++i) {
      if (!whom(i)) continue;
      const Bytes garbage(2 * sizeof(SecretShare), static_cast<std::uint8_t>(i + 1));
      dealt->boxes[i].box = round.primitives().seal_box(
          shared.box_keys[i].sealing, {.from = shared.me, .to = shared.neighbours[i].member},
          garbage);
    }
    return true;
  };
}

TEST(SecAggServerLies, AFewSharesDealtWronglyAreLeftOut) {
  for (const bool dies : {false, true}) {
    SecAggHarness round({.devices = 12, .plan = kRoom});
    deal_wrongly(round, kLiar, [](std::size_t i) { return i < 3; });
    if (dies) round.die_at(kLiar, SecAggMoment::kAfterMasking);
    round.run();
    ASSERT_TRUE(round.finished()) << round.abandoned_because();
    EXPECT_EQ(round.sum(), round.expected_sum());
    EXPECT_EQ(round.included().size(), dies ? 11U : 12U);
    EXPECT_THAT(round.out().size(), dies ? 1U : 0U);
  }
}

TEST(SecAggServerLies, SharesOfNoSecretEndTheRoundAndNeverMakeAWrongSum) {
  for (const bool dies : {false, true}) {
    SecAggHarness round({.devices = 12, .plan = kRoom});
    deal_wrongly(round, kLiar, [](std::size_t) { return true; });
    if (dies) round.die_at(kLiar, SecAggMoment::kAfterMasking);
    round.run();
    EXPECT_FALSE(round.finished());
    EXPECT_THAT(round.abandoned_because(), HasSubstr("1 of 12 secrets"));
  }
}

TEST(SecAggServerLies, ACommitmentToAnotherSecretEndsTheRoundAndNeverMakesAWrongSum) {
  SecAggHarness round({.devices = 12, .plan = kRoom});
  lie<ShareBoxes>(round, [](ShareBoxes& boxes) { boxes.self_commitment.bytes[0] ^= 1; });
  round.run();
  EXPECT_FALSE(round.finished());
  EXPECT_THAT(round.abandoned_because(), HasSubstr("1 of 12 secrets"));
}

// ---- what the driver does ----

TEST(SecAggServerDriver, ClosingAPhaseThatIsNotRunningDoesNothing) {
  SecAggHarness round({.devices = 6});
  SecAggServer& server = round.server();
  EXPECT_THAT(server.close_sharing(), IsEmpty());
  EXPECT_THAT(server.close_sum({}), IsEmpty());
  EXPECT_THAT(server.give_up_waiting(), IsEmpty());
  EXPECT_FALSE(server.parameters().has_value());
  round.start();
  round.deliver();
  round.settle();
  EXPECT_THAT(server.close_roster(), IsEmpty());
  EXPECT_THAT(server.close_sharing(), IsEmpty());
  EXPECT_EQ(server.parameters(), (GraphParameters{5, 4}));
  EXPECT_EQ(server.awaited().size(), 6U);
}

TEST(SecAggServerDriver, GivingUpOnSeveralNoncesCostsOneAttempt) {
  SecAggHarness round({.devices = 8});
  round.tamper = [](SecAggLetter& letter) {
    return letter.device > 1 || !std::holds_alternative<Roster>(letter.message);
  };
  round.start();
  round.deliver();
  round.settle();
  round.deliver();
  EXPECT_EQ(round.server().awaited().size(), 2U);
  const auto actions = round.server().give_up_waiting();
  EXPECT_EQ(std::get<SecAggGathering>(round.server().phase()).attempt, 1);
  EXPECT_EQ(std::get<SecAggGathering>(round.server().phase()).asked.size(), 6U);
  EXPECT_EQ(round.server().awaited().size(), 6U);
  EXPECT_TRUE(std::holds_alternative<CommitSecAgg>(actions.front()));
}

TEST(SecAggServerDriver, GivingUpOnAnswersEndsARoundThatLacksThem) {
  SecAggHarness round({.devices = 8, .plan = kRoom}); // threshold 5 of 7
  round.tamper = [](SecAggLetter& letter) {
    return letter.device < 6 || !std::holds_alternative<SurvivorList>(letter.message);
  };
  round.run(); // two answers are not needed
  EXPECT_TRUE(round.finished());
  SecAggHarness lacking({.devices = 8, .plan = kRoom});
  lacking.tamper = [](SecAggLetter& letter) {
    return letter.device < 5 || !std::holds_alternative<SurvivorList>(letter.message);
  };
  lacking.run();
  EXPECT_FALSE(lacking.finished());
  const auto actions = lacking.server().give_up_waiting();
  ASSERT_EQ(actions.size(), 2U);
  EXPECT_THAT(std::get<AbandonSecAgg>(actions[1]).reason, HasSubstr("nobody is left to give more"));
  EXPECT_EQ(lacking.reconstructions(), 0U);
}

TEST(SecAggServerDriver, WhoMaySendItsVectorIsWhoSharedInTime) {
  SecAggHarness round({.devices = 8});
  round.die_at(7, SecAggMoment::kAfterNonce);
  round.start();
  while (std::string(round.server().phase_name()) != "collecting") {
    round.deliver();
    ASSERT_TRUE(round.settle());
  }
  EXPECT_FALSE(round.server().may_upload(round.id(7)));
  EXPECT_TRUE(round.server().in_roster(round.id(7)));
  EXPECT_TRUE(round.server().may_upload(round.id(0)));
  EXPECT_THAT(round.out().at(7), HasSubstr("not shared in time"));
}

// In a sparse graph a device may be left with fewer sharing neighbours than its threshold: it would
// refuse its inbox, so it is left out before anybody masks with it.
TEST(SecAggServerDriver, ADeviceWhoseNeighboursDidNotShareIsLeftOutInTime) {
  const GraphAssumptions few{.corrupt = .02,
                             .dropout = .3,
                             .server = ServerModel::kSemiHonest,
                             .security_bits = 10,
                             .correctness_bits = 10};
  SecAggHarness round({.devices = 40, .plan = few, .owner = few});
  round.start();
  round.deliver();
  round.settle();
  round.deliver();
  const auto& sharing = std::get<SecAggSharing>(round.server().phase());
  ASSERT_LT(sharing.parameters.degree, 30U);
  const auto neighbours = sharing.graph.neighbours(0);
  std::set<std::uint32_t> dead;
  for (std::size_t i = 0; i + sharing.parameters.threshold <= neighbours.size(); ++i) {
    dead.insert(round.index_of(sharing.members[neighbours[i]].client));
  }
  const std::uint32_t lonely = round.index_of(sharing.members[0].client);
  SecAggHarness again({.devices = 40, .plan = few, .owner = few});
  again.tamper = [&](SecAggLetter& letter) {
    return letter.upload || !std::holds_alternative<ShareBoxes>(letter.message) ||
           !dead.contains(letter.device);
  };
  again.start();
  again.deliver();
  again.settle();
  again.deliver();
  for (const std::uint32_t device : dead) again.kill(device);
  again.run();
  ASSERT_TRUE(again.finished()) << again.abandoned_because();
  EXPECT_EQ(again.sum(), again.expected_sum());
  EXPECT_FALSE(again.included().contains(lonely));
  EXPECT_THAT(again.violations(), IsEmpty());
}

} // namespace
} // namespace coppice
