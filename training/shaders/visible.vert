#version 330
// Each person fills a tile of its own: what of it the picture shows, and what it would alone.
uniform mat4 clip;
uniform sampler2D bones;
uniform sampler2D boxes;  // x0, y0, width, height in pixels of the canvas
uniform vec2 size;
uniform int bones_each;
in vec3 position; in float bone;
out float depth; out vec2 pixel;
void main() {
  int b = int(bone + 0.5), person = b / bones_each;
  vec4 p = vec4(position, 1.0), box = texelFetch(boxes, ivec2(person, 0), 0);
  vec3 world = vec3(dot(texelFetch(bones, ivec2(0, b), 0), p), dot(texelFetch(bones, ivec2(1, b), 0), p),
                    dot(texelFetch(bones, ivec2(2, b), 0), p));
  vec4 c = clip * vec4(world, 1.0);
  vec2 px = (c.xy / c.w * 0.5 + 0.5) * size;
  vec2 inner = (px - box.xy) / box.zw;
  vec2 tile = (vec2(person % 8, person / 8) + inner) / vec2(8.0, 4.0);
  pixel = px; depth = c.w;
  gl_Position = c.w > 0.12 && box.z > 0.0 ? vec4(tile * 2.0 - 1.0, c.z / c.w, 1.0) : vec4(0.0, 0.0, 2.0, 1.0);
}
