// Writes what the targets begin with: seeds FOLDER makes FOLDER/<target>/<number>.

#include "core/stream/device_state.h"
#include "testing/fleet.h"
#include "testing/hostile.h"

#include <filesystem>
#include <fstream>
#include <string>
#include <string_view>
#include <vector>

#include <google/protobuf/descriptor.pb.h>

namespace {

using namespace sluice::validator;

void write(const std::filesystem::path& folder, const std::vector<std::string>& seeds) {
  std::filesystem::create_directories(folder);
  for (std::size_t i = 0; i < seeds.size(); ++i) {
    std::ofstream(folder / std::to_string(i), std::ios::binary) << seeds[i];
  }
}

std::string protobuf_seed() {
  google::protobuf::FileDescriptorSet set;
  auto& file = *set.add_file();
  file.set_name("t");
  file.set_syntax("proto3");
  auto& message = *file.add_message_type();
  message.set_name("T");
  for (int number = 1; number <= 18; ++number) {
    if (number == google::protobuf::FieldDescriptorProto::TYPE_GROUP ||
        number == google::protobuf::FieldDescriptorProto::TYPE_ENUM) {
      continue;
    }
    auto& field = *message.add_field();
    field.set_name("f" + std::to_string(number));
    field.set_number(number);
    field.set_type(static_cast<google::protobuf::FieldDescriptorProto::Type>(number));
    field.set_label(number % 2 == 0 ? google::protobuf::FieldDescriptorProto::LABEL_REPEATED
                                    : google::protobuf::FieldDescriptorProto::LABEL_OPTIONAL);
    if (number == google::protobuf::FieldDescriptorProto::TYPE_MESSAGE) field.set_type_name(".T");
  }
  const std::string bytes = set.SerializeAsString();
  std::string seed;
  seed += static_cast<char>(bytes.size() % 256);
  seed += static_cast<char>(bytes.size() / 256);
  return seed + bytes + unhex("09 0000000000803540 12 04 0000c03f 4a 02 6869 5a 04 09 00000000");
}

std::string state_seed(int messages) {
  SeenFilter filter(SeenFilter::kMinCapacity);
  DeviceStates states({}, filter);
  Fleet fleet(1, 3);
  Extracted extracted;
  Judgement judgement;
  for (int i = 0; i < messages; ++i) {
    const Fleet::Message message = fleet.next();
    fill(message, extracted);
    states.judge({.device_key = "k", .received_at_ms = message.received_at_ms}, extracted,
                 judgement);
  }
  return states.serialise("k").value();
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  const std::filesystem::path folder = argv[1];
  write(
      folder / "decode",
      {unhex("00 83 a27473 cf0000018bcfe56800 a76d657472696373 81 a474656d70 cb4035800000000000 "
             "a3736571 cd012c"),
       unhex("00 92 d6ff65920080 c70cff000000000000000065920080"),
       unhex("01 a3 627473 c1 fb41d954fc40200000 676d657472696373 bf 6474656d70 f94d60 646e616d65 "
             "7f 626162 6163 ff"
             "ff 63736571 c2480102030405060708"),
       unhex("02 02 02 04 00 00 00 00 010203 00 02 0261 02 000000000000f83f 00 0600 02 010203 "
             "020261"),
       unhex("03 92 83 a2626e a2643a a16e a161 a176 01 84 a16e a162 a174 fb a27673 a178 a2626b c3"),
       unhex("04 28b52ffd 2004 210000 74657874")});
  // A schema, how much of the end lies behind the payload, and the payload.
  const auto flat = [](char schema, char behind, std::string_view json) {
    return std::string{schema, behind} + std::string(json);
  };
  write(folder / "flat_json",
        {flat(0, 100,
              R"({"ts":1700000000123,"temp":21.53,"hum":40.25,"n":37,"ok":true,"mode":"on"})"),
         flat(1, 100, R"([{"ts": 1.7e9, "temp": -1, "x": "y"}, {"temp": 0.1, "seq": 4}])"),
         flat(2, 5, R"({"metrics":{"a":1,"b":2.5e-3},"seq":7,"buffered":true})"),
         flat(3, 100, R"({"temp":1,"engine":{"rpm":900},"text":"abc","hot":70,"free":null})")});
  write(folder / "protobuf", {protobuf_seed()});
  write(folder / "device_state", {state_seed(1), state_seed(20), state_seed(700)});
  return 0;
}
