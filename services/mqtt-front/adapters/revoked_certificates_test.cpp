#include "adapters/revoked_certificates.h"

#include <sluice/testing/sim_clock.h>

#include <gtest/gtest.h>

namespace sluice::front {
namespace {

net::Fingerprint certificate(std::size_t number) {
  net::Fingerprint out{};
  for (std::size_t i = 0; i < 4; ++i) out[i] = static_cast<std::byte>(number >> (8 * i));
  return out;
}

TEST(RevokedCertificates, AreKnownUntilTheirTimeIsOver) {
  testing::SimClock clock;
  RevokedCertificates revoked(clock);
  EXPECT_FALSE(revoked.contains(certificate(1)));
  revoked.add(certificate(1));
  EXPECT_TRUE(revoked.contains(certificate(1)));
  EXPECT_FALSE(revoked.contains(certificate(2)));
  clock.advance(RevokedCertificates::kTtl / 2);
  revoked.add(certificate(1));  // said again
  clock.advance(RevokedCertificates::kTtl / 2);
  revoked.add(certificate(2));
  EXPECT_TRUE(revoked.contains(certificate(1)));
  clock.advance(RevokedCertificates::kTtl / 2);
  EXPECT_FALSE(revoked.contains(certificate(1)));
  EXPECT_TRUE(revoked.contains(certificate(2)));
}

TEST(RevokedCertificates, AreBoundedAndTheOldestGoFirst) {
  testing::SimClock clock;
  RevokedCertificates revoked(clock);
  for (std::size_t i = 0; i <= RevokedCertificates::kMax; ++i) revoked.add(certificate(i));
  EXPECT_FALSE(revoked.contains(certificate(0)));
  EXPECT_TRUE(revoked.contains(certificate(1)));
  EXPECT_TRUE(revoked.contains(certificate(RevokedCertificates::kMax)));
}

}  // namespace
}  // namespace sluice::front
