// SPDX-License-Identifier: Apache-2.0
#include "sim/rendezvous.h"

#include <gmock/gmock.h>

#include <map>

namespace coppice {
namespace {

using ::testing::HasSubstr;

using Environment = std::map<std::string, std::string>;

Result<Rendezvous> read(const Environment& environment) {
  return read_rendezvous([&](const char* name) -> const char* {
    const auto found = environment.find(name);
    return found == environment.end() ? nullptr : found->second.c_str();
  });
}

TEST(Rendezvous, IsAloneWithoutALauncher) {
  const auto alone = read({{"MASTER_PORT", "1234"}});
  ASSERT_TRUE(alone.ok());
  EXPECT_EQ(1U, alone->place.size);
  EXPECT_TRUE(alone->address.empty());
}

// As torch/distributed/run.py sets them.
TEST(Rendezvous, FollowsTorchrun) {
  const auto at = read({{"RANK", "5"},
                        {"WORLD_SIZE", "8"},
                        {"LOCAL_RANK", "1"},
                        {"MASTER_ADDR", "host0"},
                        {"MASTER_PORT", "1234"},
                        {"TORCHELASTIC_USE_AGENT_STORE", "True"},
                        {"TORCHELASTIC_RESTART_COUNT", "2"},
                        {"SLURM_PROCID", "0"}});
  ASSERT_TRUE(at.ok());
  EXPECT_EQ(5U, at->place.rank);
  EXPECT_EQ(8U, at->place.size);
  EXPECT_EQ(1U, at->place.local_rank);
  EXPECT_EQ("host0", at->address);
  EXPECT_EQ(1234, at->port);
  EXPECT_TRUE(at->agent_store);
  EXPECT_EQ("2", at->attempt);
}

TEST(Rendezvous, FollowsSlurmToTheFirstHost) {
  const auto at = read({{"SLURM_PROCID", "3"},
                        {"SLURM_NTASKS", "16"},
                        {"SLURM_STEP_NUM_TASKS", "4"},
                        {"SLURM_LOCALID", "1"},
                        {"SLURM_JOB_ID", "4711"},
                        {"SLURM_JOB_NODELIST", "gpu[03-07,9],login"}});
  ASSERT_TRUE(at.ok());
  EXPECT_EQ(3U, at->place.rank);
  EXPECT_EQ(4U, at->place.size);
  EXPECT_EQ("gpu03", at->address);
  EXPECT_EQ(24711, at->port);
  EXPECT_FALSE(at->agent_store);
}

TEST(Rendezvous, FollowsMpirunOnOneHostAndAsksForTheFirstOfSeveral) {
  Environment mpi{{"OMPI_COMM_WORLD_RANK", "1"},
                  {"OMPI_COMM_WORLD_SIZE", "2"},
                  {"OMPI_COMM_WORLD_LOCAL_RANK", "1"},
                  {"OMPI_COMM_WORLD_LOCAL_SIZE", "2"}};
  ASSERT_TRUE(read(mpi).ok());
  EXPECT_EQ("127.0.0.1", read(mpi)->address);
  mpi["OMPI_COMM_WORLD_LOCAL_SIZE"] = "1";
  ASSERT_FALSE(read(mpi).ok());
  EXPECT_THAT(read(mpi).error().message, HasSubstr("set MASTER_ADDR"));
  mpi["MASTER_ADDR"] = "host0";
  EXPECT_EQ("host0", read(mpi)->address);
  EXPECT_TRUE(read({{"PMI_RANK", "0"}, {"PMI_SIZE", "2"}, {"MASTER_ADDR", "a"}}).ok());
}

TEST(Rendezvous, RefusesWhatContradictsItself) {
  const Environment good{
      {"RANK", "0"}, {"WORLD_SIZE", "2"}, {"MASTER_ADDR", "a"}, {"MASTER_PORT", "9"}};
  ASSERT_TRUE(read(good).ok());
  for (const auto& [name, value] : {std::pair{"RANK", "2"},
                                    {"RANK", "-1"},
                                    {"RANK", "1x"},
                                    {"RANK", ""},
                                    {"WORLD_SIZE", "0"},
                                    {"WORLD_SIZE", "99999999999"},
                                    {"WORLD_SIZE", "5000"},
                                    {"MASTER_PORT", "0"},
                                    {"MASTER_PORT", "65536"},
                                    {"MASTER_ADDR", ""}}) {
    Environment bad = good;
    bad[name] = value;
    const auto read_bad = read(bad);
    ASSERT_FALSE(read_bad.ok()) << name << "=" << value;
    EXPECT_EQ(ErrorCode::kInvalidArgument, read_bad.error().code);
    EXPECT_THAT(read_bad.error().message, HasSubstr(name));
  }
}

// As `scontrol show hostnames` expands them.
TEST(Rendezvous, ReadsTheFirstHostOfSlurmsLists) {
  EXPECT_EQ("a", first_host("a"));
  EXPECT_EQ("a", first_host("a,b"));
  EXPECT_EQ("n003", first_host("n[003-007,9],m"));
  EXPECT_EQ("n7-ib", first_host("n[7]-ib,m1"));
  EXPECT_EQ("", first_host(""));
  EXPECT_EQ("", first_host("n[3"));
}

TEST(SingleRank, NeedsNobody) {
  const auto rank = single_rank();
  std::vector<std::uint32_t> values{7, 8};
  Bytes bytes{1, 2};
  EXPECT_TRUE(rank->sum(values).ok());
  EXPECT_EQ((std::vector<std::uint32_t>{7, 8}), values);
  EXPECT_TRUE(rank->broadcast(bytes, 0).ok());
  EXPECT_FALSE(rank->broadcast(bytes, 1).ok());
  EXPECT_EQ((std::vector<Bytes>{{1, 2}}), rank->gather(bytes, 0).value());
  EXPECT_TRUE(
      check_same_run(
          *rank,
          {.configuration = {}, .base = {}, .instruction_level = "avx2", .program_version = "1"})
          .ok());
}

} // namespace
} // namespace coppice
