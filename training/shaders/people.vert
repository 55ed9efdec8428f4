#version 330
uniform mat4 clip;
uniform sampler2D bones;
in vec3 position; in vec3 normal; in vec2 uv; in vec3 colour; in vec3 second; in float material; in float bone;
out vec3 world; out vec3 n; out vec2 at; flat out vec3 c1; flat out vec3 c2; flat out int kind;
void main() {
  int b = int(bone + 0.5);
  mat4 m = transpose(mat4(texelFetch(bones, ivec2(0, b), 0), texelFetch(bones, ivec2(1, b), 0),
                          texelFetch(bones, ivec2(2, b), 0), vec4(0, 0, 0, 1)));
  world = (m * vec4(position, 1.0)).xyz;
  n = mat3(m) * normal; at = uv; c1 = colour; c2 = second; kind = int(material + 0.5);
  gl_Position = clip * vec4(world, 1.0);
}
