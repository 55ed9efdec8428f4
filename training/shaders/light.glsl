// Light shared by the room and the people; sRGB colours in, linear light inside.
uniform vec3 lights[4];

float hash(vec2 p) {
  vec3 q = fract(p.xyx * 0.1031);
  q += dot(q, q.yzx + 33.33);
  return fract((q.x + q.y) * q.z);
}

float noise(vec2 p) {
  vec2 i = floor(p), f = fract(p);
  f = f * f * (3.0 - 2.0 * f);
  return mix(mix(hash(i), hash(i + vec2(1, 0)), f.x),
             mix(hash(i + vec2(0, 1)), hash(i + vec2(1, 1)), f.x), f.y);
}

// Gamma 2 here and in grade.glsl: close to sRGB, and quick without a GPU.
vec3 linear(vec3 srgb) { return srgb * srgb; }

// A ceiling panel at `light` that shines downwards.
float panel_light(vec3 light, vec3 position, vec3 normal) {
  vec3 d = light - position;
  float d2 = dot(d, d);
  vec3 l = d * inversesqrt(d2);
  return max(dot(normal, l), 0.0) * max(l.z, 0.0) * 13.0 / (d2 + 3.0);
}

float ambient(vec3 normal) { return 0.13 + 0.07 * normal.z; }
