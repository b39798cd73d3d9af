// Undoes the Content-Encoding of a body (RFC 9110 section 8.4).
#ifndef PLUGIN_CORE_DECODE_H_
#define PLUGIN_CORE_DECODE_H_

#include <memory>
#include <span>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "plugin/core/header_view.h"
#include "plugin/limits/limits.h"

namespace webhook::core {

// A decoded body. 64 readable bytes follow `text()`.
struct DecodedBody {
  absl::string_view text() const { return {bytes.get(), size}; }

  std::unique_ptr<char[]> bytes;
  size_t size = 0;
};

// Whether the headers name a Content-Encoding other than identity, so that DecodeBody is needed.
bool IsEncoded(std::span<const HeaderView> headers);

// Undoes gzip, x-gzip and deflate (RFC 1950, or the raw RFC 1951 that some senders mean by it).
//   INVALID_ARGUMENT   cut short, corrupt, or followed by other bytes; HTTP 400
//   RESOURCE_EXHAUSTED longer than expanded_body_bytes or expansion_ratio allow; HTTP 413. The
//                      ratio counts from 64 KiB on
//   UNIMPLEMENTED      another coding, or several; HTTP 415
// Thread-safe.
absl::StatusOr<DecodedBody> DecodeBody(absl::string_view body, std::span<const HeaderView> headers,
                                       const Limits& limits);

}  // namespace webhook::core

#endif  // PLUGIN_CORE_DECODE_H_
