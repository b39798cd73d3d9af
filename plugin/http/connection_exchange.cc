#include <boost/asio/post.hpp>
#include <exception>
#include <span>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "plugin/http/connection.h"

namespace webhook::http {

bool Connection::CallOnHead() {
  phase_ = Phase::kInHead;
  answered_.store(false, std::memory_order_relaxed);
  lost_ = false;
  body_ = absl::string_view();
  set_ticket(0);
  const HeadVerdict verdict = shard_->state().handler().OnHead(*this);
  if (state_ == State::kClosed) return false;
  if (answered_.load(std::memory_order_relaxed)) return true;  // AfterAnswer said what is next
  if (verdict.answered()) {
    // The handler broke its word; the peer must not wait for ever.
    phase_ = Phase::kNone;
    return Refuse({500, "no answer was given"});
  }
  phase_ = Phase::kReading;
  return BeginBody(verdict.most_bytes());
}

void Connection::Dispatch(absl::string_view body) {
  body_ = body;
  phase_ = Phase::kHeld;
  state_ = State::kAnswer;
  SetDeadline(limits_.answer_timeout_ms);
  shard_->state().handler().OnRequest(*this);
}

void Connection::Respond(const Response& response) {
  if (shard_->loop().context.get_executor().running_in_this_thread()) return RespondHere(response);
  // Formatted first: if there is no memory for that, the exchange still counts as unanswered and
  // ends with 504.
  handed_over_status_line_ = FormatUndecided(response, for_head_, work_->handed_over);
  answered_.store(true, std::memory_order_relaxed);
  boost::asio::post(shard_->loop().context,
                    SlotHandler<&Connection::OnHandedOver, Connection>{this, &hand_over_slot_});
}

void Connection::GiveUp() noexcept {
  if (shard_->loop().context.get_executor().running_in_this_thread()) {
    if (phase_ != Phase::kInHead && phase_ != Phase::kHeld) return;  // nothing is owed
    Hold hold(*this);
    lost_ = true;
    Close();
    return EndExchange();
  }
  given_up_ = true;
  answered_.store(true, std::memory_order_release);
  boost::asio::post(shard_->loop().context,
                    SlotHandler<&Connection::OnHandedOver, Connection>{this, &hand_over_slot_});
}

void RespondOrGiveUp(Exchange& exchange, const Response& response) noexcept {
  try {
    return exchange.Respond(response);
  } catch (const std::exception&) {
  }
  try {
    const HeaderField retry_after{"Retry-After", "1"};
    return exchange.Respond({.status = 503,
                             .content_type = "text/plain",
                             .headers = std::span(&retry_after, 1),
                             .body = "no memory for the answer\n"});
  } catch (const std::exception&) {
    exchange.GiveUp();
  }
}

// Will the connection end with the answer that is given now?
bool Connection::WillClose() const {
  if (!parsed_.keep_alive || shard_->draining()) return true;
  if (requests_ >= limits_.requests_of_a_connection) return true;
  if (phase_ != Phase::kInHead) return false;
  // Of a refused request the body is thrown away if that is cheap. One that is announced with
  // `Expect: 100-continue` may come or not, so nobody could tell where the next request begins.
  const RequestHead& head = parsed_.head;
  return head.chunked || (parsed_.expects_continue && head.content_length.value_or(0) > 0) ||
         head.content_length.value_or(0) > static_cast<uint64_t>(limits_.pipelined_bytes);
}

void Connection::RespondHere(const Response& response) {
  if (phase_ != Phase::kInHead && phase_ != Phase::kHeld) return;  // nothing is owed
  Hold hold(*this);
  if (lost_ || state_ == State::kClosed) return EndExchange();
  const bool close = WillClose();
  AppendResponse(response, for_head_, close, shard_->date(), work_->out);
  answered_.store(true, std::memory_order_relaxed);
  AfterAnswer(close);
  if (driving_) return;  // Drive goes on when the handler has returned
  // Given later, inside some work of the handler's: write at once, but do not call the handler.
  if (!Flush()) return;
  const bool more = !closing_ && (begin_ < end_ || eof_);
  if (closing_) FinishWriting();
  if (state_ == State::kClosed) return;
  if (more || (WantsRead() && Read())) PostResume();
}

// An answer that another thread has formatted.
void Connection::OnHandedOver() {
  Hold hold(*this);
  if (given_up_) {
    lost_ = true;
    Close();
    return EndExchange();
  }
  std::string& answer = work_->handed_over;
  if (lost_ || state_ == State::kClosed) {
    Workspace::Empty(answer);
    return EndExchange();
  }
  const bool close = WillClose();
  const size_t begin = Decide(handed_over_status_line_, close, shard_->date(), answer);
  if (work_->out.empty()) {
    work_->out.swap(answer);
    out_sent_ = begin;
  } else {
    // Nobody will answer again, so without memory the connection must end here.
    absl::Cleanup give_up = [this] {
      lost_ = true;
      Close();
      EndExchange();
    };
    work_->out.append(answer, begin);
    std::move(give_up).Cancel();
  }
  Workspace::Empty(answer);
  AfterAnswer(close);
  Drive();
}

void Connection::AfterAnswer(bool close) {
  const bool in_head = phase_ == Phase::kInHead;
  EndExchange();
  if (close) {
    closing_ = true;
    state_ = State::kFlush;
  } else if (in_head && parsed_.head.content_length.value_or(0) > 0) {
    state_ = State::kDiscard;
    discard_left_ = *parsed_.head.content_length;
    SetDeadline(limits_.body_timeout_ms);
  } else {
    BeginIdle();
  }
}

// The handler has let go of the exchange: its memory may be used again.
void Connection::EndExchange() {
  phase_ = Phase::kNone;
  body_ = absl::string_view();
  chunked_.reset();
  body_in_place_ = false;
  // What is no longer counted is no longer held: a busy connection is never parked.
  if (work_ != nullptr) work_->ShrinkBody();
  if (reserved_bytes_ > 0) shard_->state().ReleaseBytes(std::exchange(reserved_bytes_, 0));
  if (begin_ == end_) begin_ = end_ = 0;
}

// The exchange ends before the handler got it.
void Connection::Drop() {
  shard_->state().handler().OnDropped(*this);
  EndExchange();
}

void Connection::Abandon() {
  lost_ = true;
  if (!answered_.load(std::memory_order_relaxed)) shard_->state().handler().OnAbandoned(*this);
}

void Connection::AnswerTimedOut() {
  // An answer on its way from another thread is in time.
  if (lost_ || answered_.load(std::memory_order_relaxed)) return;
  Response response;
  response.status = 504;
  response.content_type = "text/plain";
  response.body = "no answer in time; whether the request took effect is not known\n";
  AppendResponse(response, for_head_, true, shard_->date(), work_->out);
  lost_ = true;
  closing_ = true;
  state_ = State::kFlush;
  shard_->state().handler().OnAbandoned(*this);
  Drive();
}

}  // namespace webhook::http
