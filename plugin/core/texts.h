// Texts that senders and playbooks know from the integration that this one replaces.
#ifndef PLUGIN_CORE_TEXTS_H_
#define PLUGIN_CORE_TEXTS_H_

namespace webhook::core {

inline constexpr char kAuthorizationFailed[] = "Authorization failed.";  // 401

// 400. Where a place is known, ": " and the place follow.
inline constexpr char kNotJson[] = "Request, and rawJson field if exists must be in JSON format";

inline constexpr char kDefaultIncidentName[] = "Generic webhook triggered incident";

}  // namespace webhook::core

#endif  // PLUGIN_CORE_TEXTS_H_
