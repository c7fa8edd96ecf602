// SPDX-License-Identifier: Apache-2.0
// Runs of several real processes on this machine, over the loopback interface.
#include "sim/ranks.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>

#include "base/file.h"
#include "base/text.h"
#include "cli/subprocess.h"
#include "tests/model/shared_data.h"

namespace coppice {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;

constexpr int kError = 3; // of rank_process: a call gave an error

std::uint16_t free_port() {
  const int socket_id = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  EXPECT_EQ(0, bind(socket_id, reinterpret_cast<sockaddr*>(&address), length));
  EXPECT_EQ(0, getsockname(socket_id, reinterpret_cast<sockaddr*>(&address), &length));
  close(socket_id);
  return ntohs(address.sin_port);
}

struct Outcome {
  int status = -1;
  std::string text;
};

class SeveralRanks : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!fs::exists(fs::path(COPPICE_BINARY_DIR) / "libcoppice_cluster.so")) {
      GTEST_SKIP() << "this build has no module for several processes (COPPICE_CLUSTER=OFF)";
    }
  }

  fs::path output(std::uint32_t rank) const { return folder_.path() / cat("rank", rank); }
  std::string text(std::uint32_t rank) const {
    const auto bytes = read_file(output(rank), 1U << 20U);
    return bytes.ok() ? std::string(as_text(*bytes)) : std::string();
  }

  // `started` of `size` ranks, each to its end.
  std::vector<Outcome> run(const std::string& what, std::uint32_t size, std::uint32_t started) {
    const std::string port = cat(free_port());
    std::vector<ChildProcess> processes;
    for (std::uint32_t rank = 0; rank < started; ++rank) {
      processes.push_back(ChildProcess::start({.arguments = {program_, what},
                                               .output = output(rank),
                                               .environment = {{"RANK", cat(rank)},
                                                               {"WORLD_SIZE", cat(size)},
                                                               {"LOCAL_RANK", cat(rank)},
                                                               {"MASTER_ADDR", "127.0.0.1"},
                                                               {"MASTER_PORT", port}}})
                              .value());
    }
    std::vector<Outcome> outcomes;
    for (std::uint32_t rank = 0; rank < started; ++rank) {
      const auto status = processes[rank].wait({60'000});
      outcomes.push_back({status.ok() ? *status : -1, text(rank)});
    }
    return outcomes;
  }
  std::vector<Outcome> run(const std::string& what, std::uint32_t size) {
    return run(what, size, size);
  }

  TestFolder folder_;
  const std::string program_ = std::string(COPPICE_BINARY_DIR) + "/rank_process";
};

TEST_F(SeveralRanks, SumModuloTwoToThe32AndExchangeBytes) {
  for (const std::uint32_t size : {2U, 3U}) {
    const auto outcomes = run("exchange", size);
    for (std::uint32_t rank = 0; rank < size; ++rank) {
      EXPECT_EQ(0, outcomes[rank].status) << outcomes[rank].text;
      EXPECT_THAT(outcomes[rank].text, HasSubstr(cat("rank ", rank, " of ", size)));
    }
  }
}

TEST_F(SeveralRanks, OfMixedInstructionLevelsAreRefusedByAllAlike) {
  for (const Outcome& outcome : run("levels", 3)) {
    EXPECT_EQ(kError, outcome.status);
    EXPECT_THAT(outcome.text, HasSubstr("rank 2 has another instruction level than rank 0: avx2, "
                                        "not avx512"));
  }
}

TEST_F(SeveralRanks, AllNameTheOneThatDied) {
  const auto began = std::chrono::steady_clock::now();
  const auto outcomes = run("die", 3);
  for (std::uint32_t rank = 0; rank < 2; ++rank) {
    EXPECT_EQ(kError, outcomes[rank].status);
    EXPECT_THAT(outcomes[rank].text,
                AllOf(HasSubstr("rank 2 gave no sign of life"), HasSubstr("in sum number 2")));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - began, std::chrono::seconds(15));
}

TEST_F(SeveralRanks, NameTheFirstRankWhereItHeldTheStoreAndDied) {
  const auto outcomes = run("first-dies", 3);
  for (std::uint32_t rank = 1; rank < 3; ++rank) {
    EXPECT_EQ(kError, outcomes[rank].status);
    EXPECT_THAT(outcomes[rank].text, HasSubstr("rank 0, which holds the store"));
  }
}

TEST_F(SeveralRanks, TellASlowOneFromADeadOne) {
  const auto outcomes = run("late", 3);
  for (std::uint32_t rank = 0; rank < 2; ++rank) {
    EXPECT_EQ(kError, outcomes[rank].status);
    EXPECT_THAT(outcomes[rank].text, HasSubstr("rank 2 did not come to sum number 2"));
  }
}

TEST_F(SeveralRanks, ThatCallDifferentThingsAreToldSo) {
  for (const Outcome& outcome : run("confused", 2)) {
    EXPECT_EQ(kError, outcome.status);
    EXPECT_THAT(outcome.text, AllOf(HasSubstr("at sum of 1000"), HasSubstr("at barrier of 0")));
  }
}

TEST_F(SeveralRanks, DoNotWaitForeverForOneThatNeverStarts) {
  const auto outcomes = run("alone", 3, 2);
  for (const Outcome& outcome : outcomes) EXPECT_EQ(kError, outcome.status);
  EXPECT_THAT(outcomes[0].text, HasSubstr("rank 2 of 3 did not come"));
  // Or the first has gone by then, and the store with it.
  EXPECT_THAT(outcomes[1].text, AnyOf(HasSubstr("rank 2 of 3 did not come"),
                                      HasSubstr("rank 1 of 3 can't meet the others")));
}

// torchrun holds the store itself: no rank may open another one.
TEST_F(SeveralRanks, AreStartedByTorchrun) {
  const char* const named = std::getenv("COPPICE_TORCHRUN");
  if (named == nullptr) GTEST_SKIP() << "COPPICE_TORCHRUN names no torchrun";
  auto process =
      ChildProcess::start({.arguments = {named, "--standalone", "--nnodes=1", "--nproc-per-node=2",
                                         "--no-python", program_, "exchange"},
                           .output = output(0),
                           .environment = {}});
  EXPECT_EQ(0, process.value().wait({100'000}).value()) << text(0);
  EXPECT_THAT(text(0), AllOf(HasSubstr("rank 0 of 2"), HasSubstr("rank 1 of 2")));
}

} // namespace
} // namespace coppice
