// Objects that are used again, with the room that their strings and lists have by then.
#ifndef HOST_STUB_SERVICE_RECYCLER_H_
#define HOST_STUB_SERVICE_RECYCLER_H_

#include <cstddef>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

namespace host_stub {

// T has `bool Recycle() noexcept`, which makes it as new; false: it is not worth keeping. A T must
// not own its recycler. Any thread. Objects may outlive whoever made the recycler.
template <typename T>
class Recycler : public std::enable_shared_from_this<Recycler<T>> {
 public:
  explicit Recycler(size_t most_kept) : most_kept_(most_kept) { kept_.reserve(most_kept); }

  // One that nobody uses, else what `make` returns. When the last owner lets go it comes back.
  template <typename Make>
  std::shared_ptr<T> Get(const Make& make) {
    std::unique_ptr<T> object = TakeKept();
    if (object == nullptr) object = make();
    // Moved out when it is called: an object that knows itself by a weak_ptr keeps the function.
    return std::shared_ptr<T>(object.release(),
                              [recycler = this->shared_from_this()](T* used) mutable {
                                const auto taker = std::move(recycler);
                                taker->TakeBack(std::unique_ptr<T>(used));
                              });
  }

 private:
  std::unique_ptr<T> TakeKept() {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (kept_.empty()) return nullptr;
    std::unique_ptr<T> object = std::move(kept_.back());
    kept_.pop_back();
    return object;
  }

  void TakeBack(std::unique_ptr<T> object) noexcept {
    if (!object->Recycle()) return;
    const std::lock_guard<std::mutex> lock(mutex_);
    if (kept_.size() < most_kept_) kept_.push_back(std::move(object));  // the room is there
  }

  const size_t most_kept_;
  std::mutex mutex_;  // guards what follows
  std::vector<std::unique_ptr<T>> kept_;
};

}  // namespace host_stub

#endif  // HOST_STUB_SERVICE_RECYCLER_H_
