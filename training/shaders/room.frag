#version 330
#include light
uniform sampler2DShadow shadow;
uniform mat4 light_clip;
uniform vec3 light;
uniform vec3 eye;
in vec3 world; in vec3 n; in vec2 at; flat in vec3 c1; flat in vec3 c2; flat in int kind;
out vec4 result;

float grout(vec2 p, float width) {
  vec2 f = min(fract(p), 1.0 - fract(p));
  return smoothstep(0.0, width, min(f.x, f.y));
}

vec3 tiles(vec2 p) {
  vec2 cell = floor(p / 0.6);
  float tone = 0.94 + 0.10 * hash(cell);
  float marble = 0.96 + 0.07 * noise(p * 3.0 + hash(cell) * 30.0) + 0.03 * noise(p * 19.0);
  float stain = 1.0 - 0.09 * smoothstep(0.5, 0.9, noise(p * 0.7 + 4.0));
  vec3 base = mix(c1, c2, step(0.78, hash(cell + 3.1)));
  return base * tone * marble * stain * mix(0.72, 1.0, grout(p / 0.6, 0.014));
}

vec3 planks(vec2 p) {
  float row = floor(p.y / 0.16);
  float x = p.x + hash(vec2(row, 1.0)) * 2.0;
  float plank = floor(x / 1.8);
  float grain = noise(vec2(x * 2.0, p.y * 60.0 + hash(vec2(plank, row)) * 99.0));
  vec3 base = mix(c1, c2, 0.7 * hash(vec2(plank, row)) + 0.3 * grain);
  vec2 joint = min(fract(vec2(x / 1.8, p.y / 0.16)), 1.0 - fract(vec2(x / 1.8, p.y / 0.16)));
  return base * mix(0.6, 1.0, smoothstep(0.0, 0.003, min(joint.x * 1.8, joint.y * 0.16)));
}

vec3 poster(vec2 p, float seed) {
  vec3 a = 0.25 + 0.6 * vec3(hash(vec2(seed, 1)), hash(vec2(seed, 2)), hash(vec2(seed, 3)));
  vec3 b = 0.2 + 0.7 * vec3(hash(vec2(seed, 4)), hash(vec2(seed, 5)), hash(vec2(seed, 6)));
  float disc = smoothstep(0.26, 0.24, length((p - vec2(0.5, 0.62)) * vec2(0.7, 1.0)));
  float lines = step(0.55, fract(p.y * 14.0)) * step(p.y, 0.28) * step(0.12, p.x) * step(p.x, 0.5 + 0.4 * hash(vec2(floor(p.y * 14.0), seed)));
  return mix(mix(a, b, disc), vec3(0.92), lines * 0.8);
}

vec3 wall(vec2 p) {
  vec3 base = c1 * (0.97 + 0.04 * noise(p * 6.0) + 0.03 * noise(p * 40.0));
  base = mix(c2, base, smoothstep(0.995, 1.0, p.y));
  base *= mix(0.45, 1.0, smoothstep(0.09, 0.1, p.y));
  float place = floor((world.x + world.y) / 2.9) + 17.0 * floor(abs(n.x) + 0.5);
  vec2 local = vec2(fract((world.x + world.y) / 2.9) * 2.9 - 0.9, p.y - 1.25);
  vec2 q = local / vec2(0.75, 1.05);
  bool has = hash(vec2(place, 9.0)) > 0.45;
  if (has && all(greaterThan(q, vec2(-0.03))) && all(lessThan(q, vec2(1.03))))
    return (all(greaterThan(q, vec2(0.0))) && all(lessThan(q, vec2(1.0)))) ? poster(q, place) : vec3(0.12);
  return base;
}

