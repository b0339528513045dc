#include "contract.h"

#include <sluice/kafka/testing/fake_kafka.h>

namespace sluice::kafka::contract {
namespace {

class FakeWorld final : public World {
 public:
  std::unique_ptr<Producer> producer(const ProducerConfig& limits) override {
    return kafka_.producer(limits);
  }
  std::unique_ptr<Consumer> group_consumer(const std::string& group,
                                           std::vector<std::string> topics) override {
    return kafka_.group_consumer(group, std::move(topics));
  }
  std::unique_ptr<Consumer> table_consumer(const std::string& topic) override {
    return kafka_.table_consumer(topic);
  }
  std::unique_ptr<PartitionReader> partition_reader() override { return kafka_.partition_reader(); }
  TopicAdmin& admin() override { return *admin_; }

 private:
  testing::FakeKafka kafka_{clock};
  std::unique_ptr<TopicAdmin> admin_ = kafka_.admin(logger);
};

std::unique_ptr<World> make_fake() { return std::make_unique<FakeWorld>(); }
std::string name_of(const ::testing::TestParamInfo<MakeWorld>&) { return "FakeKafka"; }

INSTANTIATE_TEST_SUITE_P(Fake, ProducerContract, ::testing::Values(&make_fake), name_of);
INSTANTIATE_TEST_SUITE_P(Fake, SenderContract, ::testing::Values(&make_fake), name_of);
INSTANTIATE_TEST_SUITE_P(Fake, ConsumerLoopContract, ::testing::Values(&make_fake), name_of);
INSTANTIATE_TEST_SUITE_P(Fake, TableReaderContract, ::testing::Values(&make_fake), name_of);
INSTANTIATE_TEST_SUITE_P(Fake, PartitionReaderContract, ::testing::Values(&make_fake), name_of);
INSTANTIATE_TEST_SUITE_P(Fake, TopicAdminContract, ::testing::Values(&make_fake), name_of);
INSTANTIATE_TEST_SUITE_P(Fake, LedgerContract, ::testing::Values(&make_fake), name_of);

}  // namespace
}  // namespace sluice::kafka::contract
