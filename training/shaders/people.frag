#version 330
#include light
#include grade
uniform vec3 eye;
in vec3 world; in vec3 n; in vec2 at; flat in vec3 c1; flat in vec3 c2; flat in int kind;
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
  vec3 normal = normalize(n), view = normalize(eye - world);
  bool skin = kind == 10, hair = kind == 11, leather = kind == 12;
  float folds = skin ? 0.5 : noise(vec2(at.x * 16.0, at.y * 9.0 + at.x * 14.0));
  if (hair) folds = 0.3 * folds + 0.7 * noise(vec2(at.x * 160.0, at.y * 12.0));
  float lit = ambient(normal) + 0.16 * (0.5 + 0.5 * normal.z);
  vec3 shine = vec3(0.0);
  float gloss = skin ? 0.10 : hair ? 0.14 : leather ? 0.12 : 0.015;
  for (int i = 0; i < 4; i++) {
    float e = panel_light(lights[i], world, normal);
    lit += e * 0.78;
    vec3 h = normalize(view + normalize(lights[i] - world));
    float s = max(dot(normal, h), 0.0);
    s *= s * s;
    s *= s;
    shine += gloss * e * s * s * s * s;
  }
  float near_floor = smoothstep(-0.05, 0.9, world.z);
  float open_ = mix(0.55, 1.0, near_floor) * mix(0.72, 1.0, smoothstep(-0.9, 0.2, normal.z));
  float rim = 0.82 + 0.18 * max(dot(normal, view), 0.0);
  vec3 base = linear(cloth()) * (0.70 + 0.6 * folds);
  result = vec4(grade(base * lit * open_ * rim + shine, gl_FragCoord.xy), 1.0);
}
