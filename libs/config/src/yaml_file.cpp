#include "yaml_file.h"

#include "values.h"

#include <algorithm>
#include <format>
#include <sstream>

#include <sluice/config/settings.h>

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/mark.h>
#include <yaml-cpp/parser.h>

namespace sluice::config_detail {
namespace {

/// More than this and the file is no settings file; the rest is not looked at.
constexpr std::size_t kMaxFaults = 50;
constexpr std::size_t kMaxEntries = 1'000;
constexpr std::size_t kMaxKeySize = 100;  // far longer than any name; longer ones are not names
constexpr std::size_t kMaxListItems = 1'000;
/// How deep values that are refused anyway are followed to their end.
constexpr int kMaxDepth = 20;

/// Ends the parser's work from within an event; never leaves read_yaml().
struct StopReading {};

class Handler final : public YAML::EventHandler {
 public:
  explicit Handler(YamlFile& file) : file_(file) {}

  void OnDocumentStart(const YAML::Mark& mark) override {
    if (++documents_ > 1) stop(mark, "holds a second document");
  }
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t) override {
    if (depth_ == 0) return;  // an empty file
    take(mark, Form::kNull, "");
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    take(mark, Form::kOther, "");
    fault(mark, "has an alias (*), which settings do not take");
  }
  void OnScalar(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                const std::string& value) override {
    take(mark, Form::kScalar, value);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {
    if (is_value_of_map()) {
      file_.entries.push_back({.key = key_, .values = {}, .is_list = true, .line = line_of(mark)});
      has_key_ = false;
      in_list_ = true;
    } else {
      take(mark, Form::kOther, "");
    }
    go_deeper(mark);
  }
  void OnSequenceEnd() override {
    if (--depth_ == 1) in_list_ = false;
  }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {
    if (depth_ > 0) {
      const bool is_value = is_value_of_map();
      take(mark, Form::kOther, "");
      if (is_value) fault(mark, "is a map; settings are flat");
    }
    go_deeper(mark);
  }
  void OnMapEnd() override { --depth_; }

 private:
  enum class Form { kScalar, kNull, kOther };

  static int line_of(const YAML::Mark& mark) { return mark.line + 1; }
  bool is_value_of_map() const { return depth_ == 1 && has_key_; }

  /// A key, a value or a list's item arrives. What lies deeper belongs to something already
  /// refused.
  void take(const YAML::Mark& mark, Form form, const std::string& value) {
    if (depth_ == 0) stop(mark, "is not a map of settings");
    if (depth_ == 1 && !has_key_) {
      if (form != Form::kScalar || value.size() > kMaxKeySize || !check_printable(value)) {
        stop(mark, "has a key that is not a name");
      }
      begin_entry(mark, value);
    } else if (depth_ == 1) {
      has_key_ = false;
      if (form == Form::kScalar) {
        file_.entries.push_back(
            {.key = key_, .values = {value}, .is_list = false, .line = line_of(mark)});
      } else if (form == Form::kNull) {
        fault(mark, "has no value; write \"\" for an empty text, or leave the setting out");
      }
    } else if (depth_ == 2 && in_list_) {
      YamlEntry& entry = file_.entries.back();
      if (form != Form::kScalar) fault(mark, "has a list item that is not a plain value");
      if (entry.values.size() == kMaxListItems) stop(mark, "has a list of too many items");
      entry.values.push_back(value);
    }
  }

  void begin_entry(const YAML::Mark& mark, const std::string& key) {
    key_ = key;
    has_key_ = true;
    if (std::ranges::contains(keys_, key)) {
      fault(mark, "is there twice");
    } else {
      keys_.push_back(key);
    }
    if (keys_.size() > kMaxEntries) stop(mark, "holds too many settings");
  }

  void go_deeper(const YAML::Mark& mark) {
    if (++depth_ > kMaxDepth) stop(mark, "is nested too deep");
  }

  void fault(const YAML::Mark& mark, std::string_view what) {
    file_.faults.push_back({key_, std::format("{} (line {} of the file)", what, line_of(mark))});
    if (file_.faults.size() >= kMaxFaults) throw StopReading();
  }

  [[noreturn]] void stop(const YAML::Mark& mark, std::string_view what) {
    file_.faults.push_back(
        {"", std::format("the settings file {} (line {})", what, line_of(mark))});
    throw StopReading();
  }

  YamlFile& file_;
  std::vector<std::string> keys_;
  std::string key_;
  bool has_key_ = false;  // the next scalar of the map is its value
  bool in_list_ = false;
  int depth_ = 0;
  int documents_ = 0;
};

}  // namespace

YamlFile read_yaml(std::string_view text) {
  YamlFile file;
  if (text.size() > kMaxSettingsFileSize) {
    file.faults.push_back(
        {"", std::format("the settings file is larger than {} KiB", kMaxSettingsFileSize / 1024)});
    return file;
  }
  try {
    std::istringstream stream{std::string(text)};
    YAML::Parser parser(stream);
    Handler handler(file);
    while (parser.HandleNextDocument(handler)) {
    }
  } catch (const StopReading&) {  // the fault is in the list
  } catch (const YAML::Exception& e) {
    file.faults.push_back(
        {"", std::format("the settings file is not YAML: {} (line {})", e.msg, e.mark.line + 1)});
  }
  return file;
}

}  // namespace sluice::config_detail
