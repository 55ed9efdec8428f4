#version 330
uniform mat4 clip;
in vec3 position; in vec3 normal; in vec2 uv; in vec3 colour; in vec3 second; in float material;
out vec3 world; out vec3 n; out vec2 at; flat out vec3 c1; flat out vec3 c2; flat out int kind;
void main() {
  world = position; n = normal; at = uv; c1 = colour; c2 = second; kind = int(material + 0.5);
  gl_Position = clip * vec4(position, 1.0);
}
