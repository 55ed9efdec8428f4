#version 330
uniform sampler2D shade;
in vec2 at;
out vec4 result;
void main() { result = vec4(vec3(texture(shade, at).r), 1.0); }
