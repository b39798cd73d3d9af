// The layout of the border is pinned: what is compiled against the header today must run with the
// hosts and plugins of tomorrow.
#include <gtest/gtest.h>

#include <cstddef>
#include <type_traits>

#include "plugin/abi/long_running_integration.h"

#define SIZE(type, bytes) static_assert(sizeof(type) == (bytes));
#define MEMBER(type, member, offset) static_assert(offsetof(type, member) == (offset));
#include "tests/abi/layout.inc"
#undef SIZE
#undef MEMBER

extern "C" int CHasBody(const lri_answer* answer);

namespace {

// What a function takes and returns is a part of the border as much as where it stands.
template <typename Member, typename Function>
constexpr bool kIs = std::is_same_v<Member, Function*>;

static_assert(kIs<lri_plugin_entry_function, const lri_plugin_table*(uint32_t)>);
static_assert(kIs<lri_answer_sink, void(void*, const lri_answer*)>);
static_assert(kIs<lri_create_done, void(void*, const lri_create_result*)>);
static_assert(kIs<lri_context_done, void(void*, int32_t, lri_view)>);
static_assert(kIs<lri_command_done, void(void*, int32_t, lri_view)>);
static_assert(kIs<lri_plugin_info_sink, void(void*, const lri_plugin_info*)>);
static_assert(kIs<lri_description_sink, void(void*, const lri_description*)>);

static_assert(kIs<decltype(lri_host::create_incidents),
                  int32_t(void*, lri_host_instance*, const lri_incident_batch*)>);
static_assert(kIs<decltype(lri_host::complete), void(void*, lri_call*, const lri_answer*)>);
static_assert(kIs<decltype(lri_host::context_get),
                  int32_t(void*, lri_host_instance*, lri_view, lri_context_done, void*)>);
static_assert(kIs<decltype(lri_host::context_set),
                  int32_t(void*, lri_host_instance*, lri_view, lri_view, lri_context_done, void*)>);
static_assert(
    kIs<decltype(lri_host::set_health), void(void*, lri_host_instance*, int32_t, lri_view)>);
static_assert(kIs<decltype(lri_host::log), void(void*, lri_host_instance*, int32_t, lri_view)>);
static_assert(kIs<decltype(lri_host::now), int64_t(void*)>);
static_assert(kIs<decltype(lri_host::on_answered), void(void*, const lri_answered*)>);

static_assert(kIs<decltype(lri_plugin_table::info), void(lri_plugin_info_sink, void*)>);
static_assert(kIs<decltype(lri_plugin_table::plugin_create),
                  int32_t(const lri_host*, const lri_plugin_options*, lri_plugin**, lri_error*)>);
static_assert(kIs<decltype(lri_plugin_table::plugin_destroy), void(lri_plugin*)>);
static_assert(kIs<decltype(lri_plugin_table::create),
                  int32_t(lri_plugin*, const lri_instance_options*, lri_instance**, lri_error*)>);
static_assert(kIs<decltype(lri_plugin_table::start), int32_t(lri_instance*, lri_error*)>);
static_assert(kIs<decltype(lri_plugin_table::stop), int32_t(lri_instance*, int64_t, lri_error*)>);
static_assert(kIs<decltype(lri_plugin_table::destroy), void(lri_instance*)>);
static_assert(kIs<decltype(lri_plugin_table::check_head),
                  int32_t(lri_instance*, const lri_request_head*, lri_answer_sink, void*,
                          lri_head_verdict*)>);
static_assert(kIs<decltype(lri_plugin_table::execute), int32_t(lri_instance*, const lri_request*)>);
static_assert(kIs<decltype(lri_plugin_table::cancel), void(lri_instance*, lri_call*)>);
static_assert(kIs<decltype(lri_plugin_table::update_prepare),
                  int32_t(lri_instance*, const lri_instance_options*, lri_update**, lri_error*)>);
static_assert(kIs<decltype(lri_plugin_table::update_commit), void(lri_update*)>);
static_assert(kIs<decltype(lri_plugin_table::update_abort), void(lri_update*)>);
static_assert(
    kIs<decltype(lri_plugin_table::describe), int32_t(lri_instance*, lri_description_sink, void*)>);
static_assert(kIs<decltype(lri_plugin_table::command),
                  int32_t(lri_instance*, lri_view, lri_view, lri_command_done, void*)>);

static_assert(LRI_ABI_MINOR == 3);
static_assert(LRI_BODY_PADDING == 64);
static_assert(LRI_LENGTH_UNKNOWN == UINT64_MAX);
static_assert(LRI_CREATED == 1 && LRI_NOT_CREATED == 2 && LRI_NOT_KNOWN == 3);
static_assert(LRI_HEALTHY == 1 && LRI_DEGRADED == 2 && LRI_UNHEALTHY == 3);
static_assert(LRI_DEBUG == 0 && LRI_INFO == 1 && LRI_WARNING == 2 && LRI_ERROR == 3);
static_assert(LRI_OK == 0 && LRI_CANCELLED == 1 && LRI_UNKNOWN == 2 && LRI_INVALID_ARGUMENT == 3 &&
              LRI_DEADLINE_EXCEEDED == 4 && LRI_NOT_FOUND == 5 && LRI_ALREADY_EXISTS == 6 &&
              LRI_PERMISSION_DENIED == 7 && LRI_RESOURCE_EXHAUSTED == 8 &&
              LRI_FAILED_PRECONDITION == 9 && LRI_ABORTED == 10 && LRI_UNIMPLEMENTED == 12 &&
              LRI_INTERNAL == 13 && LRI_UNAVAILABLE == 14);

TEST(LayoutTest, EntrySymbolIsWhatPluginsExport) {
  EXPECT_STREQ(LRI_PLUGIN_ENTRY_SYMBOL, "lri_plugin_entry_v1");
}

TEST(LayoutTest, MemberThatAnOlderMakerDidNotKnowIsMissing) {
  lri_answer answer = {};
  answer.struct_size = offsetof(lri_answer, body);
  EXPECT_FALSE(LRI_HAS(&answer, body));
  EXPECT_TRUE(LRI_HAS(&answer, headers));
  EXPECT_FALSE(CHasBody(&answer));
}

TEST(LayoutTest, MemberThatIsThereInPartIsMissing) {
  lri_answer answer = {};
  answer.struct_size = offsetof(lri_answer, body) + sizeof(answer.body) - 1;
  EXPECT_FALSE(LRI_HAS(&answer, body));
  EXPECT_FALSE(CHasBody(&answer));
}

TEST(LayoutTest, MembersOfANewerMakersStructAreThere) {
  lri_answer answer = {};
  for (size_t size : {sizeof(answer), sizeof(answer) + 8}) {
    answer.struct_size = static_cast<uint32_t>(size);
    EXPECT_TRUE(LRI_HAS(&answer, body));
    EXPECT_TRUE(CHasBody(&answer));
  }
}

}  // namespace
