// A host that is driven step by step, for the fuzz target: it checks what a plugin promises.
#ifndef PLUGIN_TESTING_ENTRY_FUZZ_HOST_H_
#define PLUGIN_TESTING_ENTRY_FUZZ_HOST_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "plugin/abi/long_running_integration.h"

namespace webhook {

// How the host's functions answer.
enum class Reply { kNow, kHeld, kOtherThread, kRefuse, kNested, kCount };

// A request in memory of its own, which is given back as soon as it is answered: a sanitizer sees
// a plugin that looks at it later.
struct FuzzRequest {
  std::string method, remainder, query, peer;
  std::vector<std::pair<std::string, std::string>> headers;
  std::string body;
};

class FuzzHost {
 public:
  FuzzHost();
  ~FuzzHost();
  const lri_host* table() const { return &table_; }

  Reply creation = Reply::kNow;
  int32_t outcome = LRI_CREATED;
  int32_t outcome_code = LRI_OK;
  // Called for Reply::kNested while a batch is handed over.
  std::function<void()> nested;

  void SetContext(Reply reply, int32_t code, std::string value);

  // Runs one execute. `may_create`: its credentials are right.
  int32_t Execute(const lri_plugin_table& plugin, lri_instance* instance,
                  const FuzzRequest& request, uint64_t ticket, bool may_create);

  // The handle of a call that is in flight, or was.
  lri_call* AnyCall(size_t number) const;

  // Finishes one of what is held; false: there is nothing.
  bool FinishBatch(size_t number);
  bool FinishContext(size_t number);
  size_t calls_in_flight();

 private:
  struct Call;
  struct Batch {
    const lri_incident_batch* batch;
    std::string contents;
  };
  struct Context {
    lri_context_done done;
    void* done_context;
    int32_t code;
    std::string value;
  };

  int32_t Create(const lri_incident_batch& batch);
  void Finish(const Batch& held, int32_t outcome, int32_t code);
  void Complete(lri_call* call, const lri_answer& answer);
  int32_t KeepContext(lri_context_done done, void* done_context, bool reads);

  lri_host table_{};
  std::mutex mutex_;  // guards all below
  std::map<uintptr_t, std::unique_ptr<Call>> calls_;
  uintptr_t last_call_ = 0;
  bool may_create_ = false;
  int depth_ = 0;
  std::vector<Batch> batches_;
  std::vector<Context> contexts_;
  Reply context_ = Reply::kNow;
  int32_t context_code_ = LRI_NOT_FOUND;
  std::string context_value_;
};

// An error whose text must be written exactly where the result is not OK.
class FuzzError {
 public:
  explicit FuzzError(size_t kind) : kind_(kind) {
    error_.struct_size = kind == 1 ? sizeof(uint32_t) : sizeof error_;
    error_.message[0] = '\x7f';
  }
  lri_error* get() { return kind_ == 2 ? nullptr : &error_; }
  // The code, after a look at what was written.
  int32_t Checked(int32_t code) const;

 private:
  const size_t kind_;
  lri_error error_{};
};

// Of a view that must be readable.
std::string Copied(lri_view view);

}  // namespace webhook

#endif  // PLUGIN_TESTING_ENTRY_FUZZ_HOST_H_
