#include "plugin/http/proxies.h"

#include <cstdint>
#include <string>

#include "absl/container/inlined_vector.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "plugin/base/characters.h"

namespace webhook::http {
namespace {

// The addresses of one field value, as they are written there; empty where an element has none.
using Nodes = absl::InlinedVector<absl::string_view, 8>;

bool IsPort(absl::string_view text) {
  int port = 0;
  return !text.empty() && text.size() <= 5 &&
         text.find_first_not_of("0123456789") == absl::string_view::npos &&
         (text.size() == 1 || text[0] != '0') && absl::SimpleAtoi(text, &port) && port <= 65535;
}

std::optional<Address> ReadAddress(absl::string_view text, bool ipv6) {
  constexpr size_t kLongest = 45;
  if (text.size() > kLongest || absl::StrContains(text, '%') ||
      absl::StrContains(text, ':') != ipv6) {
    return std::nullopt;
  }
  auto address = Address::Parse(text);
  if (!address.ok()) return std::nullopt;
  return *address;
}

// An address, perhaps with a port; with one, an IPv6 address stands in brackets.
std::optional<Address> ReadNode(absl::string_view node) {
  node = base::WithoutBlanks(node);
  if (absl::ConsumePrefix(&node, "[")) {
    const size_t end = node.find(']');
    if (end == absl::string_view::npos) return std::nullopt;
    absl::string_view rest = node.substr(end + 1);
    if (!rest.empty() && !(absl::ConsumePrefix(&rest, ":") && IsPort(rest))) return std::nullopt;
    return ReadAddress(node.substr(0, end), /*ipv6=*/true);
  }
  const size_t colon = node.find(':');
  if (colon != absl::string_view::npos && node.find(':', colon + 1) != absl::string_view::npos) {
    return ReadAddress(node, /*ipv6=*/true);
  }
  if (colon != absl::string_view::npos && !IsPort(node.substr(colon + 1))) return std::nullopt;
  return ReadAddress(node.substr(0, colon), /*ipv6=*/false);
}

bool SplitXForwardedFor(absl::string_view value, size_t most, Nodes& nodes) {
  for (const absl::string_view node : absl::StrSplit(value, ',')) {
    if (nodes.size() == most) return false;
    nodes.push_back(node);
  }
  return true;
}

// Takes what is a token at the beginning of the text.
absl::string_view TakeToken(absl::string_view& text) {
  size_t size = 0;
  while (size < text.size() && base::IsToken(text.substr(size, 1))) ++size;
  const absl::string_view token = text.substr(0, size);
  text.remove_prefix(size);
  return token;
}

// Takes what stands between quotes, with its escapes; no address has any. False: it does not end.
bool TakeQuoted(absl::string_view& text, absl::string_view& quoted) {
  for (size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '"') {
      quoted = text.substr(1, i - 1);
      text.remove_prefix(i + 1);
      return true;
    }
  }
  return false;
}

void SkipBlanks(absl::string_view& text) {
  while (!text.empty() && (text[0] == ' ' || text[0] == '\t')) text.remove_prefix(1);
}

// RFC 7239 section 4, strictly: a quote that a sender left open must not hide what the proxy wrote
// behind it.
bool SplitForwarded(absl::string_view value, size_t most, Nodes& nodes) {
  absl::string_view node;
  bool has_node = false;
  for (;;) {
    SkipBlanks(value);
    const absl::string_view name = TakeToken(value);
    if (!name.empty()) {
      if (!absl::ConsumePrefix(&value, "=")) return false;
      absl::string_view text;
      if (absl::StartsWith(value, "\"")) {
        if (!TakeQuoted(value, text)) return false;
      } else {
        text = TakeToken(value);
        if (text.empty()) return false;
      }
      if (absl::EqualsIgnoreCase(name, "for")) {
        if (has_node) return false;
        node = text;
        has_node = true;
      }
      SkipBlanks(value);
    }
    if (absl::ConsumePrefix(&value, ";")) continue;
    if (nodes.size() == most) return false;
    nodes.push_back(node);
    if (value.empty()) return true;
    if (!absl::ConsumePrefix(&value, ",")) return false;
    node = {};
    has_node = false;
  }
}

// ---- The PROXY protocol.

using Result = ProxyHeader::Result;

constexpr absl::string_view kSignature("\r\n\r\n\0\r\nQUIT\n", 12);  // of version 2
constexpr size_t kFixedBytes = 16;                                   // of version 2
constexpr size_t kMostBytesOfVersion1 = 107;
constexpr absl::string_view kShortest = "PROXY UNKNOWN\r\n";

ProxyHeader More(size_t needed) { return {.result = Result::kMore, .needed = needed}; }

uint8_t OctetAt(absl::string_view text, size_t at) { return static_cast<uint8_t>(text[at]); }

ProxyHeader ReadVersion1(absl::string_view octets) {
  if (!absl::EndsWith(octets, "\r\n")) {
    if (octets.size() >= kMostBytesOfVersion1 || absl::StrContains(octets, '\n')) return {};
    // After CR only LF may come.
    return More(absl::EndsWith(octets, "\r") || octets.size() + 1 == kMostBytesOfVersion1 ? 1 : 2);
  }
  octets.remove_suffix(2);
  if (octets.find_first_of("\r\n") != absl::string_view::npos) return {};
  if (octets == "PROXY UNKNOWN" || absl::StartsWith(octets, "PROXY UNKNOWN ")) {
    return {.result = Result::kUnknown};
  }
  // PROXY, TCP4 or TCP6, source, destination, and their ports.
  const std::vector<absl::string_view> words = absl::StrSplit(octets, ' ');
  if (words.size() != 6 || (words[1] != "TCP4" && words[1] != "TCP6")) return {};
  const bool ipv6 = words[1] == "TCP6";
  const auto source = ReadAddress(words[2], ipv6);
  if (!source.has_value() || !ReadAddress(words[3], ipv6).has_value() || !IsPort(words[4]) ||
      !IsPort(words[5])) {
    return {};
  }
  return {.result = Result::kAddress, .address = *source};
}

ProxyHeader ReadVersion2(absl::string_view octets) {
  if (octets.size() < kFixedBytes) return More(kFixedBytes - octets.size());
  const uint8_t version_and_command = OctetAt(octets, 12);
  const uint8_t family_and_protocol = OctetAt(octets, 13);
  const size_t size = kFixedBytes + (OctetAt(octets, 14) << 8 | OctetAt(octets, 15));
  if ((version_and_command != 0x20 && version_and_command != 0x21) ||
      size > ProxyHeader::kMostBytes) {
    return {};
  }
  if (octets.size() < size) return More(size - octets.size());
  if (version_and_command == 0x20) return {.result = Result::kLocal};
  octets.remove_prefix(kFixedBytes);
  switch (family_and_protocol) {
    case 0x00:  // not specified
      return {.result = Result::kUnknown};
    case 0x11:  // TCP over IPv4: two addresses, two ports
      if (octets.size() < 12) return {};
      return {.result = Result::kAddress, .address = Address::OfOctets(octets.substr(0, 4))};
    case 0x21:  // TCP over IPv6
      if (octets.size() < 36) return {};
      return {.result = Result::kAddress, .address = Address::OfOctets(octets.substr(0, 16))};
    case 0x31:  // a unix socket, at the proxy
      return {.result = octets.size() < 216 ? Result::kMalformed : Result::kUnknown};
    default:
      return {};
  }
}

}  // namespace

