// Reads the binary form of edgepose's poses, version 1. One header, C++11, for an ESP32, an Arduino or a PC:
// no heap, no exceptions, no copy of the message; nothing outside the message is ever read.
//
//   void on_message(const uint8_t* payload, size_t length) {
//     edgepose::Message message;
//     if (!message.read(payload, length)) return;        // not a message of version 1, or cut off
//     for (int i = 0; i < message.people; ++i) {
//       edgepose::Joint nose = message.joint(i, 0);
//       if (nose.found) look_at(nose.x, nose.y);
//     }
//   }
//
// The message stays valid as long as the payload does.
#ifndef EDGEPOSE_READER_H
#define EDGEPOSE_READER_H

#include <math.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

namespace edgepose {

struct Joint {
  float x, y;   // pixels of the source picture, x right, y down; NaN if not found
  float score;  // 0..1
  bool found;
};

struct Point {
  float x, y, z;  // metres from the root, or in the model's own unit: see Message.metres; NaN if not found
  bool found;
};

struct Sigma {
  float across, along;  // metres, one standard deviation, across and along the view
};

// Some bytes of the message; not closed by a zero.
struct Text {
  const char* data;
  int length;
};

// Identities, read one at a time.
class Ids {
 public:
  Ids() : data_(nullptr), count(0) {}
  Ids(const uint8_t* data, int bytes) : data_(data), count(bytes / 4) {}
  inline uint32_t operator[](int i) const;

 private:
  const uint8_t* data_;

 public:
  int count;
};

class Message {
 public:
  int people = 0;
  int joints = 0;               // of each person
  uint32_t seq = 0;             // frame number, modulo 2^32; gaps are dropped frames
  uint64_t captured_us = 0;     // microseconds since 1970, UTC; 0: not told
  bool has_age = false;
  uint32_t age_us = 0;          // how old the frame was when it was sent
  bool has_media = false;
  int64_t media_us = 0;         // position in a file
  uint16_t width = 0, height = 0;  // of the source picture, pixels
  float predicted_ms = 0;       // how far after captured the joints are meant for
  bool solid = false;           // there are points
  bool metres = false;          // they are metres from root(i)
  bool triangulated = false;    // everybody by several cameras; else somebody is lifted from one: see measured(i)
  bool held = false;            // the message before once more: everybody keeps still
  bool world = false;           // along the calibration's axes, z up; else the camera's: x right, y down, z away
  Text skeleton, ran_on, source;
  Ids entered, left;

  // False: not a message of version 1, or cut off; there are no people then.
  inline bool read(const uint8_t* data, size_t length);

  // 0: none. i must be in 0 .. people - 1, joint in 0 .. joints - 1; others give 0 and joints not found.
  inline uint32_t id(int i) const;
  inline float score(int i) const;
  inline Joint joint(int i, int joint) const;
  inline Point point(int i, int joint) const;
  // Where metres: the mid hip, how sure (one sigma, metres; across and along the view), and whether no picture shows it.
  inline Point root(int i) const;
  inline float root_sigma(int i) const;
  inline Sigma sigma(int i, int joint) const;
  inline bool guessed(int i, int joint) const;
  // Triangulated by several cameras; false: lifted from one, by what people look like.
  inline bool measured(int i) const;

 private:
  static const size_t kHeader = 32;
  const uint8_t* first_ = nullptr;  // the first person
  size_t size_ = 0;                 // bytes of each
  bool told_ = false;               // whose metres they are
  Text measured_ = {"", 0};         // a bit for each person where not all are triangulated

