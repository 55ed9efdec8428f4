#version 330
uniform sampler2DMS picture_depth;
uniform sampler2D inside;
uniform vec2 size;
uniform vec2 near_far;
in float depth; in vec2 pixel;
out float result;
void main() {
  result = 0.5;
  if (any(lessThan(pixel, vec2(0.0))) || any(greaterThanEqual(pixel, size))) return;
  float z = texelFetch(picture_depth, ivec2(pixel), 0).r * 2.0 - 1.0;
  float front = 2.0 * near_far.x * near_far.y / (near_far.y + near_far.x - z * (near_far.y - near_far.x));
  if (depth < front + 0.06 && texture(inside, pixel / size).r > 0.5) result = 1.0;
}
