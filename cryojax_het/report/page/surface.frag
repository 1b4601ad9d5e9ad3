#version 300 es
// The first surface of equal density that each ray of parallel light meets. Lengths in Å, from the
// middle of the box; the eye looks along -z of the turned molecule, y is up.
precision highp float;
precision highp sampler3D;

uniform sampler3D density;
uniform mat3 turn;       // molecule to eye
uniform vec2 window;     // half of what the canvas shows
uniform vec2 centre;     // of the canvas, moved by the user
uniform vec3 extent;     // half of the box
uniform float voxel;
uniform float threshold; // as the texture holds densities, 0 to 1
uniform vec3 tint;
in vec2 place;
out vec4 colour;

float at(vec3 p) { return texture(density, p / (2.0 * extent) + 0.5).r; }

vec3 slope(vec3 p) {
  // Central differences one voxel apart: closer ones would show the steps of 8 bits.
  vec2 e = vec2(voxel, 0.0);
  return vec3(at(p + e.xyy) - at(p - e.xyy), at(p + e.yxy) - at(p - e.yxy), at(p + e.yyx) - at(p - e.yyx));
}

vec3 lit(vec3 normal, float depth) {
  float key = max(dot(normal, normalize(vec3(-0.35, 0.55, 0.75))), 0.0);
  float fill = max(dot(normal, normalize(vec3(0.7, -0.2, 0.5))), 0.0);
  float facing = max(normal.z, 0.0);
  float gleam = pow(max(dot(normal, normalize(vec3(-0.2, 0.35, 0.95))), 0.0), 28.0);
  vec3 shade = tint * (0.42 + 0.56 * key + 0.20 * fill) * (0.74 + 0.26 * facing) + 0.12 * gleam;
  // What lies further back is paler.
  return mix(shade, vec3(0.96, 0.965, 0.97), 0.34 * smoothstep(-0.1, 1.1, depth));
}

void main() {
  mat3 back = transpose(turn);
  float reach = length(extent);
  vec3 start = back * vec3(place * window + centre, reach);
  vec3 along = back * vec3(0.0, 0.0, -1.0);
  vec3 inverse = 1.0 / (along + vec3(1e-7));
  vec3 a = (-extent - start) * inverse, b = (extent - start) * inverse;
  vec3 near3 = min(a, b), far3 = max(a, b);
  float enter = max(max(near3.x, near3.y), near3.z), leave = min(min(far3.x, far3.y), far3.z);
  colour = vec4(0.0);
  if (leave <= enter) return;
  float stride = 0.7 * voxel, t = enter, before = enter;
  bool found = at(start + t * along) > threshold;
  for (int i = 0; i < 400 && !found && t < leave; i++) {
    before = t;
    t = min(t + stride, leave);
    found = at(start + t * along) > threshold;
  }
  if (!found) return;
  for (int i = 0; i < 5; i++) {
    float middle = 0.5 * (before + t);
    if (at(start + middle * along) > threshold) t = middle; else before = middle;
  }
  vec3 gradient = slope(start + t * along);
  float size = length(gradient);
  vec3 normal = size > 1e-6 ? turn * (-gradient / size) : vec3(0.0, 0.0, 1.0);
  if (normal.z < 0.0) normal = -normal;
  colour = vec4(lit(normal, t / (2.0 * reach)), 1.0);
}