  inline bool fields(const uint8_t* at, const uint8_t* end);
  const uint8_t* person(int i) const { return first_ + size_t(i) * size_; }
  const uint8_t* space(int i) const { return person(i) + 6 + 5 * joints + 4 + 6 * joints; }
  bool there(int i) const { return i >= 0 && i < people; }
  bool there(int i, int joint) const { return there(i) && joint >= 0 && joint < joints; }
};

namespace detail {
inline uint16_t u16(const uint8_t* at) { return uint16_t(at[0] | uint16_t(at[1]) << 8); }
inline uint32_t u32(const uint8_t* at) { return u16(at) | uint32_t(u16(at + 2)) << 16; }
inline uint64_t u64(const uint8_t* at) { return u32(at) | uint64_t(u32(at + 4)) << 32; }
inline float place(uint16_t raw, uint16_t side) { return (raw * (2.0f / 65534) - 0.5f) * side; }
}  // namespace detail

inline uint32_t Ids::operator[](int i) const { return i >= 0 && i < count ? detail::u32(data_ + 4 * i) : 0; }

inline bool Message::read(const uint8_t* data, size_t length) {
  *this = Message();
  skeleton = ran_on = source = Text{"", 0};
  if (length < kHeader || data[0] != 'E' || data[1] != 'P' || data[2] != 1) return false;
  const bool has_points = data[3] & 1;
  const size_t start = detail::u16(data + 4), size = detail::u16(data + 6), count = data[8], each = data[9];
  const bool has_metres = has_points && (data[3] & 2);
  const size_t least = 6 + 5 * each + (has_points ? 4 + 6 * each : 0) + (has_metres ? 16 + 4 * each + (each + 7) / 8 : 0);
  if (start < kHeader || size < least || start > length) return false;
  if (count && size > (length - start) / count) return false;  // a product could overflow where size_t is small
  if (!fields(data + kHeader, data + start)) return false;
  seq = detail::u32(data + 10);
  captured_us = detail::u64(data + 14);
  has_age = detail::u32(data + 22) != 0xFFFFFFFFu;
  age_us = has_age ? detail::u32(data + 22) : 0;
  width = detail::u16(data + 26);
  height = detail::u16(data + 28);
  predicted_ms = detail::u16(data + 30) / 10.0f;
  held = data[3] & 4;
  solid = has_points;
  metres = has_metres && told_;
  first_ = data + start;
  size_ = size;
  people = int(count);
  joints = int(each);
  return true;
}

inline bool Message::fields(const uint8_t* at, const uint8_t* end) {
  while (end - at >= 2) {
    const int tag = at[0], length = at[1];
    at += 2;
    if (end - at < length) return false;
    const Text text = {reinterpret_cast<const char*>(at), length};
    switch (tag) {
      case 1: skeleton = text; break;
      case 2: entered = Ids(at, length); break;
      case 3: left = Ids(at, length); break;
      case 4: ran_on = text; break;
      case 5: source = text; break;
      case 6:
        has_media = length == 8;
        if (has_media) media_us = int64_t(detail::u64(at));
        break;
      case 7:
        told_ = length >= 2 && (at[0] == 1 || at[0] == 2) && (at[1] == 1 || at[1] == 2);
        triangulated = told_ && at[0] == 2;
        world = told_ && at[1] == 2;
        break;
      case 8: measured_ = text; break;
      default: break;  // of a newer edgepose
    }
    at += length;
  }
  return true;
}

inline uint32_t Message::id(int i) const { return there(i) ? detail::u32(person(i)) : 0; }

inline float Message::score(int i) const { return there(i) ? detail::u16(person(i) + 4) / 65535.0f : 0; }

inline Joint Message::joint(int i, int joint) const {
  if (!there(i, joint)) return Joint{NAN, NAN, 0, false};
  const uint8_t* at = person(i) + 6 + 5 * joint;
  const uint16_t x = detail::u16(at), y = detail::u16(at + 2);
  const float score = at[4] / 255.0f;
  if (x == 65535 || y == 65535) return Joint{NAN, NAN, score, false};
  return Joint{detail::place(x, width), detail::place(y, height), score, true};
}

inline Point Message::point(int i, int joint) const {
  if (!solid || !there(i, joint)) return Point{NAN, NAN, NAN, false};
  const uint8_t* first = person(i) + 6 + 5 * joints;
  const uint32_t bits = detail::u32(first);
  float step;
  memcpy(&step, &bits, sizeof step);
  const uint8_t* at = first + 4 + 6 * joint;
  const int16_t x = int16_t(detail::u16(at)), y = int16_t(detail::u16(at + 2)), z = int16_t(detail::u16(at + 4));
  const Point point = {x * step, y * step, z * step, true};
  const bool finite = isfinite(point.x) && isfinite(point.y) && isfinite(point.z);
  if (!finite || x == -32768 || y == -32768 || z == -32768) return Point{NAN, NAN, NAN, false};
  return point;
}

inline Point Message::root(int i) const {
  if (!metres || !there(i)) return Point{NAN, NAN, NAN, false};
  int32_t mm[3];
  for (int axis = 0; axis < 3; ++axis) {
    mm[axis] = int32_t(detail::u32(space(i) + 4 * axis));
    if (mm[axis] == INT32_MIN) return Point{NAN, NAN, NAN, false};
  }
  return Point{float(mm[0]) / 1000, float(mm[1]) / 1000, float(mm[2]) / 1000, true};
}

inline float Message::root_sigma(int i) const {
  return root(i).found ? float(detail::u32(space(i) + 12)) / 1000 : NAN;
}

inline Sigma Message::sigma(int i, int joint) const {
  if (!metres || !there(i, joint)) return Sigma{NAN, NAN};
  const uint8_t* at = space(i) + 16 + 4 * joint;
  const uint16_t across = detail::u16(at), along = detail::u16(at + 2);
  if (across == 65535 || along == 65535) return Sigma{NAN, NAN};
  return Sigma{across / 1000.0f, along / 1000.0f};
}

inline bool Message::guessed(int i, int joint) const {
  return metres && there(i, joint) && (space(i)[16 + 4 * joints + joint / 8] >> (joint % 8) & 1);
}

inline bool Message::measured(int i) const {
  if (!metres || !there(i)) return false;
  return triangulated || (i / 8 < measured_.length && (uint8_t(measured_.data[i / 8]) >> (i % 8) & 1));
}

}  // namespace edgepose

#endif  // EDGEPOSE_READER_H
