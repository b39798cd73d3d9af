// Whether what crosses the border can be read at all: structs of sufficient size, arrays that are
// there. A host that is wrong about this gets INVALID_ARGUMENT.
#ifndef PLUGIN_RUNTIME_READABLE_H_
#define PLUGIN_RUNTIME_READABLE_H_

#include <cstddef>

#include "plugin/abi/long_running_integration.h"

namespace webhook::runtime {

// More than this is no array but a mistake in a count.
inline constexpr size_t kMostElements = 1'000'000;

inline bool Readable(const lri_pairs& pairs) {
  return pairs.count == 0 || (pairs.data != nullptr && pairs.stride >= sizeof(lri_pair) &&
                              pairs.count <= kMostElements);
}

inline bool Readable(const lri_request_head* head) {
  return head != nullptr && LRI_HAS(head, deadline_mono_ns) && Readable(head->headers);
}

inline bool Readable(const lri_request* request) {
  return request != nullptr && LRI_HAS(request, head_ticket) && Readable(request->head) &&
         (request->body.data != nullptr || request->body.size == 0);
}

inline bool Readable(const lri_plugin_options* options) {
  return options == nullptr || !LRI_HAS(options, limits) || Readable(options->limits);
}

inline bool Readable(const lri_instance_options* options) {
  return options != nullptr && LRI_HAS(options, parameters) && Readable(options->parameters);
}

// A result that says LRI_CREATED has its incidents.
inline bool Readable(const lri_create_result* result) {
  return result != nullptr && LRI_HAS(result, stride) &&
         (result->count == 0 || result->outcome != LRI_CREATED ||
          (result->incidents != nullptr && result->stride >= sizeof(lri_created_incident)));
}

}  // namespace webhook::runtime

#endif  // PLUGIN_RUNTIME_READABLE_H_
