#version 330
#include light
#include grade
in vec2 at; in float lit; in float shine; flat in vec3 c1; flat in vec3 c2; flat in int kind;
out vec4 result;

float line(float x, float share) { return smoothstep(0.0, 0.12, fract(x)) * smoothstep(share + 0.12, share, fract(x)); }

vec3 cloth() {
  if (kind == 1) return mix(c1, c2, line(at.y / 0.075, 0.45));
  if (kind == 2) return mix(c1, c2, line(at.x / 0.07, 0.35));
  if (kind == 3) return mix(c1, c2, 0.5 * line(at.x / 0.10, 0.4) + 0.5 * line(at.y / 0.10, 0.4));
  if (kind == 4) return mix(c1, c2, step(length((at - vec2(0.0, 0.13)) / vec2(0.09, 0.07)), 1.0));
  if (kind == 5) return mix(c1, c2, step(0.155, at.y));
  if (kind == 6) return mix(c1, c2, step(length(fract(at / 0.07) - 0.5), 0.27));
  if (kind == 7) return mix(c1, c2, smoothstep(0.022, 0.016, abs(at.x)));
  return c1;
}

void main() {
  bool skin = kind == 10, hair = kind == 11, leather = kind == 12;
  float folds = skin ? 0.5 : hair ? 0.15 + 0.7 * noise(vec2(at.x * 160.0, at.y * 12.0))
                                  : noise(vec2(at.x * 16.0, at.y * 9.0 + at.x * 14.0));
  float gloss = skin ? 0.10 : hair ? 0.14 : leather ? 0.12 : 0.015;
  vec3 light = linear(cloth()) * (0.70 + 0.6 * folds) * lit + gloss * shine;
  result = vec4(grade(light, gl_FragCoord.xy), 1.0);
}