vec3 goods(vec2 p) {
  float column = floor(p.x / 0.11);
  float brand = floor(column / 3.0 + hash(vec2(floor(p.x / 0.9), floor(world.z / 0.36))));
  vec2 key = vec2(brand, floor(world.z / 0.36) + 5.0 * floor(world.y));
  vec3 pack = 0.15 + 0.75 * vec3(hash(key), hash(key + 1.3), hash(key + 2.7));
  float x = fract(p.x / 0.11), top = 0.62 + 0.33 * hash(key + 4.0);
  float label = step(0.25, x) * step(x, 0.8) * step(0.3, p.y / 0.29) * step(p.y / 0.29, 0.55);
  vec3 seen = mix(pack, mix(vec3(0.9), pack.zxy, 0.3), label);
  float gap = smoothstep(0.0, 0.08, x) * smoothstep(1.0, 0.92, x) * step(p.y / 0.29, top);
  return mix(vec3(0.10), seen, abs(n.z) > 0.5 ? 1.0 : gap);
}

// The three below only stand in randomised scenes; their size follows from the first colour.
vec3 chequered(vec2 p) {
  vec2 q = p * (2.0 + 14.0 * hash(c1.xy)), stripe = step(0.5, fract(q));
  return mix(c1, c2, hash(c1.yz) < 0.5 ? stripe.x : abs(stripe.x - stripe.y));
}

vec3 blotches(vec2 p) {
  vec2 q = p * (0.7 + 9.0 * hash(c1.xz));
  vec3 base = mix(c1, c2, smoothstep(0.35, 0.65, 0.65 * noise(q) + 0.35 * noise(q * 3.7)));
  return mix(base, c1.zxy, step(0.72, noise(q * 1.9 + 7.0))) * (0.85 + 0.3 * noise(q * 11.0));
}

// A printed person: head, body, legs.
vec3 likeness(vec2 p) {
  float tall = 0.6 + 1.1 * hash(c1.xy);
  vec2 q = vec2(fract(p.x / (0.55 * tall)) * 0.55 - 0.275, p.y / tall);
  bool head = length((q - vec2(0.0, 0.88)) / vec2(0.055, 0.08)) < 1.0;
  bool body = abs(q.x) < 0.14 && q.y > 0.46 && q.y < 0.79;
  bool leg = abs(abs(q.x) - 0.065) < 0.05 && q.y > 0.06 && q.y <= 0.46;
  return head ? vec3(0.8, 0.6, 0.48) : body ? c2 : leg ? c2.yzx * 0.6 : c1;
}

vec3 albedo() {
  if (kind == 1) return tiles(world.xy);
  if (kind == 2) return planks(world.xy);
  if (kind == 3) return wall(at);
  if (kind == 4) return c1 * mix(0.8, 1.0, grout(world.xy / 0.6, 0.03));
  if (kind == 5) return goods(at);
  if (kind == 6) return mix(c1, c2, noise(vec2(at.x * 2.0, at.y * 40.0)));
  if (kind == 8) return mix(c1, c2, smoothstep(0.02, 0.0, abs(at.x - 0.05))) * (0.6 + at.y);
  if (kind == 11) return chequered(at);
  if (kind == 12) return blotches(at);
  if (kind == 13) return likeness(at);
  return c1;
}

void main() {
  vec3 normal = normalize(n), view = normalize(eye - world);
  if (kind == 8 && dot(normal, view) < 0.0) normal = -normal;
  if (kind == 9) { result = vec4(vec3(3.2), 1.0); return; }
  vec4 s = light_clip * vec4(world + normal * 0.012, 1.0);
  vec3 where = s.xyz / s.w * 0.5 + 0.5;
  float lit = (s.w > 0.0 && all(greaterThan(where, vec3(0.0))) && all(lessThan(where, vec3(1.0))))
    ? texture(shadow, vec3(where.xy, where.z - 0.0006)) : 1.0;
  vec3 h = normalize(view + normalize(light - world));
  float gloss = kind == 1 ? 0.35 : kind == 2 ? 0.2 : 0.0;
  float shine = gloss * pow(max(dot(normal, h), 0.0), 60.0);
  float direct = lit * panel_light(light, world, normal) * 4.0;
  float bounce = kind == 4 ? 0.42 : ambient(normal);
  result = vec4(linear(albedo()) * (direct + bounce) + shine * lit * 0.6, 1.0);
}
