#pragma once

#include <initializer_list>
#include <string>

#include <sluice/base/result.h>

// What everything that reads certificates and keys from files shares.
namespace sluice::crypto {

/// kFailedPrecondition: what is wrong with the file that a setting names.
Error pem_file_fault(std::string setting, const std::string& path, const std::string& what);

/// The file's text, of 1 MiB at most; the error is a pem_file_fault().
Result<std::string> read_pem_file(const std::string& setting, const std::string& path);

/// A text that changes whenever one of the files does: by writing, by renaming over it, or by
/// turning a link, which is how Kubernetes renews a mounted Secret. A file that is missing counts
/// too.
std::string stamp_of_files(std::initializer_list<const std::string*> paths);

}  // namespace sluice::crypto
