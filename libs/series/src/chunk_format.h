#pragma once

#include "bytes.h"

// The frame of a chunk, which README.md specifies byte by byte.
namespace sluice::series {

constexpr unsigned kMagic = 'S';
constexpr unsigned kVersion = 1;

// A column's flags: its type in the low three bits.
constexpr unsigned kTypeMask = 0x07;
constexpr unsigned kHasPresence = 0x08;
constexpr unsigned kHasStatistics = 0x10;
constexpr unsigned kKnownFlags = kTypeMask | kHasPresence | kHasStatistics;

}  // namespace sluice::series
