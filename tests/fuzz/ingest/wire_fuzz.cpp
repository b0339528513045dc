// Whatever the bytes are, the readers of records answer, and what they believe can be written again
// and reads the same.
#include "fuzz.h"

#include <string>
#include <vector>

#include <sluice/ingest/raw_message.h>
#include <sluice/ingest/valid_message.h>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace sluice;
  const std::string_view bytes = fuzz::as_text(data, size);
  if (const auto raw = ingest::read_raw_message(bytes)) {
    SLUICE_CHECK(raw->payload.size() <= size && raw->tenant.size() <= size);
  }
  const auto valid = ingest::read_valid_message(bytes);
  if (!valid) return 0;
  std::vector<ingest::ValidReading> readings;
  for (const ingest::ValidReading& reading : valid->readings()) readings.push_back(reading);
  SLUICE_CHECK(readings.size() == valid->reading_count());
  std::string again;
  ingest::write_valid_message(valid->fields(), readings, again);
  const auto second = ingest::read_valid_message(again);
  SLUICE_CHECK(second.has_value() && second->reading_count() == readings.size());
  SLUICE_CHECK(second->fields().device == valid->fields().device);
  std::string third;
  readings.clear();
  for (const ingest::ValidReading& reading : second->readings()) readings.push_back(reading);
  ingest::write_valid_message(second->fields(), readings, third);
  SLUICE_CHECK(third == again);
  return 0;
}