absl::StatusOr<ForwardingHeader> ParseForwardingHeader(absl::string_view text) {
  if (text.empty() || absl::EqualsIgnoreCase(text, "X-Forwarded-For")) {
    return ForwardingHeader::kXForwardedFor;
  }
  if (absl::EqualsIgnoreCase(text, "Forwarded")) return ForwardingHeader::kForwarded;
  if (absl::EqualsIgnoreCase(text, "none")) return ForwardingHeader::kNone;
  return absl::InvalidArgumentError("must be X-Forwarded-For, Forwarded or none");
}

absl::string_view Proxies::header_name() const {
  switch (header) {
    case ForwardingHeader::kXForwardedFor:
      return "x-forwarded-for";
    case ForwardingHeader::kForwarded:
      return "forwarded";
    default:
      return "";
  }
}

std::optional<Address> Proxies::SenderOf(std::span<const absl::string_view> values,
                                         size_t most) const {
  std::optional<Address> sender;
  for (size_t i = values.size(); i-- > 0;) {
    Nodes nodes;
    const bool is_whole = header == ForwardingHeader::kForwarded
                              ? SplitForwarded(values[i], most, nodes)
                              : SplitXForwardedFor(values[i], most, nodes);
    if (!is_whole) return std::nullopt;
    most -= nodes.size();
    for (size_t j = nodes.size(); j-- > 0;) {
      sender = ReadNode(nodes[j]);
      if (!sender.has_value() || !IsIn(*sender, networks)) return sender;
    }
  }
  return sender;
}

ProxyHeader ProxyHeader::Read(absl::string_view octets) {
  // So many have both versions; of version 1 no more are known to be there.
  if (octets.size() < kShortest.size()) {
    const bool possible = absl::StartsWith("PROXY ", octets.substr(0, 6)) ||
                          absl::StartsWith(kSignature, octets.substr(0, kSignature.size()));
    return possible ? More(kShortest.size() - octets.size()) : ProxyHeader{};
  }
  if (absl::StartsWith(octets, kSignature)) return ReadVersion2(octets);
  return absl::StartsWith(octets, "PROXY ") ? ReadVersion1(octets) : ProxyHeader{};
}

}  // namespace webhook::http
