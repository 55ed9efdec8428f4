#version 330
flat in int number;
out vec4 result;
void main() { result = vec4(equal(ivec4(number), ivec4(0, 1, 2, 3))); }
