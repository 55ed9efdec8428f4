#version 330
// People projected from one ceiling light onto the floor; one instance for each light.
uniform vec3 lights[4];
uniform vec4 bounds;
uniform sampler2D bones;
in vec3 position; in float bone;
flat out int number;
void main() {
  int b = int(bone + 0.5);
  vec4 p = vec4(position, 1.0);
  vec3 world = vec3(dot(texelFetch(bones, ivec2(0, b), 0), p), dot(texelFetch(bones, ivec2(1, b), 0), p),
                    dot(texelFetch(bones, ivec2(2, b), 0), p));
  vec3 light = lights[gl_InstanceID];
  vec2 floor_at = light.xy + (world.xy - light.xy) * light.z / (light.z - min(world.z, light.z - 0.3));
  number = gl_InstanceID;
  gl_Position = vec4((floor_at - bounds.xy) / bounds.zw * 2.0 - 1.0, 0.0, 1.0);
}
