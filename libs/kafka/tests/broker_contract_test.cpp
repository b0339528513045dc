#include "broker_world.h"

namespace sluice::kafka::contract {
namespace {

std::unique_ptr<World> make_real() { return std::make_unique<BrokerWorld>(); }
std::string name_of(const ::testing::TestParamInfo<MakeWorld>&) { return "Broker"; }

INSTANTIATE_TEST_SUITE_P(Real, ProducerContract, ::testing::Values(&make_real), name_of);
INSTANTIATE_TEST_SUITE_P(Real, SenderContract, ::testing::Values(&make_real), name_of);
INSTANTIATE_TEST_SUITE_P(Real, ConsumerLoopContract, ::testing::Values(&make_real), name_of);
INSTANTIATE_TEST_SUITE_P(Real, TableReaderContract, ::testing::Values(&make_real), name_of);
INSTANTIATE_TEST_SUITE_P(Real, PartitionReaderContract, ::testing::Values(&make_real), name_of);
INSTANTIATE_TEST_SUITE_P(Real, TopicAdminContract, ::testing::Values(&make_real), name_of);
INSTANTIATE_TEST_SUITE_P(Real, LedgerContract, ::testing::Values(&make_real), name_of);

}  // namespace
}  // namespace sluice::kafka::contract
