// Reading what crosses the ABI as arrays and structs. Private to the engine.
#ifndef HOST_STUB_ENGINE_ABI_ARRAYS_H_
#define HOST_STUB_ENGINE_ABI_ARRAYS_H_

#include <cstddef>
#include <string>
#include <vector>

#include "host_stub/engine/request.h"
#include "plugin/abi/long_running_integration.h"

namespace host_stub {

// An element of an array whose elements may be longer than this host's.
template <typename Element>
const Element& At(const Element* data, size_t stride, size_t index) {
  return *reinterpret_cast<const Element*>(reinterpret_cast<const char*>(data) + index * stride);
}

inline bool Usable(const lri_views& views) {
  return views.count == 0 || (views.data != nullptr && views.stride >= sizeof(lri_view));
}

// Copies; nothing where the array is not usable.
inline std::vector<std::string> ToStrings(const lri_views& views) {
  std::vector<std::string> texts;
  if (!Usable(views)) return texts;
  for (size_t i = 0; i < views.count; ++i) {
    texts.emplace_back(ToStringView(At(views.data, views.stride, i)));
  }
  return texts;
}

// Fills in every member; views are the head's.
inline void ToAbi(const RequestHead& head, lri_request_head* abi) {
  abi->struct_size = sizeof(*abi);
  abi->reserved = 0;
  abi->method = ToView(head.method);
  abi->path = ToView(head.path);
  abi->remainder = ToView(head.remainder);
  abi->query = ToView(head.query);
  abi->headers = PairList(head.headers).abi();
  abi->peer_address = ToView(head.peer_address);
  abi->request_id = ToView(head.request_id);
  abi->content_length = head.content_length;
  abi->deadline_mono_ns = head.deadline_mono_ns;
}

}  // namespace host_stub

#endif  // HOST_STUB_ENGINE_ABI_ARRAYS_H_
