// A device's state from the changelog: refused, or believed and written back as it was; and judging
// goes on with it, whatever it says.

#include "../fuzz.h"
#include "core/stream/device_state.h"
#include "testing/fleet.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice::validator;
  SeenFilter filter(SeenFilter::kMinCapacity);
  DeviceStates states({}, filter);
  const std::string_view bytes = sluice::fuzz::as_text(data, size);
  if (!states.restore("acme/device-0", bytes)) {
    SLUICE_CHECK(states.size() == 0);
    return 0;
  }
  const auto again = states.serialise("acme/device-0");
  SLUICE_CHECK(again.has_value());
  DeviceStates second({}, filter);
  SLUICE_CHECK(second.restore("acme/device-0", *again).has_value());
  SLUICE_CHECK(second.serialise("acme/device-0") == again);
  Fleet fleet(1, size);
  Extracted extracted;
  Judgement judgement;
  for (int i = 0; i < 10; ++i) {
    const Fleet::Message message = fleet.next();
    fill(message, extracted);
    states.judge({.device_key = fleet.key(0), .received_at_ms = message.received_at_ms}, extracted,
                 judgement);
    SLUICE_CHECK(judgement.samples.size() == 1);
  }
  // What was judged can be kept, and is believed when it comes back.
  SLUICE_CHECK(second.restore("acme/device-0", *states.serialise("acme/device-0")).has_value());
  return 0;
}
