// What proxies state, as any bytes: the outcome of a PROXY header does not depend on how it is
// split and takes nothing of what follows; a chain of addresses gives none that is listed unless
// all are, and none from the left of one that is not.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "absl/strings/string_view.h"
#include "plugin/http/proxies.h"

namespace {

using webhook::http::ForwardingHeader;
using webhook::http::ProxyHeader;

void Check(bool holds) {
  if (!holds) std::abort();
}

void ReadHeader(absl::string_view input) {
  size_t size = 0;
  ProxyHeader header = ProxyHeader::Read("");
  while (header.result == ProxyHeader::Result::kMore) {
    Check(header.needed > 0 && size + header.needed <= ProxyHeader::kMostBytes);
    if (size + header.needed > input.size()) break;
    for (size_t part = size; part < size + header.needed; ++part) {
      const ProxyHeader before = ProxyHeader::Read(input.substr(0, part));
      Check(before.result == ProxyHeader::Result::kMore ||
            before.result == ProxyHeader::Result::kMalformed);
    }
    size += header.needed;
    header = ProxyHeader::Read(input.substr(0, size));
  }
}

void ReadChain(absl::string_view input, ForwardingHeader header) {
  static const webhook::http::Proxies proxies[] = {
      {.networks = webhook::http::ParseNetworks("10.0.0.0/8, 2001:db8::/32").value(),
       .header = ForwardingHeader::kXForwardedFor},
      {.networks = webhook::http::ParseNetworks("10.0.0.0/8, 2001:db8::/32").value(),
       .header = ForwardingHeader::kForwarded}};
  const auto& mine = proxies[header == ForwardingHeader::kForwarded ? 1 : 0];
  const absl::string_view values[] = {"203.0.113.1", input};
  const auto whole = mine.SenderOf(values, 64);
  const auto alone = mine.SenderOf({values + 1, 1}, 64);
  // What is to the left counts only where all to the right are listed.
  if (alone.has_value() && !IsIn(*alone, mine.networks)) Check(whole == alone);
  if (!alone.has_value()) Check(!whole.has_value());
  if (whole.has_value() && header == ForwardingHeader::kXForwardedFor) {
    Check(!IsIn(*whole, mine.networks));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view input(reinterpret_cast<const char*>(data), size);
  ReadHeader(input);
  ReadChain(input, ForwardingHeader::kXForwardedFor);
  ReadChain(input, ForwardingHeader::kForwarded);
  return 0;
}
