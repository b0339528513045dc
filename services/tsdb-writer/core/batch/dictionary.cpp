#include "core/batch/dictionary.h"

#include <utility>

#include <sluice/base/check.h>

namespace sluice::tsdb {
namespace {

/// Ids hold no slash, so that two of them with one between are one name of the pair.
std::string_view joined(std::string& scratch, std::string_view first, std::string_view second) {
  scratch.assign(first);
  scratch += '/';
  scratch += second;
  return scratch;
}

}  // namespace

Dictionary::Class& Dictionary::class_of(std::string_view tenant, std::string_view device_type) {
  const std::string_view name = joined(scratch_, tenant, device_type);
  auto found = classes_.find(name);
  if (found == classes_.end()) {
    auto made = std::make_unique<Class>();
    made->tenant = tenant;
    made->device_type = device_type;
    found = classes_.emplace(std::string(name), std::move(made)).first;
  }
  return *found->second;
}

Dictionary::Device& Dictionary::device(const DeviceIdentity& identity) {
  const std::string_view name = joined(scratch_, identity.tenant, identity.device);
  auto found = devices_.find(name);
  if (found == devices_.end()) {
    auto made = std::make_unique<Device>();
    made->tenant = identity.tenant;
    made->device = identity.device;
    made->fleet = identity.fleet;
    found = devices_.emplace(std::string(name), std::move(made)).first;
    Device& device = *found->second;
    device.of = &class_of(identity.tenant, identity.device_type);
    want(device);
    return device;
  }
  Device& device = *found->second;
  if (device.fleet != identity.fleet) {
    device.fleet = identity.fleet;
    want(device);
  }
  if (device.of->device_type != identity.device_type) {
    device.of = &class_of(identity.tenant, identity.device_type);
    want(device);
  }
  return device;
}

Dictionary::Metric& Dictionary::look_up(Class& of, std::string_view name, series::ColumnType type) {
  scratch_.assign(name);
  scratch_ += static_cast<char>('0' + static_cast<int>(type));
  auto found = of.metrics.find(std::string_view(scratch_));
  if (found == of.metrics.end()) {
    auto made = std::make_unique<Metric>();
    made->of = &of;
    made->name = name;
    made->type = type;
    found = of.metrics.emplace(scratch_, std::move(made)).first;
  }
  return *found->second;
}

Dictionary::Metric& Dictionary::metric(Device& device, std::string_view name,
                                       series::ColumnType type, std::string_view unit) {
  Class& of = *device.of;
  Metric* guess = of.last == nullptr ? nullptr : of.last->following;
  if (guess == nullptr || guess->name != name || guess->type != type) {
    guess = &look_up(of, name, type);
    if (of.last != nullptr) of.last->following = guess;
  }
  of.last = guess;
  const bool is_new = guess->key == MetricKey() && !guess->is_pending;
  if (is_new || (!unit.empty() && guess->unit != unit)) {
    guess->unit = unit;
    want(*guess);
  }
  return *guess;
}

void Dictionary::want(Device& device) {
  if (!std::exchange(device.is_pending, true)) pending_devices_.push_back(&device);
}

void Dictionary::want(Metric& metric) {
  if (!std::exchange(metric.is_pending, true)) pending_metrics_.push_back(&metric);
}

Result<> Dictionary::resolve(DictionaryStore& store) {
  if (pending_devices_.empty() && pending_metrics_.empty()) return {};
  std::vector<DeviceIdentity> devices;
  for (const Device* device : pending_devices_) {
    devices.push_back({device->tenant, device->device, device->fleet, device->of->device_type});
  }
  std::vector<MetricIdentity> metrics;
  for (const Metric* metric : pending_metrics_) {
    metrics.push_back(
        {metric->of->tenant, metric->of->device_type, metric->name, metric->type, metric->unit});
  }
  SLUICE_TRY_ASSIGN(const DictionaryStore::Keys keys, store.resolve(devices, metrics));
  SLUICE_CHECK(keys.devices.size() == devices.size() && keys.metrics.size() == metrics.size());
  for (std::size_t i = 0; i < devices.size(); ++i) {
    pending_devices_[i]->key = keys.devices[i];
    pending_devices_[i]->is_pending = false;
  }
  for (std::size_t i = 0; i < metrics.size(); ++i) {
    Metric& metric = *pending_metrics_[i];
    metric.is_pending = false;
    if (keys.metrics[i]) {
      metric.key = *keys.metrics[i];
    } else {
      refused_metrics_.push_back(&metric);
    }
  }
  pending_devices_.clear();
  pending_metrics_.clear();
  return {};
}

void Dictionary::trim() {
  if (!pending_devices_.empty() || !pending_metrics_.empty()) return;
  if (devices_.size() > max_devices_) {
    refused_metrics_.clear();
    devices_.clear();
    classes_.clear();
    return;
  }
  if (refused_metrics_.empty()) return;
  // Refused names are as many as somebody cares to make up: none is kept beyond its records.
  for (auto& [name, of] : classes_) {
    of->last = nullptr;
    for (auto& [metric_name, metric] : of->metrics) metric->following = nullptr;
  }
  for (const Metric* metric : std::exchange(refused_metrics_, {})) {
    scratch_ = metric->name;
    scratch_ += static_cast<char>('0' + static_cast<int>(metric->type));
    Class& of = *metric->of;
    of.metrics.erase(of.metrics.find(std::string_view(scratch_)));
  }
}

}  // namespace sluice::tsdb
