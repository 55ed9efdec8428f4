#version 330
// Light is worked out at the vertices, which lie closer than it changes; patterns are per pixel.
#include light
uniform mat4 clip;
uniform vec3 eye;
uniform sampler2D bones;
in vec3 position; in vec3 normal; in vec2 uv; in vec3 colour; in vec3 second; in float material; in float bone;
out vec2 at; out float lit; out float shine;
flat out vec3 c1; flat out vec3 c2; flat out int kind;

void main() {
  int b = int(bone + 0.5);
  mat4 m = transpose(mat4(texelFetch(bones, ivec2(0, b), 0), texelFetch(bones, ivec2(1, b), 0),
                          texelFetch(bones, ivec2(2, b), 0), vec4(0, 0, 0, 1)));
  vec3 world = (m * vec4(position, 1.0)).xyz;
  vec3 n = mat3(m) * normal, view = normalize(eye - world);
  at = uv; c1 = colour; c2 = second; kind = int(material + 0.5);
  lit = ambient(n) + 0.16 * (0.5 + 0.5 * n.z);
  shine = 0.0;
  for (int i = 0; i < 4; i++) {
    float e = panel_light(lights[i], world, n);
    lit += e * 0.78;
    float s = max(dot(n, normalize(view + normalize(lights[i] - world))), 0.0);
    s *= s * s;
    s *= s;
    shine += e * s * s * s * s;
  }
  lit *= mix(0.55, 1.0, smoothstep(-0.05, 0.9, world.z)) * mix(0.72, 1.0, smoothstep(-0.9, 0.2, n.z));
  lit *= 0.82 + 0.18 * max(dot(n, view), 0.0);
  gl_Position = clip * vec4(world, 1.0);
}
