#include "testing/fake_store.h"

#include "testing/store_contract.h"

#include <sluice/testing/sim_clock.h>

namespace sluice::registry::testing {
namespace {

class FakeUnderTest final : public StoreUnderTest {
 public:
  Store& store() override { return store_; }
  std::vector<OutboxRecord> outbox() override { return store_.rows().outbox; }
  const Clock& clock() override { return clock_; }

 private:
  sluice::testing::SimClock clock_;
  FakeStore store_{clock_};
};

std::unique_ptr<StoreUnderTest> make_fake() { return std::make_unique<FakeUnderTest>(); }

INSTANTIATE_TEST_SUITE_P(Fake, StoreContract, ::testing::Values(make_fake));

}  // namespace
}  // namespace sluice::registry::testing
