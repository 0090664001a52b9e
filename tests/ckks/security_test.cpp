#include <gtest/gtest.h>

#include "base/error.h"
#include "ckks/parameters.h"
#include "tests/ckks/specs.h"

namespace hearth::ckks {
namespace {

/// A chain of 30-bit primes at the given degree, checked for 128 bits.
ParameterSpec secure_spec(int log_n, int levels, int digit = 1) {
  ParameterSpec spec = testing::chain_spec(log_n, levels, digit);
  spec.security = Security::kBits128;
  return spec;
}

ParameterSpec sparse_spec(int log_n, int levels, int weight) {
  ParameterSpec spec = secure_spec(log_n, levels);
  spec.secret = SecretKind::kSparseTernary;
  spec.hamming_weight = weight;
  return spec;
}

std::string refusal(const ParameterSpec& spec) {
  try {
    Parameters::create(spec);
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kSecurity) << error.what();
    return error.what();
  }
  return "";
}

TEST(Security, TableHasTheRowsOfItsSources) {
  const std::vector<std::pair<int, double>> uniform = {{11, 53},  {12, 106},  {13, 214}, {14, 430},
                                                       {15, 868}, {16, 1747}, {17, 3523}};
  for (const auto& [log_n, limit] : uniform) {
    EXPECT_EQ(max_log_qp_128(log_n, SecretKind::kUniformTernary, 0), limit);
  }
  EXPECT_EQ(max_log_qp_128(14, SecretKind::kSparseTernary, 192), 400);
  EXPECT_EQ(max_log_qp_128(14, SecretKind::kSparseTernary, 512), 424);
  EXPECT_EQ(max_log_qp_128(15, SecretKind::kSparseTernary, 192), 808);
  EXPECT_EQ(max_log_qp_128(16, SecretKind::kSparseTernary, 192), 1635);
  EXPECT_EQ(max_log_qp_128(15, SecretKind::kSparseTernary, 512), 864);
  EXPECT_EQ(max_log_qp_128(16, SecretKind::kSparseTernary, 512), 1728);
}

TEST(Security, UnknownRowsAreZero) {
  EXPECT_EQ(max_log_qp_128(10, SecretKind::kUniformTernary, 0), 0);
  EXPECT_EQ(max_log_qp_128(18, SecretKind::kUniformTernary, 0), 0);
  EXPECT_EQ(max_log_qp_128(13, SecretKind::kSparseTernary, 512), 0);
  EXPECT_EQ(max_log_qp_128(17, SecretKind::kSparseTernary, 512), 0);
  EXPECT_EQ(max_log_qp_128(16, SecretKind::kSparseTernary, 191), 0);
}

TEST(Security, WeightsBetweenRowsUseTheSmallerOne) {
  EXPECT_EQ(max_log_qp_128(16, SecretKind::kSparseTernary, 511), 1635);
  EXPECT_EQ(max_log_qp_128(16, SecretKind::kSparseTernary, 4096), 1728);
}

TEST(Security, AcceptsUpToTheLimitAndRefusesAbove) {
  // n = 2^13: 214 bits. Six levels and a special prime of 30 bits are just under 210, one more is above.
  const auto p = Parameters::create(secure_spec(13, 6));
  EXPECT_NEAR(p->security().log_qp, 210, 0.1);
  EXPECT_LT(p->security().log_qp, 210);
  EXPECT_EQ(p->security().limit, 214);
  EXPECT_TRUE(p->security().at_least_128);
  EXPECT_NEAR(p->security().estimated_bits, 128 * 214 / 210.0, 0.2);
  EXPECT_FALSE(p->security().source.empty());
  EXPECT_NE(refusal(secure_spec(13, 7)), "");
}

TEST(Security, RefusalHasTheNumbers) {
  const std::string message = refusal(secure_spec(13, 7));
  for (const char* part : {"240.0", "214", "n = 8192", "uniform ternary", "114 bits", "Security Guidelines", "kNone"}) {
    EXPECT_NE(message.find(part), std::string::npos) << part << " is missing in: " << message;
  }
}

TEST(Security, CountsTheSpecialPrimesOfTheLargestKeySet) {
  ParameterSpec spec = secure_spec(13, 5, 1);
  spec.special_bits = {30, 30, 30, 30, 30};
  spec.key_sets = {{0, 1, 5}, {4, 1, 1}};  // 30 + 150 and 150 + 30 bits
  EXPECT_NEAR(Parameters::create(spec)->security().log_qp, 180, 0.1);
  spec.key_sets = {{2, 1, 5}, {4, 1, 1}};  // 90 + 150 bits: the shallow set is the weaker one
  EXPECT_NE(refusal(spec).find("240.0"), std::string::npos);
}

TEST(Security, SparseSecretsUseTheirOwnRows) {
  EXPECT_EQ(refusal(sparse_spec(15, 25, 192)), "");  // 780 bits under 808
  EXPECT_EQ(refusal(sparse_spec(15, 27, 512)), "");  // 840 under 864
  const std::string message = refusal(sparse_spec(15, 27, 192));
  EXPECT_NE(message.find("808"), std::string::npos) << message;
  EXPECT_NE(message.find("Hamming weight 192"), std::string::npos) << message;
}

TEST(Security, SparseSecretsWithoutAnEstimateAreRefused) {
  for (const ParameterSpec& spec : {sparse_spec(13, 2, 192), sparse_spec(16, 2, 64), sparse_spec(17, 2, 512)}) {
    EXPECT_NE(refusal(spec).find("no estimate"), std::string::npos);
  }
}

TEST(Security, FixedWeightsNeverAllowMoreThanUniformSecrets) {
  for (const int log_n : {14, 15, 16}) {
    const double dense = max_log_qp_128(log_n, SecretKind::kUniformTernary, 0);
    const double heavy = max_log_qp_128(log_n, SecretKind::kSparseTernary, 512);
    const double light = max_log_qp_128(log_n, SecretKind::kSparseTernary, 192);
    EXPECT_LT(heavy, dense);
    EXPECT_LT(light, heavy);
  }
}

TEST(Security, EncapsulatedSecretsHaveTheEstimatesOfTheirRows) {
  const SecurityReport report = assess_encapsulation(15, 32, 60);
  EXPECT_TRUE(report.at_least_128);
  EXPECT_EQ(report.estimated_bits, 168.5);
  EXPECT_FALSE(report.source.empty());
  EXPECT_EQ(assess_encapsulation(15, 32, 60.1).estimated_bits, 156.3);
  EXPECT_EQ(assess_encapsulation(14, 32, 60).estimated_bits, 144.7);
  EXPECT_EQ(assess_encapsulation(16, 32, 60).estimated_bits, 192.0);
  // A row covers what is no easier to break: heavier secrets, longer ones, smaller moduli.
  EXPECT_EQ(assess_encapsulation(16, 40, 50).estimated_bits, 192.0);
  EXPECT_EQ(assess_encapsulation(17, 32, 60).estimated_bits, 192.0);
  EXPECT_EQ(assess_encapsulation(16, 32, 80).estimated_bits, 156.3);
}

TEST(Security, EncapsulatedSecretsWithoutAnEstimateAreNotSafe) {
  for (const SecurityReport& report : {assess_encapsulation(15, 31, 60), assess_encapsulation(13, 32, 60),
                                       assess_encapsulation(14, 32, 61), assess_encapsulation(15, 32, 91)}) {
    EXPECT_FALSE(report.at_least_128);
    EXPECT_EQ(report.estimated_bits, 0);
  }
}

ParameterSpec encapsulated_spec(int log_n, int weight) {
  ParameterSpec spec = sparse_spec(log_n, 8, 512);
  const auto& whole = spec.key_sets.back();
  spec.key_sets = {{0, 1, 1}, whole};
  spec.encapsulated_weight = weight;
  return spec;
}

TEST(Security, KeysToTheEncapsulatedSecretAreJudgedToo) {
  EXPECT_EQ(refusal(encapsulated_spec(15, 32)), "");
  const std::string message = refusal(encapsulated_spec(15, 24));
  for (const char* part : {"weight 24", "n = 32768", "60.0 bits", "kNone"}) {
    EXPECT_NE(message.find(part), std::string::npos) << part << " is missing in: " << message;
  }
}

TEST(Security, NoneAcceptsAndReportsWhatItIs) {
  ParameterSpec spec = secure_spec(13, 12);
  spec.security = Security::kNone;
  const auto p = Parameters::create(spec);
  EXPECT_FALSE(p->security().at_least_128);
  EXPECT_NEAR(p->security().estimated_bits, 128 * 214 / 390.0, 0.5);
  const auto unknown = Parameters::create(testing::chain_spec(8, 2));
  EXPECT_FALSE(unknown->security().at_least_128);
  EXPECT_EQ(unknown->security().limit, 0);
}

}  // namespace
}  // namespace hearth::ckks
