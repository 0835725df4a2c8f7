// Messages from standard input, each behind its length (4 bytes, little-endian); each as one line of JSON, null for one
// that is refused. Build: g++ -std=c++11 -o edgepose_print main.cpp
#include <stdio.h>
#include <stdlib.h>

#include "edgepose_reader.h"

static void print(float value) {
  if (isfinite(value)) printf("%.9g", value);
  else printf("null");
}

static void print_ids(const char* name, const edgepose::Ids& ids) {
  printf(",\"%s\":[", name);
  for (int i = 0; i < ids.count; ++i) printf("%s%lu", i ? "," : "", static_cast<unsigned long>(ids[i]));
  printf("]");
}

static void print_text(const char* name, edgepose::Text text) {
  printf(",\"%s\":\"", name);  // in hexadecimal: any byte may be in it
  for (int i = 0; i < text.length; ++i) printf("%02x", static_cast<unsigned char>(text.data[i]));
  printf("\"");
}

static void print(const edgepose::Message& message) {
  printf("{\"seq\":%lu,\"captured_us\":%llu,\"size_wh\":[%d,%d],\"predicted_ms\":",
         static_cast<unsigned long>(message.seq), static_cast<unsigned long long>(message.captured_us), message.width,
         message.height);
  print(message.predicted_ms);
  if (message.held) printf(",\"held\":true");
  if (message.has_age) printf(",\"age_us\":%lu", static_cast<unsigned long>(message.age_us));
  if (message.has_media) printf(",\"media_us\":%lld", static_cast<long long>(message.media_us));
  print_text("skeleton", message.skeleton);
  print_text("ran_on", message.ran_on);
  print_text("source", message.source);
  print_ids("entered", message.entered);
  print_ids("left", message.left);
  printf(",\"people\":[");
  for (int i = 0; i < message.people; ++i) {
    printf("%s{\"id\":%lu,\"score\":", i ? "," : "", static_cast<unsigned long>(message.id(i)));
    print(message.score(i));
    printf(",\"keypoints\":[");
    for (int j = 0; j < message.joints; ++j) {
      const edgepose::Joint joint = message.joint(i, j);
      printf("%s[", j ? "," : "");
      print(joint.x), printf(","), print(joint.y), printf(","), print(joint.score), printf("]");
    }
    printf("],\"measured\":%s,\"xyz\":[", message.measured(i) ? "true" : "false");
    for (int j = 0; message.solid && j < message.joints; ++j) {
      const edgepose::Point point = message.point(i, j);
      printf("%s[", j ? "," : "");
      print(point.x), printf(","), print(point.y), printf(","), print(point.z), printf("]");
    }
    printf("],\"space\":[");
    for (int j = 0; message.metres && j < message.joints; ++j) {
      const edgepose::Sigma sigma = message.sigma(i, j);
      const edgepose::Point root = message.root(i);
      printf("%s[", j ? "," : "");
      print(root.x), printf(","), print(root.y), printf(","), print(root.z), printf(",");
      print(sigma.across), printf(","), print(sigma.along), printf(",%d]", message.guessed(i, j));
    }
    printf("]}");
  }
  printf("]}\n");
}

int main() {
  uint8_t head[4];
  while (fread(head, 1, 4, stdin) == 4) {
    const size_t length = edgepose::detail::u32(head);
    uint8_t* payload = static_cast<uint8_t*>(malloc(length ? length : 1));  // its own size: reading past it is seen
    if (!payload || fread(payload, 1, length, stdin) != length) return 1;
    edgepose::Message message;
    if (message.read(payload, length)) print(message);
    else printf("null\n");
    free(payload);
  }
  return 0;
}
