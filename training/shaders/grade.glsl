// The camera's own look, from linear light to what its picture stores.
uniform float exposure;
uniform vec3 gain;
uniform float vignette;
uniform vec2 size;

vec3 grade(vec3 light, vec2 pixel) {
  vec2 r = pixel / size - 0.5;
  vec3 x = light * (1.3 * exposure) * gain * (1.0 - vignette * 2.0 * dot(r, r));
  x = x * (1.0 + x * 0.12) / (1.0 + x * 0.62);
  return sqrt(clamp(x, 0.0, 1.0)) * 0.97 + 0.02;
}
