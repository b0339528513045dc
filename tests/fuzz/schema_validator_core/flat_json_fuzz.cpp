// The short way of reading JSON and the general one agree about whatever the payload is, also where
// bytes behind it would complete it.
#include "fuzz.h"
#include "testing/flat_agreement.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using sluice::validator::testing::FlatAgreement;
  static FlatAgreement agreement;
  sluice::fuzz::Choices choices(data, size);
  const unsigned schema = choices.below(FlatAgreement::kSchemas);
  const std::size_t behind = choices.byte();
  std::string_view json = sluice::fuzz::as_text(data, size).substr(std::min<std::size_t>(size, 2));
  const std::string_view whole = json;
  if (behind < 64 && behind < json.size()) json.remove_suffix(behind);
  const auto told = agreement.compare(schema, json, whole.substr(json.size()));
  SLUICE_CHECK(told.difference.empty());
  return 0;
}
