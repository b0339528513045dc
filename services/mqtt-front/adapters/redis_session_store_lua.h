#pragma once

#include <initializer_list>
#include <string_view>

#include <sluice/redis/client.h>

/// What scripts of several matters have in common: parts of Lua to put in front of what each does.
/// Of a session, KEYS are its record, queue and will, and what was left of it when it ended.
namespace sluice::front::lua {

/// load() and pack() of the record in KEYS[1], now_ms(), keep() and text().
extern const std::string_view kSession;
/// Ends the script unless the session is there under the epoch in ARGV[1]; it is in `s` then.
extern const std::string_view kFence;
/// append() to the queue in KEYS[2], drop_empty_queue(). After what puts the session into `s`.
extern const std::string_view kQueue;
/// load_will() and pack_will() of the will in KEYS[3].
extern const std::string_view kWill;
/// give_up(): the session ends; what others may get of its queue goes to KEYS[4].
extern const std::string_view kGiveUp;

redis::Script script(std::initializer_list<std::string_view> parts);

}  // namespace sluice::front::lua
