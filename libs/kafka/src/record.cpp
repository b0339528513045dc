#include <sluice/kafka/record.h>

#include <sluice/base/check.h>
#include <sluice/base/partition_hash.h>

namespace sluice::kafka {

Partition partition_for_key(std::string_view key, std::int32_t partition_count) {
  SLUICE_CHECK(partition_count > 0);
  return Partition(static_cast<std::int32_t>(partition_hash(key)) % partition_count);
}

}  // namespace sluice::kafka
