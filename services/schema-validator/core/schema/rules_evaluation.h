#pragma once

#include "core/schema/ecma_regex.h"
#include "core/schema/rules_inside.h"
#include "core/schema/tape.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace sluice::validator {

/// Applies the rules to one value. What the branches of anyOf and the like find wrong is their own
/// affair: only what is told with `quiet_` at zero is the message's fault.
class Evaluation {
 public:
  using Marks = std::vector<char>;  // members or items that some rule has looked at

  Evaluation(const JsonRules::Inside& rules, const Tape& tape, std::size_t steps)
      : all_(rules), tape_(tape), steps_(steps) {}

  bool obeys(Rule::Index index, std::uint32_t at, Marks* outer);
  JsonRules::Violation take_violation() { return std::move(violation_); }
  bool is_out_of_steps() const { return is_out_; }

 private:
  struct Step {
    std::uint32_t node = 0;
    std::uint32_t index = 0;
    bool is_item = false;
  };

  bool number(const Rule& rule, const Tape::Node& node);
  bool text(const Rule& rule, std::string_view text);
  bool object(const Rule& rule, std::uint32_t at, Marks* marks);
  bool members(const Rule& rule, std::uint32_t at, Marks* marks);
  bool array(const Rule& rule, std::uint32_t at, Marks* marks);
  bool branches(const Rule& rule, std::uint32_t at, Marks* marks);
  bool any_of(const Rule& rule, std::uint32_t at, Marks* marks);
  bool left_over(const Rule& rule, std::uint32_t at, Marks* marks);
  bool is_unique(std::uint32_t at);

  bool child(Rule::Index rule, std::uint32_t at, std::uint32_t index, bool is_item) {
    path_.push_back({at, index, is_item});
    const bool is_good = obeys(rule, at, nullptr);
    path_.pop_back();
    return is_good;
  }
  bool silently(Rule::Index rule, std::uint32_t at, Marks* marks) {
    ++quiet_;
    const bool is_good = obeys(rule, at, marks);
    --quiet_;
    return is_good;
  }
  bool is_equal(const Tape& a, std::uint32_t left, const Tape& b, std::uint32_t right);
  bool has_member(std::uint32_t at, std::string_view key) {
    for (auto i = tape_[at].first; i != Tape::kNone; i = tape_[i].next) {
      if (!step()) return false;
      if (tape_.key_of(tape_[i]) == key) return true;
    }
    return false;
  }
  bool step() {
    if (steps_ == 0) {
      is_out_ = true;
      return false;
    }
    --steps_;
    return true;
  }
  bool broken(std::string detail);

  const JsonRules::Inside& all_;
  const Tape& tape_;
  std::size_t steps_;
  std::size_t open_ = 0;
  int quiet_ = 0;
  bool is_out_ = false;
  std::vector<Step> path_;
  JsonRules::Violation violation_;
};

}  // namespace sluice::validator
