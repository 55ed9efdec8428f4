#version 330
uniform mat4 clip;
uniform vec4 bounds;
in vec2 corner;
out vec2 at;
void main() {
  at = (corner - bounds.xy) / bounds.zw;
  gl_Position = clip * vec4(corner, 0.008, 1.0);  // above the floor, or depths would be equal
}
