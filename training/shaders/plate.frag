#version 330
#include grade
uniform sampler2D accumulated;
out vec4 result;
void main() {
  vec3 light = texelFetch(accumulated, ivec2(gl_FragCoord.xy), 0).rgb;
  result = vec4(grade(light, gl_FragCoord.xy), 1.0);
}
